// What a page does beyond being read: remembers language and theme, sorts and filters tables, copies commands, writes
// numbers as the reader's country does. Everything is readable without it.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const said = (key) => {
    const part = document.createElement("span");
    const from = document.querySelector(`#said [data-say="${key}"]`);
    if (from) part.append(...[...from.childNodes].map((one) => one.cloneNode(true)));
    return part;
  };
  // Some browsers keep nothing for files: then a choice lasts as long as the page.
  const keep = (name, value) => { try { localStorage.setItem(`orchestrator-${name}`, value); } catch { /* as said */ } };
  const kept = (name) => { try { return localStorage.getItem(`orchestrator-${name}`); } catch { return null; } };

  const language = () => (document.getElementById("lang-zh").checked ? "zh" : "en");
  const numbers = () => {
    const shown = language();
    const reader = navigator.languages.find((one) => one.startsWith(shown)) || navigator.language;
    const forms = new Map();
    const form = (how) => {
      if (!forms.has(how)) {
        const bare = how.replace("+", "");
        const digits = bare === "c" ? 0 : bare.startsWith("p") ? Number(bare.slice(1) || 1) : Number(bare);
        const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
        if (how.startsWith("+")) options.signDisplay = "exceptZero";
        if (bare.startsWith("p")) options.style = "percent";
        try { forms.set(how, new Intl.NumberFormat(reader, options)); } catch { forms.set(how, null); }
      }
      return forms.get(how);
    };
    for (const one of all("data[data-n]")) {
      const to = form(one.dataset.n);
      if (to) one.textContent = to.format(Number(one.value));
    }
  };
  const speak = () => {
    root.lang = language() === "zh" ? "zh-CN" : "en";
    numbers();
  };
  const choose = (name, otherwise) => {
    const wanted = kept(name) || otherwise;
    const input = all(`input[name="${name}"]`).find((one) => one.value === wanted);
    if (input) input.checked = true;
    for (const one of all(`input[name="${name}"]`)) {
      one.addEventListener("change", () => { keep(name, one.value); if (name === "language") speak(); });
    }
  };
  choose("language", navigator.language.startsWith("zh") ? "zh" : "");
  choose("theme", "");
  speak();

  // Commands and queries are copied with the folder of this file in them, if it lies in one.
  const folder = () => {
    if (location.protocol !== "file:") return "RUN";
    const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "") || "/";
    return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  };
  // What makes a part of the page more than readable; again, when a live page was drawn anew.
  const dress = (within) => {
  for (const one of all(".copy", within)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copier";
    button.append(said("js.copy"));
    button.addEventListener("click", async () => {
      const text = one.textContent.replace(/\bRUN\b/g, folder());
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(one);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        document.execCommand("copy");
      }
      button.replaceChildren(said("js.copied"));
      setTimeout(() => button.replaceChildren(said("js.copy")), 1500);
    });
    one.after(button);
  }

  const valueOf = (cell) => {
    const number = cell.querySelector("data[value]");
    if (number) return Number(number.value);
    const text = cell.innerText.trim();
    return text === "–" || text === "" ? null : text;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), root.lang, { numeric: true });
  };
  for (const table of all("table.sorts", within)) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("unsorted")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorter";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
        rows.sort(([a], [b]) => (a === null || b === null || !down ? compare(a, b) : compare(b, a)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
  let number = 0;
  for (const table of all("table.filters", within)) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) continue;
    const field = document.createElement("p");
    field.className = "filter";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const told = document.createElement("span");
    input.type = "search";
    input.id = `filter-${++number}`;
    label.htmlFor = input.id;
    label.append(said("js.filter"));
    told.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        left += !row.hidden;
      }
      told.replaceChildren(words.length ? `${left} / ${rows.length} ` : "", words.length ? said("js.shown") : "");
    });
    field.append(label, input, told);
    (table.closest(".scroll") || table).before(field);
  }
  };
  dress(document);

  // Where one is, in the table of contents.
  let watch = null;
  const follow = () => {
  if (watch) watch.disconnect();
  const links = new Map(all(".contents a").map((one) => [one.hash.slice(1), one]));
  if (links.size && "IntersectionObserver" in window) {
    const seen = new Set();
    watch = new IntersectionObserver((entries) => {
      for (const one of entries) one.isIntersecting ? seen.add(one.target.id) : seen.delete(one.target.id);
      const here = [...links.keys()].find((id) => seen.has(id));
      for (const [id, link] of links) id === here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    }, { rootMargin: "-10% 0px -60% 0px" });
    for (const id of links.keys()) { const part = document.getElementById(id); if (part) watch.observe(part); }
  }
  };
  follow();
  document.addEventListener("drawn", () => { dress(document.getElementById("main")); numbers(); follow(); });
})();
