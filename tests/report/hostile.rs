//! Texts that mean harm, or are merely unusual.

use orchestrator_tests::browser::start;
use serde_json::json;

use crate::Changed;

const MARKUP: &str = "</script></style><img src=x onerror=\"window.harmed=1\"><script>window.harmed=2</script><!-- {{ 7 * 7 }} {% raw %} &amp; https://elsewhere.example/x";
const CONTROLS: &str = "bell \u{7} escape \u{1b}[31m null-ish \u{1} override \u{202e}txt.exe\u{202c} mark \u{200f} bom \u{feff} zero\u{200b}width";
const RIGHT_TO_LEFT: &str = "תרופה A מפחיתה את הסיכון ב-50% (95% CI 1.2–3.4)";
const EMOJI: &str = "👩🏽‍🔬 saw 🧬 and 🇺🇳 in 한국어, 日本語, ไทย, می‌خواهم";

#[test]
fn they_are_shown_as_they_are_and_harm_nothing() {
    let changed = Changed::by("");
    {
        let store = changed.open();
        let long = "x".repeat(100_000);
        let lines = "a line\n".repeat(20_000);
        let texts = [MARKUP, CONTROLS, RIGHT_TO_LEFT, EMOJI, &long, &lines];
        // Every text becomes one of them, and everything that has a name.
        let ids: Vec<i64> = {
            let mut statement = store.prepare("SELECT id FROM text ORDER BY id").unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        for (place, id) in ids.iter().enumerate() {
            let text = texts[place % texts.len()];
            store
                .execute("UPDATE text SET content = ?1 WHERE id = ?2", (text, id))
                .unwrap();
        }
        for statement in [
            "UPDATE run SET name = ?1",
            "UPDATE document SET title = ?1, id = ?1 || number",
            "UPDATE anchor SET id = ?1 || number",
            "UPDATE verdict SET reason = ?1",
            "UPDATE provenance SET source = ?1 WHERE source = 'random'",
            "UPDATE plugin SET settings = ?1",
            "UPDATE topic SET terms = json_array(?1, ?1)",
            "UPDATE metric SET name = ?1 WHERE name = 'loss/mnrl'",
            "INSERT INTO event (at, kind, detail) VALUES (3, 'warning', ?1 || ': what. To do: ' || ?1)",
            "INSERT INTO event (at, kind, detail) VALUES (3, 'adapt', ?1)",
        ] {
            store.execute(statement, [MARKUP]).unwrap();
        }
    }
    let report = changed.report();
    assert!(report.len() < 6_000_000, "{}", report.len());
    assert!(!report.contains("https://") && !report.contains("<img"));
    assert!(report.contains("of 100,000 characters") || report.contains("100,000</data>"));
    let Some(browser) = start() else { return };
    let page = browser.person();
    page.offline();
    for width in [1280, 360] {
        page.wide(width);
        page.open(&format!("file://{}", changed.path().display()));
        page.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        assert_eq!(page.value("typeof window.harmed"), "undefined");
        assert_eq!(
            page.value("document.querySelectorAll('img, iframe, object, main script').length"),
            0
        );
        assert_eq!(page.value(crate::browsing::WIDER), json!([]), "{width}");
        assert_eq!(browser.complaints(), Vec::<String>::new());
        page.picture(&format!("report-hostile-{width}"));
    }
    let asked = browser.asked();
    assert!(
        asked.iter().all(|address| address.starts_with("file://")),
        "{asked:?}"
    );
    let shown = page.value("document.querySelector('main').textContent");
    let shown = shown.as_str().unwrap();
    for part in [
        "<script>window.harmed=2</script>",
        "{{ 7 * 7 }} {% raw %} &amp;",
        "bell ␇ escape ␛[31m",
        "override ⟨U+202E⟩txt.exe⟨U+202C⟩",
        "zero⟨U+200B⟩width",
        RIGHT_TO_LEFT,
        EMOJI,
    ] {
        assert!(shown.contains(part), "{part}");
    }
    let directions = page.value(
        "[...document.querySelectorAll('bdi.text')].filter((one) => one.textContent.startsWith('תרופה')).map((one) => getComputedStyle(one).direction)",
    );
    assert!(
        directions
            .as_array()
            .unwrap()
            .iter()
            .all(|one| *one == json!("rtl")),
        "{directions}"
    );
}
