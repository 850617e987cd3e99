//! Our filters, called through the ABI like anybody's: what each doc comment promises, in tables of cases; similarities of
//! texts and statistics equal to scikit-learn's, SciPy's and NumPy's; near repeats equal to those of brute force.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use lent::{Filters, Row, World, builtin, corpus, negative, positive};

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
    ] {
        let (at, message) = filters.refused(name, &settings);
        assert_eq!(at, pointer, "{name} {settings}: {message}");
        assert!(message.contains(said), "{name} {settings}: {message}");
    }
}

/// The first article of the Universal Declaration of Human Rights (ohchr.org).
const ARTICLE: [(&str, &str); 9] = [
    (
        "English",
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
    ),
    (
        "German",
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    ),
    (
        "French",
        "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    ),
    (
        "Spanish",
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    ),
    (
        "Dutch",
        "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    ),
    (
        "Swedish",
        "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och samvete och bör handla gentemot varandra i en anda av broderskap.",
    ),
    (
        "Russian",
        "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    ),
    (
        "Japanese",
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    ),
    (
        "Mandarin",
        "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。人人有资格享有本宣言所载的一切权利和自由。",
    ),
];

#[test]
fn texts_that_are_surely_in_another_language_go() {
    let filters = Filters::new();
    let rows: Vec<Row> = ARTICLE.iter().map(|(_, text)| positive(1, text)).collect();
    for (settings, wanted) in [
        (json!({}), &["English"][..]),
        (
            json!({ "languages": ["deu", "fr", "sv"] }),
            &["German", "French", "Swedish"],
        ),
        (
            json!({ "languages": ["en", "ja", "zh"] }),
            &["English", "Japanese", "Mandarin"],
        ),
    ] {
        let said: Vec<&str> = ARTICLE
            .iter()
            .map(|(name, _)| if wanted.contains(name) { "" } else { *name })
            .collect();
        filters.expect("language", &settings, &World::default(), &rows, &said);
    }
    // Too few letters, or nothing to tell by: kept.
    for (text, letters, said) in [
        ("Alle Menschen sind frei und gleich", 40, ""),
        (
            "Alle Menschen sind frei und gleich an Würde geboren",
            40,
            "German",
        ),
        (
            "Alle Menschen sind frei und gleich an Würde geboren",
            80,
            "",
        ),
        (
            "1234567890 1234567890 1234567890 1234567890 1234567890",
            0,
            "",
        ),
        (
            "tgf-b1 il-6 tnf-a cd4 cd8 ifn-g il-10 tgf-b2 il-12 mmp-9 nf-kb tlr4 vegf egfr her2",
            40,
            "",
        ),
    ] {
        let settings = json!({ "min_letters": letters });
        filters.expect(
            "language",
            &settings,
            &World::default(),
            &[negative(1, text)],
            &[said],
        );
    }
    // Every abstract of the built-in corpus is English.
    let (documents, _) = builtin();
    let rows: Vec<Row> = documents
        .iter()
        .map(|parts| negative(1, &parts.join(" ")))
        .collect();
    filters.expect(
        "language",
        &json!({}),
        &World::default(),
        &rows,
        &vec![""; rows.len()],
    );
}
