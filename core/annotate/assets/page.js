// Shows one question at a time and sends one answer at a time. What it shows next is what the program says after it has kept
// the answer: this page remembers nothing but a language and a name. Every text is put in as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const VERDICTS = ["support", "partial", "contradict", "unrelated"];

// Cookies, since they outlive a port: the program may listen at another one next time.
function remembered(key) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`orchestrator_${key}=`));
  return found ? decodeURIComponent(found.split("=")[1]) : null;
}
function remember(key, value) {
  document.cookie = `orchestrator_${key}=${encodeURIComponent(value)}; Path=/; SameSite=Strict; Max-Age=31536000`;
}

let language = remembered("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
if (!(language in WORDS)) language = "en";
let name = remembered("name");
let keys = remembered("keys") !== "off";
let hello = null; // what the program says of the run
let desk = null; // what it said last
let disputes = []; // in the view that settles
let settling = false;
let shown = null; // the question on the page
let busy = false;
let turn = 0; // grows with everything that is done, so that what was asked before it is not shown after it
let flagged = false;

const say = (key, ...values) =>
  (WORDS[language][key] ?? key).replace(/\{(\d)\}/g, (_, place) => values[Number(place)]);

// Characters that cannot be seen, or that turn the text around, are shown by their numbers.
const visible = (text) =>
  text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\ufeff]/g, (one) =>
    `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

function element(tag, text, properties = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  return Object.assign(made, properties);
}

function status(text) {
  $("status").textContent = text;
  clearTimeout(status.timer);
  status.timer = setTimeout(() => ($("status").textContent = ""), 4000);
}
const alarm = (text) => {
  if (text) $("status").textContent = "";
  if ($("alarm").textContent !== text) $("alarm").textContent = text;
};

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Asks the program until it answers. Gives its answer, or why it refuses.
async function ask(path, body, patient = true) {
  for (let wait = 400; ; wait = Math.min(wait * 2, 4000)) {
    let why = say("away");
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        cache: "no-store",
        credentials: "same-origin",
      });
      if (response.ok) {
        alarm("");
        return { given: await response.json() };
      }
      if (response.status === 409 || response.status === 422) {
        alarm("");
        return { refused: (await response.json().catch(() => ({}))).refused ?? "unknown" };
      }
      if (response.status === 401 || response.status === 403) why = say("stranger");
      if (response.status === 503) why = say("no_space", (await response.json()).failed);
    } catch {
      // The program is not there: it may come back.
    }
    if (!patient) return {};
    alarm(why);
    await pause(wait);
  }
}

// ---- what is on the page ----

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const one of document.querySelectorAll("[data-t]")) one.textContent = say(one.dataset.t);
  for (const one of document.querySelectorAll("[data-t-label]")) one.setAttribute("aria-label", say(one.dataset.tLabel));
  $("language").textContent = say("other_language");
  $("language").lang = WORDS[language].other_language_code;
  $("skip-word").textContent = say(settling ? "leave" : "skip");
}

const only = (id) => {
  for (const one of ["sign-in", "rest", "question"]) $(one).hidden = one !== id;
  $("actions").hidden = id !== "question";
};

function showSignIn() {
  only("sign-in");
  $("views").hidden = $("who").hidden = true;
  $("name").value = name ?? hello?.name ?? "";
  $("known").replaceChildren(
    ...(hello?.people ?? [])
      .filter((one) => one !== "oracle" && one !== "llm")
      .map((one) => {
        const button = element("button", visible(one), { type: "button" });
        button.addEventListener("click", () => signIn(one));
        return button;
      }),
  );
  $("name").focus();
}

function showText(into, question) {
  into.replaceChildren(
    ...(question.around
      ? question.around.map((piece) => element(piece.marked ? "mark" : "span", visible(piece.text)))
      : [document.createTextNode(visible(question.text))]),
  );
}

function showQuestion(question, opinions = null) {
  const same = shown?.id === question.id && !$("question").hidden && $("opinions").hidden === !opinions;
  only("question");
  if (settling) {
    $("count").textContent = say("count_settle", disputes.length);
    $("bar").hidden = true;
  } else {
    const { ended, questions, open } = desk.progress;
    $("count").textContent = say("count", ended, questions, open);
    $("bar").hidden = false;
    $("bar").max = questions;
    $("bar").value = ended;
  }
  if (same) return;
  shown = question;
  setFlag(false);
  $("comment").value = "";
  expand("say", "comment-box", false);
  expand("think", "models", false);
  $("claim").textContent = visible(question.claim);
  $("candidate-label").textContent = say(question.around ? "passage" : "text");
  // A text that was made from a document has no title: the document below has.
  $("title").textContent = question.source ? "" : visible(question.title ?? "");
  showText($("text"), question);
  $("source").hidden = !question.source;
  $("source").open = false;
  $("source").querySelector("summary").textContent =
    [say("source"), visible(question.title ?? "")].filter(Boolean).join(" · ");
  $("source").querySelector("p").textContent = visible(question.source ?? "");
  $("opinions").hidden = !opinions;
  $("opinions").querySelector("ul").replaceChildren(
    ...(opinions ?? []).map((one) =>
      element("li", [visible(one.name) + ": " + say(one.verdict), one.flagged ? say("flagged") : "", visible(one.comment)]
        .filter(Boolean).join(" · "), { dir: "auto" })),
  );
  window.scrollTo(0, 0);
  // Where there is room for both, the claim stays in sight, and so is what is judged, wherever it stands in its document.
  const room = window.innerHeight >= 640 && $("asking").offsetHeight < window.innerHeight * 0.3;
  $("asking").classList.toggle("stays", room);
  if (room) $("text").querySelector("mark")?.scrollIntoView({ block: "nearest" });
  $("claim").focus({ preventScroll: true });
}

function showRest(title, text, buttons = []) {
  const again = !$("rest").hidden && $("rest-title").textContent === say(title);
  only("rest");
  shown = null;
  $("rest-title").textContent = say(title);
  $("rest-text").textContent = text;
  if (!again) {
    $("rest-row").replaceChildren(
      ...buttons.map(([word, act]) => {
        const button = element("button", say(word), { type: "button" });
        button.addEventListener("click", act);
        return button;
      }),
    );
    $("rest-title").focus();
  }
  const pairs = desk?.agreements ?? [];
  $("agreement").hidden = pairs.length === 0;
  $("agreement").querySelector("tbody").replaceChildren(
    ...pairs.map((pair) => {
      const row = document.createElement("tr");
      const kappa = pair.kappa === null ? "–" : pair.kappa.toFixed(2);
      row.append(
        ...[`${visible(pair.first)}, ${visible(pair.second)}`, pair.n, pair.agreed, kappa].map((one) => element("td", one)));
      return row;
    }),
  );
}

function show() {
  $("who").hidden = false;
  $("who").textContent = say("as", visible(name));
  const left = desk.progress.disputed;
  $("views").hidden = desk.done || (left === 0 && !settling);
  $("view-settle").textContent = say("settle", left);
  $("view-ask").toggleAttribute("aria-current", false);
  $(settling ? "view-settle" : "view-ask").setAttribute("aria-current", "page");
  if (!settling) $("view-settle").removeAttribute("aria-current");
  $("skip-word").textContent = say(settling ? "leave" : "skip");
  document.title = `${desk.progress.ended}/${desk.progress.questions} · ${hello.run}`;
  const undo = ["undo", takeBack];
  if (settling && disputes.length > 0) showQuestion(disputes[0].question, disputes[0].said);
  else if (desk.done) showRest("done_title", say("done"), [undo]);
  else if (settling) showRest("no_disputes", say("no_disputes_text"), [["questions", () => see(false)], undo]);
  else if (desk.question) showQuestion(desk.question);
  else if (left > 0)
    showRest("settle_title", say("settle_text", left), [["settle_now", () => see(true)], undo]);
  else showRest("wait_title", say("wait", desk.progress.waiting), [undo]);
}

function expand(button, box, open) {
  $(button).setAttribute("aria-expanded", open);
  $(box).hidden = !open;
}
function setFlag(on) {
  flagged = on;
  $("flag").setAttribute("aria-pressed", on);
}

// ---- what people do ----

// One thing at a time: what is pressed while an answer is being kept does not count.
async function alone(act) {
  if (busy) return;
  busy = true;
  turn += 1;
  const buttons = document.querySelectorAll("#actions button, #rest button");
  for (const one of buttons) one.setAttribute("aria-disabled", "true");
  try {
    await act();
  } finally {
    busy = false;
    for (const one of document.querySelectorAll("#actions button, #rest button")) one.removeAttribute("aria-disabled");
  }
}

async function refresh(patient = true) {
  const before = turn;
  const { given } = await ask("/api/desk", { name }, patient);
  if (given && turn === before) await take(given);
}

async function take(given) {
  desk = given;
  name = given.name;
  if (settling) disputes = (await ask("/api/disputes", {})).given.disputes;
  show();
}

async function refused(why) {
  shown = null;
  await refresh();
  status(why === "answered" || why === "not_disputed" ? say("answered") : say("cannot", why));
}

const answer = (verdict) =>
  alone(async () => {
    if (!shown || $("question").hidden) return;
    const { given, refused: why } = await ask("/api/answer", {
      name, question: shown.id, verdict, flagged, comment: $("comment").value.trim(), settles: settling,
    });
    if (why) return refused(why);
    await take(given);
    status(say("saved", say(verdict === "skip" && settling ? "leave" : verdict)));
  });

const takeBack = () =>
  alone(async () => {
    const last = settling ? desk.last_settled : desk.last;
    if (!last) return status(say("nothing_to_undo"));
    const { given, refused: why } = await ask("/api/undo", { name, answer: last.answer });
    if (why) return refused(why);
    shown = null;
    await take(given);
    status(say("undone"));
  });

const see = (toSettle) =>
  alone(async () => {
    settling = toSettle;
    shown = null;
    await refresh();
  });

async function think() {
  const open = $("models").hidden;
  expand("think", "models", open);
  if (!open) return;
  const asked = shown;
  const { given } = await ask("/api/models", { question: asked.id });
  if (!given || shown !== asked) return;
  const chance = (place) => given.probabilities && `${Math.round(100 * given.probabilities[place])} %`;
  const lines = [
    ["similarity", given.similarity?.toFixed(3)], ["by_model", chance(0)], ["by_initial", chance(1)], ["by_bm25", chance(2)],
    ["role", given.role && say(given.role)],
  ].filter(([, value]) => value);
  $("models").querySelector("dl").replaceChildren(
    ...(lines.length ? lines.flatMap(([word, value]) => [element("dt", say(word)), element("dd", value)])
      : [element("dt", say("no_thoughts")), element("dd", "")]));
  status(lines.map(([word, value]) => `${say(word)}: ${value}`).join("; ") || say("no_thoughts"));
}

function comment() {
  const open = $("comment-box").hidden;
  expand("say", "comment-box", open);
  if (open) $("comment").focus();
}

function flag() {
  setFlag(!flagged);
  status(say(flagged ? "is_flagged" : "not_flagged"));
}

function switchKeys() {
  keys = !keys;
  remember("keys", keys ? "on" : "off");
  $("keys").setAttribute("aria-pressed", keys);
  document.body.classList.toggle("no-keys", !keys);
  status(say(keys ? "keys_on" : "keys_off"));
}

async function signIn(given) {
  const { given: view, refused: why } = await ask("/api/desk", { name: given });
  if (why) {
    $("name-wrong").textContent = say("name_wrong");
    $("name").focus();
    return;
  }
  $("name-wrong").textContent = "";
  name = view.name;
  remember("name", name);
  shown = null;
  settling = false;
  await take(view);
}

const PRESSED = {
  s: () => answer("skip"), u: takeBack, f: flag, c: comment, m: think,
  ...Object.fromEntries(VERDICTS.map((verdict, place) => [String(place + 1), () => answer(verdict)])),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === $("comment")) {
    $("claim").focus();
    return;
  }
  const typing = event.target.closest("input, textarea");
  if (typing || !keys || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const act = PRESSED[event.key.toLowerCase()];
  const asked = !$("question").hidden;
  if (!act || (!asked && !(event.key.toLowerCase() === "u" && !$("rest").hidden))) return;
  event.preventDefault();
  act();
});

for (const button of document.querySelectorAll("[data-verdict]"))
  button.addEventListener("click", () => answer(button.dataset.verdict));
$("undo").addEventListener("click", takeBack);
$("flag").addEventListener("click", flag);
$("say").addEventListener("click", comment);
$("think").addEventListener("click", think);
$("keys").addEventListener("click", switchKeys);
$("view-ask").addEventListener("click", () => see(false));
$("view-settle").addEventListener("click", () => see(true));
$("who").addEventListener("click", showSignIn);
$("language").addEventListener("click", () => {
  language = WORDS[language].other_language_code;
  remember("language", language);
  translate();
  const open = $("sign-in").hidden;
  shown = null;
  $("rest-title").textContent = "";
  if (open && desk) show();
  $("language").focus();
});
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("name").value);
});

// Others may answer meanwhile, and whoever is heard of keeps their question.
async function listen() {
  for (;;) {
    await pause(desk?.question && !settling ? 15000 : 2500);
    if (busy || !name || !$("sign-in").hidden || !desk) continue;
    await refresh(desk.done ? false : true);
  }
}

async function begin() {
  translate();
  $("keys").setAttribute("aria-pressed", keys);
  document.body.classList.toggle("no-keys", !keys);
  hello = (await ask("/api/hello", {})).given;
  $("run").textContent = visible(hello.run);
  document.title = hello.run;
  const suggested = name ?? hello.name;
  if (suggested) await signIn(suggested);
  if (!desk) showSignIn();
  listen();
}
begin();
