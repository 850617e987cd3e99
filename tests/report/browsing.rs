//! The report in a browser.

use orchestrator_tests::browser::{Page, start};
use serde_json::json;

use crate::run;

const SECTIONS: [&str; 11] = [
    "opening",
    "better",
    "pool",
    "positives",
    "negatives",
    "training",
    "space",
    "influence",
    "failures",
    "people",
    "again",
];

/// What goes beyond the window: nothing but tables in their own frames.
pub const WIDER: &str = "[...document.querySelectorAll('main *, header *, footer *')].filter((one) => !one.closest('.scroll, svg, .command, .switch legend') && one.getBoundingClientRect().right > window.innerWidth + 1)
  .concat(document.documentElement.scrollWidth > window.innerWidth ? [document.body] : []).slice(0, 3).map((one) => one.outerHTML.slice(0, 300))";

fn open(page: &Page<'_>) {
    page.offline();
    page.open(&format!("file://{}", run().join("report.html").display()));
}

fn visible(page: &Page<'_>, language: &str) -> bool {
    let expression = format!(
        "[...document.querySelectorAll('h2 span[lang={language}]')].every((one) => getComputedStyle(one).display !== 'none')
         && [...document.querySelectorAll('h2 span[lang]:not([lang={language}])')].every((one) => getComputedStyle(one).display === 'none')"
    );
    page.value(&expression) == true
}

#[test]
fn it_needs_nothing_but_itself_and_fits_every_width() {
    let Some(browser) = start() else { return };
    let page = browser.person();
    for width in [1280, 800, 360] {
        page.wide(width);
        open(&page);
        let asked = browser.asked();
        assert!(
            asked
                .iter()
                .all(|address| address.starts_with("file://") && address.ends_with("report.html")),
            "{asked:?}"
        );
        assert_eq!(browser.complaints(), Vec::<String>::new());
        // Every part opened: what is folded away counts too.
        page.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        assert_eq!(page.value(WIDER), json!([]), "{width}");
        let order = page.value(
            "[...document.querySelectorAll('main > section')].filter((one) => one.offsetHeight > 40).map((one) => one.id)",
        );
        assert_eq!(order, json!(SECTIONS));
        let hidden = page.value(
            "[...document.querySelectorAll('.figure')].filter((one) => !one.querySelector('h3').offsetHeight || !one.querySelector('.definition').offsetHeight).map((one) => one.id)",
        );
        assert_eq!(hidden, json!([]));
        page.value("document.querySelectorAll('details').forEach((one) => { one.open = false; })");
        page.picture(&format!("report-{width}"));
    }
}

#[test]
fn every_link_leads_somewhere() {
    let Some(browser) = start() else { return };
    let page = browser.person();
    page.wide(1280);
    open(&page);
    let lost = page.value(
        "[...document.querySelectorAll('a')].filter((one) => !one.getAttribute('href').startsWith('#') || !document.getElementById(one.hash.slice(1))).map((one) => one.outerHTML)",
    );
    assert_eq!(lost, json!([]));
    let twice = page.value(
        "(() => { const all = [...document.querySelectorAll('[id]')].map((one) => one.id); return all.filter((id, at) => all.indexOf(id) !== at); })()",
    );
    assert_eq!(twice, json!([]));
    let unnamed = page.value(
        "[...document.querySelectorAll('[aria-labelledby]')].filter((one) => !document.getElementById(one.getAttribute('aria-labelledby'))).map((one) => one.outerHTML.slice(0, 120))",
    );
    assert_eq!(unnamed, json!([]));
    // Three sentences, each to its evidence.
    assert_eq!(
        page.value("document.querySelectorAll('.opening a').length"),
        3
    );
}

