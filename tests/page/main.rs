//! The page that people answer on, in a real browser: a whole round of two people, with the keyboard and by touch, and the
//! program killed in the middle.
#![allow(clippy::unwrap_used)]

mod command;
mod questions;

use orchestrator_tests::browser::{Page, start};
use orchestrator_tests::experiment;
use questions::{CONTROLS, MARKUP, Program, RIGHT_TO_LEFT, asking, rows, run_with_questions, said};

fn claim(page: &Page<'_>, text: &str) {
    page.until(&format!(
        "!document.querySelector('#question').hidden && document.querySelector('#claim').textContent === {}",
        serde_json::to_string(text).unwrap()
    ));
}

fn sign_in(page: &Page<'_>, name: &str) {
    page.until(
        "!document.querySelector('#sign-in').hidden && document.activeElement.id === 'name'",
    );
    page.type_in(name);
    page.key("Enter");
}

/// Nothing that axe-core finds is worth a word.
fn accessible(page: &Page<'_>, what: &str) {
    if let Some(found) = page.violations(&["serious", "critical", "moderate"]) {
        assert_eq!(found, serde_json::json!([]), "{what}");
    }
}

/// Nothing is cut off and everything can be touched.
fn fits(page: &Page<'_>) {
    let width = page.value("document.documentElement.scrollWidth <= window.innerWidth");
    assert_eq!(width, true, "wider than the screen");
    let small = page.value(
        "[...document.querySelectorAll('button, input, textarea, summary')].filter((one) => one.offsetParent)
           .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
           .filter(([, box]) => box.height < 44 || box.width < 44).map(([name]) => name)",
    );
    assert_eq!(small, serde_json::json!([]), "too small to touch");
}

