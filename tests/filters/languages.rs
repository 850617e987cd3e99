//! The filter `language` on texts of which we know the language: the Universal Declaration of Human Rights.

use std::collections::BTreeMap;

use serde_json::json;

use crate::lent::{Filters, Row, World, builtin, negative, positive};

/// Languages by code: a short text and a long one (bench/fixtures/languages.py).
pub(crate) fn declarations() -> BTreeMap<String, [String; 2]> {
    serde_json::from_str(include_str!("../fixtures/languages.json")).unwrap()
}

/// Short texts that hold too little to tell: Catalan is near to several.
const UNDECIDED: [&str; 1] = ["cat"];

#[test]
fn every_language_is_told_from_all_others_by_texts_short_and_long() {
    let (filters, texts) = (Filters::new(), declarations());
    let verdicts = |wanted: &[&str], rows: &[Row]| {
        // Few characters are many words in Chinese.
        let settings = json!({ "languages": wanted, "min_letters": 30 });
        filters.judge("language", &settings, &World::default(), rows)
    };
    let title = &texts["eng"][0];
    for (code, [short, long]) in &texts {
        let rows = [
            positive(1, short),
            positive(1, long),
            // A title in English over an abstract that is not, and a line of copyright under it.
            positive(1, &format!("{title} {long}")),
            positive(1, &format!("{long} {title}")),
        ];
        for verdict in verdicts(&[code], &rows) {
            assert!(verdict.keep, "{code}: {verdict:?}");
        }
        // Not wanted: each goes, for being what it is.
        let other = if code == "eng" { "deu" } else { "eng" };
        let own = format!("({code})");
        for (row, verdict) in verdicts(&[other], &rows).iter().enumerate() {
            if row == 0 && UNDECIDED.contains(&code.as_str()) {
                continue;
            }
            assert!(
                !verdict.keep && verdict.reason.contains(&own),
                "{code} {row}: {verdict:?}"
            );
        }
    }
    let all: Vec<&str> = texts.keys().map(String::as_str).collect();
    let rows: Vec<Row> = texts
        .values()
        .flatten()
        .map(|text| negative(1, text))
        .collect();
    assert!(verdicts(&all, &rows).iter().all(|verdict| verdict.keep));
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