#[test]
fn the_language_is_switched_by_script_and_without() {
    let Some(browser) = start() else { return };
    for script in [true, false] {
        let page = browser.person();
        page.wide(1280);
        if !script {
            page.without_script();
        }
        open(&page);
        assert!(visible(&page, "en"), "script: {script}");
        page.click("#lang-zh");
        assert!(visible(&page, "zh"), "script: {script}");
        assert!(page.text("#better h2").contains("变好了吗"));
        // In charts too.
        let drawn = page.value("[...document.querySelectorAll('svg tspan[lang=en]')].every((one) => getComputedStyle(one).display === 'none')");
        assert_eq!(drawn, true);
        page.click("#theme-dark");
        assert_eq!(
            page.value("getComputedStyle(document.documentElement).colorScheme"),
            "dark"
        );
        if script {
            assert_eq!(page.value("document.documentElement.lang"), "zh-CN");
            // It is remembered.
            open(&page);
            assert!(visible(&page, "zh"));
            assert_eq!(
                page.value("getComputedStyle(document.documentElement).colorScheme"),
                "dark"
            );
            assert_eq!(
                page.value("document.querySelector('data[data-n=c]').textContent.length > 0"),
                true
            );
        } else {
            // Everything is there to be read, and there are no buttons that do nothing.
            assert_eq!(
                page.value(
                    "document.querySelectorAll('main button, main input[type=search]').length"
                ),
                0
            );
            assert_eq!(
                page.value("document.querySelectorAll('#space figure').length > 1"),
                true
            );
            let shown = |page: &Page<'_>| {
                page.value("[...document.querySelectorAll('#space figure')].filter((one) => one.offsetHeight).map((one) => one.className)")
            };
            let last = shown(&page);
            page.click("#epoch-1");
            assert_eq!(shown(&page), json!(["epoch e1"]));
            assert_ne!(shown(&page), last);
            page.click("#epoch-all");
            assert!(shown(&page).as_array().unwrap().len() > 1);
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn tables_sort_and_filter_by_keyboard() {
    let Some(browser) = start() else { return };
    let page = browser.person();
    page.wide(1280);
    open(&page);
    let column = "[...document.querySelectorAll('#funnel tbody tr')].map((row) => Number(row.cells[2].querySelector('data').value) + 0.5)";
    page.value("document.querySelectorAll('#funnel th button')[2].focus()");
    page.key("Enter");
    let up = page.value(column);
    let mut sorted: Vec<f64> = up
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_f64().unwrap())
        .collect();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(up, json!(sorted));
    assert_eq!(
        page.value("document.querySelectorAll('#funnel th')[2].getAttribute('aria-sort')"),
        "ascending"
    );
    page.key("Enter");
    sorted.reverse();
    assert_eq!(page.value(column), json!(sorted));
    assert_eq!(
        page.value("document.querySelectorAll('#funnel th[aria-sort]').length"),
        1
    );

    page.value("document.querySelector('#worst input[type=search]').focus()");
    let all = page.value("document.querySelectorAll('#worst tbody tr').length");
    let word =
        page.value("document.querySelector('#worst tbody tr').querySelector('bdi').textContent.split(/\\W+/).sort((a, b) => b.length - a.length)[0]");
    page.type_in(word.as_str().unwrap());
    let left = page.value(
        "[...document.querySelectorAll('#worst tbody tr')].filter((row) => !row.hidden).length",
    );
    assert!(
        left.as_u64() >= Some(1) && left.as_u64() < all.as_u64(),
        "{left} of {all} have {word}"
    );
    assert!(
        page.text("#worst [role=status]")
            .starts_with(&format!("{left} / {all}"))
    );

    // A command is copied with the folder of the run in it.
    let copied = page.value(
        "(async () => { let text = ''; navigator.clipboard.writeText = async (one) => { text = one; };
           document.querySelector('#worst .copier').click(); await new Promise((done) => setTimeout(done, 50)); return text; })()",
    );
    let folder = run().display().to_string();
    assert!(
        copied
            .as_str()
            .unwrap()
            .starts_with(&format!("orchestrator explain {folder} ")),
        "{copied}"
    );
}

#[test]
fn it_can_be_used_without_sight_in_both_languages_and_appearances() {
    let Some(browser) = start() else { return };
    if std::env::var_os("AXE").is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"\nSKIPPED: AXE names no axe-core, so accessibility was not checked (npm pack axe-core@4.10.3)\n\n",
        );
        return;
    }
    // Colours do not depend on the language: each is looked at once with each.
    for (language, theme) in [("en", "light"), ("zh", "dark")] {
        let page = browser.person();
        page.wide(if language == "en" { 1280 } else { 800 });
        open(&page);
        page.click(&format!("#lang-{language}"));
        page.click(&format!("#theme-{theme}"));
        page.picture(&format!("report-{language}-{theme}"));
        page.value("document.querySelectorAll('details').forEach((one, at) => { one.open = at % 3 === 0; })");
        let found = page
            .violations(&["serious", "critical", "moderate"])
            .unwrap();
        assert_eq!(found, json!([]), "{language}, {theme}");
    }
}

#[test]
fn it_prints_in_light_and_without_what_cannot_be_pressed() {
    let Some(browser) = start() else { return };
    let page = browser.person();
    page.wide(800);
    page.dark();
    open(&page);
    page.click("#theme-dark");
    page.printed();
    assert_eq!(
        page.value("getComputedStyle(document.documentElement).colorScheme"),
        "light"
    );
    let left = page.value(
        "[...document.querySelectorAll('.switches, .contents, .copier, .filter, details.query')].filter((one) => one.offsetHeight).length",
    );
    assert_eq!(left, 0);
    // Lists are not cut at their height.
    let cut = page.value("[...document.querySelectorAll('.tall')].filter((one) => one.scrollHeight > one.clientHeight + 2).length");
    assert_eq!(cut, 0);
    let wide = page.value(WIDER);
    assert_eq!(wide, json!([]));
}