#[test]
fn two_people_answer_everything_and_a_kill_in_the_middle_loses_nothing() {
    let Some(browser) = start() else { return };
    let run = tempfile::tempdir().unwrap();
    let folder = run.path();
    run_with_questions(folder);
    let mut program = Program::start(folder, "0");

    // Ann, with the keyboard.
    let ann = browser.person();
    ann.as_desktop();
    ann.open(&program.address);
    assert_eq!(
        ann.value("location.search"),
        "",
        "the token has left the address"
    );
    assert_eq!(
        ann.value("document.cookie"),
        "",
        "no script sees the cookie"
    );
    accessible(&ann, "signing in");
    ann.picture("sign-in");
    sign_in(&ann, "Ann");
    claim(&ann, MARKUP);
    assert_eq!(
        ann.value("document.querySelectorAll('#claim *, #run *, #title *').length"),
        0
    );
    assert_eq!(ann.value("document.activeElement.id"), "claim");
    accessible(&ann, "a question");
    ann.key("1");
    claim(
        &ann,
        "Vitamin D lowers the risk of fractures in older adults.",
    );
    // The next is shown, so the last is kept.
    assert_eq!(said(folder).len(), 1);
    ann.until("document.querySelector('#status').textContent === 'Saved: Supports'");
    ann.key("u");
    claim(&ann, MARKUP);
    ann.key("3");
    claim(
        &ann,
        "Vitamin D lowers the risk of fractures in older adults.",
    );
    let marked =
        ann.value("[...document.querySelectorAll('#text mark')].map((one) => one.textContent)");
    assert_eq!(
        marked.as_array().unwrap().len(),
        2,
        "two sentences in their document: {marked}"
    );
    assert!(ann.text("#text").starts_with("Whether vitamin D prevents"));
    assert_eq!(
        ann.text("#title"),
        "Vitamin D and fractures: a randomised trial <i>in</i> older adults"
    );
    ann.picture("question");
    // A flag, and a comment in which keys are letters.
    ann.key("f");
    ann.until("document.querySelector('#flag').getAttribute('aria-pressed') === 'true'");
    ann.key("c");
    ann.until("document.activeElement.id === 'comment'");
    ann.type_in("so 1 would <b>say</b>");
    ann.key("4");
    assert_eq!(
        ann.value("document.querySelector('#comment').value"),
        "so 1 would <b>say</b>4"
    );
    ann.key("Escape");
    assert_eq!(
        ann.value("document.querySelector('#models').hidden"),
        true,
        "not to bias"
    );
    ann.key("1");
    claim(
        &ann,
        &CONTROLS
            .replace('\u{1b}', "⟨U+001B⟩")
            .replace('\u{7}', "⟨U+0007⟩")
            .replace('\u{202e}', "⟨U+202E⟩")
            .replace('\u{202c}', "⟨U+202C⟩"),
    );
    let last = rows(folder).pop().unwrap();
    assert!(last.flagged && last.comment == "so 1 would <b>say</b>4");
    ann.picture("controls");
    ann.key("s");
    claim(&ann, RIGHT_TO_LEFT);
    assert_eq!(
        ann.value("getComputedStyle(document.querySelector('#claim')).direction"),
        "rtl"
    );
    ann.picture("right-to-left");
    // Two keys at once are one answer.
    ann.value("for (const key of ['2', '3']) document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))");
    claim(
        &ann,
        "0-dimensional biomaterials show inductive properties.",
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // Killed. What is said now is not kept, and the page says so and stays.
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let before = said(folder);
    ann.key("1");
    ann.until("document.querySelector('#alarm').textContent.startsWith('Not saved yet')");
    ann.picture("away");
    claim(
        &ann,
        "0-dimensional biomaterials show inductive properties.",
    );
    let mut program = Program::start(folder, &program.port);
    assert_eq!(said(folder), before);
    // The new program does not know the old page; the new address lets it go on where it was.
    ann.until("document.querySelector('#alarm').textContent.includes('Open the address')");
    let tab = ann.tab();
    tab.open(&program.address);
    claim(&ann, "Statins lower cholesterol.");
    assert_eq!(
        ann.value("document.querySelector('#alarm').textContent"),
        ""
    );
    assert!(
        ann.text("#source summary")
            .starts_with("The document it was made from · Vitamin D")
    );
    claim(&tab, "Statins lower cholesterol.");
    let _ = browser.complaints(); // of requests that nobody answered
    ann.key("4");
    ann.until(
        "document.querySelector('#rest-title').textContent === 'Nothing is open for you now'",
    );
    ann.picture("waiting");
    accessible(&ann, "waiting");

    // Bob, on a phone, at night, in Chinese.
    let bob = browser.person();
    bob.as_phone();
    bob.open(&program.address);
    bob.until("!document.querySelector('#sign-in').hidden");
    bob.touch("#language");
    bob.until("document.documentElement.lang === 'zh-CN'");
    fits(&bob);
    bob.touch("#name");
    bob.type_in("鲍勃");
    bob.key("Enter");
    claim(
        &bob,
        "Vitamin D lowers the risk of fractures in older adults.",
    );
    assert!(
        !bob.text("body").contains("would"),
        "what Ann said is not shown"
    );
    fits(&bob);
    accessible(&bob, "a question on a phone");
    bob.picture("phone");
    bob.touch("#think");
    bob.until("document.querySelector('#models dl').innerText.includes('37 %')");
    fits(&bob);
    bob.touch("[data-verdict=unrelated]");
    claim(
        &bob,
        &CONTROLS
            .replace('\u{1b}', "⟨U+001B⟩")
            .replace('\u{7}', "⟨U+0007⟩")
            .replace('\u{202e}', "⟨U+202E⟩")
            .replace('\u{202c}', "⟨U+202C⟩"),
    );
    bob.touch("[data-verdict=support]");
    claim(&bob, RIGHT_TO_LEFT);
    bob.open(
        &program
            .address
            .replace(&program.address[program.address.find('?').unwrap()..], ""),
    );
    claim(&bob, RIGHT_TO_LEFT);
    assert_eq!(
        bob.value("document.documentElement.lang"),
        "zh-CN",
        "remembered, like the name"
    );
    bob.touch("[data-verdict=partial]");
    bob.until("document.querySelector('#rest-title').textContent === '还有分歧'");
    fits(&bob);
    accessible(&bob, "disagreements");
    bob.picture("phone-disagreements");

    // Ann's page hears of it by itself; she settles what they disagree about.
    ann.until("document.querySelector('#rest-title').textContent === 'Disagreements are left'");
    ann.dark();
    ann.value("document.querySelector('#rest-row button').click()");
    claim(
        &ann,
        "Vitamin D lowers the risk of fractures in older adults.",
    );
    ann.until("!document.querySelector('#opinions').hidden");
    let opinions = ann.text("#opinions ul");
    assert!(
        opinions.contains("Ann: Supports · flagged · so 1 would <b>say</b>4")
            && opinions.contains("鲍勃: Unrelated"),
        "{opinions}"
    );
    ann.picture("settling");
    accessible(&ann, "settling");
    ann.key("3");
    ann.until("document.querySelector('#rest-title').textContent === 'Everything is answered'");
    let agreement =
        ann.value("[...document.querySelectorAll('#agreement td')].map((one) => one.textContent)");
    // Two questions in common, one agreed: ((2·1 − 1) / (4 − 1)).
    assert_eq!(
        agreement,
        serde_json::json!(["Ann, 鲍勃", "2", "1", "0.33"])
    );
    ann.picture("done");
    accessible(&ann, "done");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // It ends by itself.
    assert!(program.child.wait().unwrap().success());
    let expected: Vec<(u64, String, String, bool)> = [
        (1, "Ann", "support", false),
        (1, "Ann", "undo", false),
        (1, "Ann", "contradict", false),
        (2, "Ann", "support", false),
        (3, "Ann", "skip", false),
        (4, "Ann", "partial", false),
        (5, "Ann", "support", false),
        (6, "Ann", "unrelated", false),
        (2, "鲍勃", "unrelated", false),
        (3, "鲍勃", "support", false),
        (4, "鲍勃", "partial", false),
        (2, "Ann", "contradict", true),
    ]
    .map(|(question, who, what, settles)| (question, who.to_owned(), what.to_owned(), settles))
    .into();
    assert_eq!(said(folder), expected);
    assert_eq!(ann.value("typeof window.harmed"), "undefined");
}

#[test]
fn a_run_puts_its_questions_and_goes_on_by_itself_and_the_page_stays_open() {
    let Some(browser) = start() else { return };
    let folder = experiment(&asking("page"));
    let mut program = Program::that(
        folder.path(),
        &["run", "x.yaml", "--run-dir", "r", "--json"],
    );
    let ann = browser.person();
    ann.as_desktop();
    ann.open(&program.address);
    sign_in(&ann, "Ann");
    let run = folder.path().join("r");
    for round in 0..2 {
        for question in 0..3 {
            // The second round comes to the page that was open in the first.
            let place = 3 * round + question + 1;
            ann.until(&format!(
                "!document.querySelector('#question').hidden && shown.id === {place} && !busy"
            ));
            ann.key("4");
            ann.until(&format!("shown?.id !== {place}"));
            assert_eq!(said(&run).len(), place);
        }
        ann.until("document.querySelector('#rest-title').textContent === 'Everything is answered'");
    }
    assert!(program.child.wait().unwrap().success());
    assert!(run.join("report.html").is_file());
    assert_eq!(said(&run).len(), 6);
}
