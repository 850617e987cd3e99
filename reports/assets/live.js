// A page that is drawn again while its run goes: told of each new one, it takes over what has changed and leaves the reader
// where they are (place, open parts, focus, what is typed).
(() => {
  const live = document.getElementById("live");
  if (!live || !("EventSource" in window)) return;
  const all = (selector, within) => [...within.querySelectorAll(selector)];
  // Where an element stands: the ways down from the nearest element with an id. Ids stay the same, what is around them may not.
  const wayTo = (one) => {
    const steps = [];
    while (one && !one.id) {
      if (!one.parentElement) return null;
      steps.unshift([one.tagName, all(`:scope > ${one.tagName}`, one.parentElement).indexOf(one)]);
      one = one.parentElement;
    }
    return one && { id: one.id, steps };
  };
  const at = (way) => way && way.steps.reduce((one, [tag, place]) => one && all(`:scope > ${tag}`, one)[place], document.getElementById(way.id));
  // What is read: the first part that begins in the window. What is above it may grow.
  const reading = () => all("main [id], main details, main table, main p", document).find((one) => one.offsetParent && one.getBoundingClientRect().top >= 0);

  const take = (fresh) => {
    const main = document.getElementById("main");
    const next = fresh.getElementById("main");
    if (!next) return;
    const open = all("details[open]", main).map(wayTo);
    const typed = all("input", main).filter((one) => one.value).map((one) => [wayTo(one), one.value]);
    const focus = main.contains(document.activeElement) && document.activeElement !== main ? wayTo(document.activeElement) : null;
    const here = window.scrollY > 0 ? reading() : null;
    const [way, edge] = here ? [wayTo(here), here.getBoundingClientRect().top] : [null, 0];
    main.replaceChildren(...[...next.childNodes].map((one) => document.adoptNode(one)));
    for (const part of [".contents", ".heading h1"]) {
      const [old, other] = [document.querySelector(part), fresh.querySelector(part)];
      if (old && other && !old.isEqualNode(other)) old.replaceChildren(...other.childNodes);
    }
    const [phrase, other] = [live.querySelector(".while"), fresh.querySelector("#live .while")];
    if (phrase && other) phrase.replaceChildren(...other.childNodes);
    document.dispatchEvent(new Event("drawn"));
    for (const part of open) { const one = at(part); if (one) one.open = true; }
    for (const [part, value] of typed) {
      const one = at(part);
      if (one) { one.value = value; one.dispatchEvent(new Event("input")); }
    }
    const again = at(way);
    if (again) window.scrollBy({ top: again.getBoundingClientRect().top - edge, behavior: "instant" });
    const one = at(focus);
    if (one) one.focus({ preventScroll: true });
  };

  let version = Number(live.dataset.version);
  let busy = false;
  let wanted = version;
  const fetchAnew = async () => {
    if (busy) return;
    busy = true;
    try {
      while (wanted > version) {
        const asked = wanted;
        const response = await fetch("/report", { cache: "no-store" });
        if (!response.ok) break;
        take(new DOMParser().parseFromString(await response.text(), "text/html"));
        version = asked;
      }
      live.dataset.version = version;
    } catch { /* the next event tries again */ }
    busy = false;
  };

  const source = new EventSource("/events");
  source.addEventListener("standing", (event) => {
    const now = JSON.parse(event.data);
    live.classList.remove("is-lost");
    for (const one of all("data[data-live]", live)) {
      one.value = now[one.dataset.live];
      one.textContent = now[one.dataset.live];
    }
    wanted = now.version;
    const last = fetchAnew();
    if (!now.running) {
      source.close();
      last.then(() => {
        live.removeAttribute("data-running");
        // Put in now, so that it is read out.
        live.querySelector(".over").append(...live.querySelector(".ended").childNodes);
      });
    }
  });
  source.addEventListener("error", () => live.classList.add("is-lost"));
})();
