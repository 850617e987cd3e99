//! Templates of somebody else, and sections that they add.

use std::path::Path;

use orchestrator_tests::{experiment, fail, small_experiment, succeed};

use crate::{Changed, run};

fn file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_template_stands_in_for_ours_and_sections_are_added_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let (templates, run) = (folder.path().join("mine"), run().to_str().unwrap());
    file(
        &templates,
        "again.html.j2",
        "<section class=\"part\" id=\"again\"><p>Ask {{ run.name }} again.</p></section>",
    );
    file(
        &templates,
        "words.json",
        "{\"mine.title\": [\"Longest claims\", \"最长的论断\"], \"nav.pool\": [\"Samples\", \"样本\"]}",
    );
    file(&templates, "more.css", "/* by itself it does nothing */");
    file(
        &templates,
        "sections/b_longest.html.j2",
        "<h3>{{ t(\"mine.title\") }}</h3><ol>{% for row in rows %}<li>{{ row.content | text(60) }}: {{ row.n | count }}</li>{% endfor %}</ol>",
    );
    file(
        &templates,
        "sections/b_longest.sql",
        "SELECT content, length(content) AS n FROM text JOIN anchor ON anchor.text = text.id ORDER BY n DESC LIMIT 3;",
    );
    file(
        &templates,
        "sections/a_first.html.j2",
        "{{ rows[0].n }} ticks",
    );
    file(
        &templates,
        "sections/a_first.sql",
        "SELECT count(*) AS n FROM tick",
    );
    let _ = succeed(
        &[
            "report",
            run,
            "--templates",
            "mine",
            "--output",
            "mine.html",
        ],
        folder.path(),
    );
    let report = std::fs::read_to_string(folder.path().join("mine.html")).unwrap();
    assert!(
        report.contains("Ask <") || report.contains("Ask small again."),
        "the replaced section"
    );
    assert!(!report.contains("How do I get it again?"));
    let place = |what: &str| report.find(what).unwrap_or_else(|| panic!("no {what}"));
    assert!(place("id=\"added-1\"") < place("id=\"added-2\""));
    assert!(place(" ticks") < place("最长的论断"));
    assert!(report.contains("<span lang=\"en\">Samples</span>"));
    assert_eq!(
        report
            .split("id=\"added-2\"")
            .nth(1)
            .unwrap()
            .matches("<li>")
            .count(),
        3
    );
}

#[test]
fn what_is_wrong_with_a_template_or_a_query_is_said_with_its_place() {
    let run = run().to_str().unwrap();
    for (files, expected) in [
        (
            &[("pool.html.j2", "fine\n{% for %}")][..],
            &["pool.html.j2:2"][..],
        ),
        (
            &[("pool.html.j2", "a\nb\n{{ t(\"no.such.word\") }}")],
            &["pool.html.j2:3", "no.such.word"],
        ),
        (
            &[("words.json", "{\"a\": [\"one language\"]}")],
            &["words.json", "中文"],
        ),
        (&[("sections/x.html.j2", "x")], &["x.sql"]),
        (
            &[
                ("sections/x.html.j2", "x"),
                ("sections/x.sql", "SELECT n FROM nowhere"),
            ],
            &["x.sql", "no such table: nowhere", "docs/STORE.md"],
        ),
        (
            &[
                ("sections/x.html.j2", "x"),
                ("sections/x.sql", "DELETE FROM event"),
            ],
            &["x.sql", "readonly"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            file(&folder.path().join("mine"), name, text);
        }
        let shown = fail(
            &["report", run, "--templates", "mine", "--output", "x.html"],
            folder.path(),
            3,
        );
        for part in expected {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        assert!(!folder.path().join("x.html").exists());
    }
}

#[test]
fn an_experiment_names_its_templates_and_the_plan_does_not() {
    let text = small_experiment().replace("active_learning:", "#");
    let folder = experiment(&format!("{text}report: {{ templates: mine }}\n"));
    let path = folder.path();
    let missing = fail(&["check", "x.yaml"], path, 2);
    assert!(
        missing.contains("x.yaml:") && missing.contains("is no folder"),
        "{missing}"
    );
    file(&path.join("mine"), "opening.html.j2", "{% if %}");
    let wrong = fail(&["check", "x.yaml"], path, 2);
    assert!(
        wrong.contains("opening.html.j2:1") && wrong.contains("x.yaml:"),
        "{wrong}"
    );
    file(
        &path.join("mine"),
        "opening.html.j2",
        "<section class=\"part\" id=\"opening\"><p>House style.</p></section>",
    );
    let _ = succeed(&["run", "x.yaml", "--run-dir", "r", "--json"], path);
    let report = std::fs::read_to_string(path.join("r/report.html")).unwrap();
    assert!(report.contains("House style."));
    let plan = std::fs::read_to_string(path.join("r/plan.json")).unwrap();
    assert!(!plan.contains("mine"), "{plan}");
    // The experiment that lies in the run's folder finds them from anywhere.
    let again = succeed(&["check", "r/experiment.yaml", "--json"], path);
    assert!(!again.contains("mine"));
    let _ = succeed(&["report", "r", "--output", "again.html"], path);
    assert!(
        std::fs::read_to_string(path.join("again.html"))
            .unwrap()
            .contains("House style.")
    );
}

#[test]
fn the_view_is_printed_as_json() {
    let changed = Changed::by("");
    let shown = succeed(&["report", ".", "--json"], changed.folder.path());
    let view: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(view["run"]["name"], "small");
    assert!(!changed.path().exists(), "nothing is written");
    let documented =
        std::fs::read_to_string(orchestrator_tests::repository().join("docs/REPORT.md")).unwrap();
    for part in view.as_object().unwrap().keys() {
        assert!(
            documented.contains(&format!("`{part}`")),
            "{part} is not documented"
        );
    }
}
