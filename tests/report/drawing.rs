//! What a report says, without a browser: its queries, its honesty, the metrics it was never told of.

use orchestrator_tests::succeed;
use serde_json::Value;

use crate::{Changed, run, unescaped};

/// Every query that a report prints.
fn printed(report: &str) -> Vec<String> {
    report
        .split("<details class=\"query\">")
        .skip(1)
        .map(|part| {
            let pre = part.split("<pre").nth(1).unwrap();
            let sql = pre
                .split_once('>')
                .unwrap()
                .1
                .split("</pre>")
                .next()
                .unwrap();
            unescaped(sql)
        })
        .collect()
}

#[test]
fn every_query_that_is_printed_runs() {
    let whole = std::fs::read_to_string(run().join("report.html")).unwrap();
    let empty = Changed::by("");
    let store = empty.open();
    let queries = printed(&whole);
    assert!(queries.len() > 30, "only {}", queries.len());
    for sql in queries {
        let mut statement = store
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
        assert!(statement.readonly(), "{sql}");
        let mut rows = statement.query([]).unwrap();
        while rows
            .next()
            .unwrap_or_else(|error| panic!("{error}\n{sql}"))
            .is_some()
        {}
    }
}

/// The figures of a view, each with its fields.
fn figures(view: &Value) -> Vec<&serde_json::Map<String, Value>> {
    match view {
        Value::Object(fields) => {
            let own = fields.contains_key("sql") && fields.contains_key("id");
            let mut all: Vec<_> = fields.values().flat_map(figures).collect();
            all.extend(own.then_some(fields));
            all
        }
        Value::Array(items) => items.iter().flat_map(figures).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_figure_shows_something_or_says_why_not() {
    let nothing = Changed::by(
        "DELETE FROM suspect; DELETE FROM influence; DELETE FROM topical; DELETE FROM topic; DELETE FROM projection;
         DELETE FROM retrieved; DELETE FROM slice_score; DELETE FROM slice; DELETE FROM audited; DELETE FROM answer;
         DELETE FROM question; DELETE FROM annotation; DELETE FROM evaluation; DELETE FROM use; DELETE FROM score;
         DELETE FROM verdict; DELETE FROM provenance; DELETE FROM sample; DELETE FROM metric; DELETE FROM checkpoint;
         DELETE FROM event WHERE kind <> 'start'; DELETE FROM tick WHERE number > 0;",
    );
    for (folder, has_all) in [(run(), true), (nothing.folder.path(), false)] {
        let view = succeed(&["report", ".", "--json"], folder);
        let view: Value = serde_json::from_str(&view).unwrap();
        let all = figures(&view);
        assert!(all.len() > 30, "only {} figures", all.len());
        for figure in all {
            let (shown, empty) = (&figure["shown"], &figure["empty"]);
            assert_ne!(shown.is_null(), empty.is_null(), "{figure:?}");
        }
        assert_eq!(view["opening"].as_array().unwrap().len(), 3);
        assert_eq!(view["influence"]["harmful"]["shown"].is_null(), !has_all);
    }
    let report = nothing.report();
    assert!(report.contains("This run is not finished: its last completed tick is"));
    assert!(report.contains("No sample has been proposed yet."));
    assert!(!report.contains("NaN") && !report.contains(">inf<"));
}

#[test]
fn a_run_that_did_not_finish_says_where_it_stopped() {
    for (event, expected) in [
        (
            "interrupt', ''",
            "This run was interrupted: its last completed tick is",
        ),
        ("fail', 'the <disk> is full'", "the &lt;disk&gt; is full"),
    ] {
        let changed = Changed::by(&format!(
            "DELETE FROM event WHERE kind = 'finish'; INSERT INTO event (at, kind, detail) VALUES (2, '{event});"
        ));
        let report = changed.report();
        assert!(report.contains(expected), "{event}");
        assert!(report.contains("href=\"#status\""));
    }
    assert!(
        !std::fs::read_to_string(run().join("report.html"))
            .unwrap()
            .contains("id=\"status\"")
    );
}

#[test]
fn metrics_that_a_plugin_adds_are_drawn() {
    let changed = Changed::by(
        "INSERT INTO metric SELECT tick, step, 'plugin/my_loss/temperature', 0.05 + step / 1000.0 FROM metric WHERE name = 'loss';
         INSERT INTO metric SELECT number, -1, 'plugin/my_sampler/visited', number FROM tick WHERE kind = 'evaluate';
         INSERT INTO metric VALUES (0, -1, 'something/new', 42);",
    );
    let report = changed.report();
    let other = report.split("id=\"other\"").nth(1).unwrap();
    let other = other.split("</section>").next().unwrap();
    // The loss `mnrl` of the run reports one itself.
    assert_eq!(other.matches("<figure").count(), 3, "{other}");
    for name in ["mnrl", "my_loss", "my_sampler", "something"] {
        assert!(other.contains(name), "{name}");
    }
}

#[test]
fn few_are_said_to_be_few_and_lists_to_be_parts() {
    let report = std::fs::read_to_string(run().join("report.html")).unwrap();
    assert!(report.contains("with so few, the true value may lie far from this one"));
    assert!(report.contains("are shown; the query gives more."));
    assert!(report.len() < 2_000_000, "{}", report.len());
}

#[test]
fn nothing_in_it_is_an_address_elsewhere() {
    let report = std::fs::read_to_string(run().join("report.html")).unwrap();
    for word in [
        "http://",
        "https://",
        "src=",
        "url(",
        "@import",
        "//www",
        " style=\"",
        "onclick",
    ] {
        assert!(!report.contains(word), "{word}");
    }
    assert!(report.starts_with("<!doctype html>"));
    // A policy that lets nothing run or load but what stands in the file.
    assert!(
        report.contains("default-src &#x27;none&#x27;") || report.contains("default-src 'none'")
    );
    assert!(!report.contains("unsafe-inline"));
}
