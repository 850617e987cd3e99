//! Our filters, called through the ABI like anybody's: what each doc comment promises, in tables of cases; similarities of
//! texts and statistics equal to scikit-learn's, SciPy's and NumPy's; near repeats equal to those of brute force.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use lent::{Filters, World, corpus, negative, positive};

#[path = "filters/languages.rs"]
mod languages;
#[path = "filters/lent.rs"]
mod lent;
#[path = "filters/models.rs"]
mod models;
#[path = "filters/rates.rs"]
mod rates;
#[path = "filters/repeats.rs"]
mod repeats;

#[test]
fn texts_are_kept_by_their_length_and_unless_retracted() {
    let filters = Filters::new();
    let world = World {
        corpus: corpus(&["RETRACTED: Sleep and memory", "Sleep"]),
        ..World::default()
    };
    let texts = ["one two three", "one - two", "one two 3,5"].map(|text| positive(1, text));
    let said = ["", "2 words, fewer than 3", ""];
    filters.expect(
        "word_count",
        &json!({ "min_words": 3 }),
        &world,
        &texts,
        &said,
    );
    let mut rows = [
        "We slept",
        "We slept",
        "Retraction note: we did not sleep",
        "[Retraction of 1]",
        "Slept, retracted: no",
    ]
    .map(|text| negative(1, text));
    rows[0].document = 0;
    rows[1].document = 1;
    let said = ["title", "", "retraction note:", "[retract", ""];
    filters.expect("retracted", &json!({}), &world, &rows, &said);
}

#[test]
fn patterns_drop_what_matches_and_keep_only_what_matches() {
    let filters = Filters::new();
    let rows = [
        "See Figure 3 below",
        "p = 0.05, table 2",
        "nothing\nFigure 1",
    ]
    .map(|text| negative(1, text));
    for (settings, said) in [
        (
            json!({ "drop": [r"Figure \d", r"Table \d"] }),
            [r#""Figure 3" matches `Figure \d`"#, "", r"`Figure \d`"],
        ),
        (
            json!({ "drop": [r"^figure", r"Table \d"], "ignore_case": true }),
            ["", r#""table 2" matches `Table \d`"#, ""],
        ),
        (json!({ "drop": ["(?m)^Figure"] }), ["", "", "\"Figure\""]),
        (
            json!({ "keep": [r"\bp = ", "nothing"] }),
            ["matches none of `keep`", "", ""],
        ),
        // What `drop` says counts for what `keep` would keep.
        (
            json!({ "keep": ["Figure"], "drop": ["nothing"] }),
            ["", "matches none", "matches `nothing`"],
        ),
    ] {
        filters.expect("pattern", &settings, &World::default(), &rows, &said);
    }
}

#[test]
fn settings_that_only_the_plugin_can_refuse_are_named() {
    let filters = Filters::new();
    for (name, settings, pointer, said) in [
        (
            "pattern",
            json!({ "drop": ["(a", "b"] }),
            "/drop/0",
            "unclosed group",
        ),
        (
            "pattern",
            json!({ "drop": ["a"], "keep": ["b", "*"] }),
            "/keep/1",
            "`*`",
        ),
        (
            "pattern",
            json!({ "drop": [r"(?=a)"] }),
            "/drop/0",
            "look-around",
        ),
        ("pattern", json!({}), "", "neither"),
        (
            "language",
            json!({ "languages": ["en", "klingon"] }),
            "/languages/1",
            "`klingon`",
        ),
        (
            "language",
            json!({ "languages": [] }),
            "/languages",
            "no language",
        ),
        (
            "false_negative",
            json!({ "model": "x" }),
            "/model",
            "no model `x`",
        ),
        (
            "false_negative",
            json!({ "margin": {} }),
            "/margin",
            "max_score",
        ),
        (
            "consistency",
            json!({ "model": "x" }),
            "/model",
            "no model `x`",
        ),
        (
            "similarity_range",
            json!({ "model": "x", "min": 0 }),
            "/model",
            "no model `x`",
        ),
        (
            "similarity_range",
            json!({ "min": 0.5, "max": 0.4 }),
            "/min",
            "0.5 is more",
        ),
        ("similarity_range", json!({}), "", "neither"),
        (
            "cross_encoder",
            json!({ "model": "x", "min_positive": 0.5 }),
            "/model",
            "no model `x`",
        ),
        (
            "cross_encoder",
            json!({ "model": "current" }),
            "",
            "nothing is bounded",
        ),
        (
            "cross_encoder",
            json!({ "model": "current", "min_positive": 0.5, "margin": {} }),
            "/margin",
            "leave the margin out",
        ),
    ] {
        let (at, message) = filters.refused(name, &settings);
        assert_eq!(at, pointer, "{name} {settings}: {message}");
        assert!(message.contains(said), "{name} {settings}: {message}");
    }
}
