//! A tiny world for plugins to work in: documents, claims, judgements, samples. Fixed, so that what a plugin does in it is
//! the same everywhere.

use std::collections::BTreeSet;

use orchestrator_plugin_host::{Metrics, Services, Table};

use crate::lent::Models;

/// A document: id, title, sentences, metadata.
type Document = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// Two fields, two of each year apart, one withdrawn, one with a table, one blank.
const DOCUMENTS: &[Document] = &[
    (
        "d0",
        "Vitamin D and bone density in older adults",
        &[
            "We followed 412 adults over 65 for three years.",
            "Daily vitamin D increased bone density by 4% compared with placebo.",
            "No effect was seen on the rate of fractures.",
        ],
        r#"{"publish_year": 2004, "domain": "medicine"}"#,
    ),
    (
        "d1",
        "Vitamin D supplementation does not prevent fractures",
        &[
            "A randomised trial of 1,200 women compared vitamin D with placebo.",
            "Fracture rates did not differ between the groups (p = 0.71).",
        ],
        r#"{"publish_year": 2015, "domain": "medicine"}"#,
    ),
    (
        "d2",
        "Statins lower cholesterol in patients with diabetes",
        &[
            "Statins lowered LDL cholesterol by 1.1 mmol/L in patients with type 2 diabetes.",
            "Muscle pain was reported by 3% of patients.",
        ],
        r#"{"publish_year": 2011, "domain": "medicine"}"#,
    ),
    (
        "d3",
        "[RETRACTED] Statins raise the risk of diabetes tenfold",
        &["We report a tenfold increase of the risk of diabetes under statins."],
        r#"{"publish_year": 2009, "domain": "medicine", "retracted": true}"#,
    ),
    (
        "d4",
        "Graphene conducts heat better than copper",
        &[
            "The thermal conductivity of suspended graphene exceeded 3,000 W/mK at room temperature.",
            "Copper reached 400 W/mK under the same conditions.",
            "As shown in Table 1: conductivity falls with the number of layers.",
        ],
        r#"{"publish_year": 2008, "domain": "physics"}"#,
    ),
    (
        "d5",
        "Layer number and thermal conductivity of graphene",
        &[
            "Figure 2 demonstrates: ten layers of graphene conduct heat as bulk graphite does.",
            "Defects reduced conductivity further.",
        ],
        r#"{"publish_year": 2012, "domain": "physics"}"#,
    ),
    (
        "d6",
        "Perovskite solar cells degrade in moist air",
        &[
            "Cells kept at 60% humidity lost half of their efficiency within 200 hours.",
            "Encapsulated cells kept 95% of it.",
        ],
        r#"{"publish_year": 2016, "domain": "physics"}"#,
    ),
    (
        "d7",
        "Encapsulation does not protect perovskite cells from heat",
        &["At 85 degrees encapsulated cells lost 40% of their efficiency."],
        r#"{"publish_year": 2018, "domain": "physics"}"#,
    ),
    (
        "d8",
        "Sleep and memory in adolescents",
        &[
            "Adolescents who slept fewer than six hours recalled fewer words.",
            "Naps restored recall.",
        ],
        r#"{"publish_year": 2013, "domain": "cognition"}"#,
    ),
    (
        "d9",
        "Caffeine improves reaction time but not memory",
        &[
            "200 mg of caffeine shortened reaction time by 30 ms.",
            "Recall of words was unchanged.",
        ],
        r#"{"publish_year": 2010, "domain": "cognition"}"#,
    ),
    (
        "d10",
        "Forest fragments keep fewer bird species",
        &[
            "Fragments below 10 hectares kept 60% of the bird species of the whole forest.",
            "Corridors between fragments raised the number.",
        ],
        r#"{"publish_year": 2001, "domain": "ecology"}"#,
    ),
    ("d11", "", &[], "{}"),
];

/// What a document says of a claim: document, label, relevant, grade, sentences.
type Judgement = (i64, &'static str, bool, f32, &'static [i32]);

/// Claims, each with its judgements.
const CLAIMS: &[(&str, &[Judgement])] = &[
    (
        "Vitamin D increases bone density in older people.",
        &[(0, "support", true, 1.0, &[1])],
    ),
    (
        "Vitamin D prevents fractures.",
        &[
            (0, "contradict", false, 0.0, &[2]),
            (1, "contradict", false, 0.0, &[1]),
        ],
    ),
    (
        "Statins lower cholesterol in people with diabetes.",
        &[(2, "support", true, 1.0, &[0])],
    ),
    (
        "Graphene conducts heat better than copper does.",
        &[
            (4, "support", true, 1.0, &[0, 1]),
            (5, "partial", true, 0.7, &[0]),
        ],
    ),
    (
        "Encapsulation protects perovskite solar cells.",
        &[
            (6, "support", true, 1.0, &[1]),
            (7, "contradict", false, 0.0, &[0]),
        ],
    ),
    (
        "Caffeine improves memory.",
        &[
            (8, "neutral", false, 0.0, &[]),
            (9, "contradict", false, 0.0, &[1]),
        ],
    ),
];

/// Texts that real corpora hold and that break what was never tried on them.
pub(crate) fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a",
        "é",
        "😀",
        "👩\u{200d}🔬 studied 🧬\u{fe0f} at -40\u{a0}°C",
        "<p>One <b>bold</b> &amp; one &lt;escaped&gt; claim<br/></p><script>alert('x')</script>",
        "{\"json\": [1, 2, {\"deep\": null}]} \\\" \\u0000 \\n",
        "percent %s %n %d and {} and ${HOME} and $(true) and `true`",
        "مرحبا بالعالم هذا نص من اليمين إلى اليسار",
        "שלום עולם and left to right \u{202e}and back\u{202c}",
        "数据选择比模型更重要。样本的质量决定检索的效果。",
        "Z\u{335}\u{321}\u{337}a\u{334}\u{341}\u{300}l\u{336}g\u{338}\u{302}o\u{337}",
        "nul \u{0} bell \u{7} escape \u{1b}[31m delete \u{7f} next line \u{85}",
        "\u{feff}a byte order mark, a soft\u{ad}hyphen, a zero\u{200b}width space",
        "tab\tcarriage return\rline\nlines\r\nseparator\u{2028}paragraph\u{2029}end",
        "-",
        "...!?;:,()[]{}<>@#^&*~",
        "İstanbul ǅ ß ﬁ K Å Σίσυφος",
        "١٢٣ ４５６ Ⅷ ½ ² 1e308 -0.0 NaN inf 0x1F 1,234.5",
        "\u{10ffff}\u{e000}\u{fffd}",
    ]
    .map(str::to_owned)
    .into();
    // Every length of what a vector instruction reads at once, in letters of two bytes.
    texts.extend((1..=33).map(|n| "é".repeat(n)));
    texts.push("x".repeat(100_000));
    texts.push("word ".repeat(20_000));
    texts.push("語".repeat(33_334));
    texts.push(format!("{}end", "no full stop, only commas, ".repeat(300)));
    texts
}

/// What a plugin is called with, all but the steps of a loss.
pub(crate) struct World {
    corpus: Table,
    judgements: Table,
    held_out: Table,
    /// Samples of earlier rounds.
    kept: Table,
    others: Vec<(String, Table)>,
    models: Models,
    /// Columns of `orch.sampler/1`.
    pub anchors: Table,
    /// Columns of `orch.augmenter/1` and `orch.filter/1`.
    pub samples: Table,
    /// Columns of `orch.select/1`.
    pub pool: Table,
    /// The numbers of the anchors.
    pub known: BTreeSet<usize>,
    /// What was reported.
    pub metrics: Metrics,
}

impl World {
    /// The claims and documents above, `rows` of each table, over and over if there are not so many.
    pub fn of_rows(rows: usize) -> Self {
        let claims = (0..rows)
            .map(|row| {
                let text = CLAIMS[row % CLAIMS.len()].0;
                // Told apart, so that nothing can treat the many as the few.
                match row / CLAIMS.len() {
                    0 => text.to_owned(),
                    turn => format!("{text} ({turn})"),
                }
            })
            .collect();
        let texts: Vec<String> = (0..rows)
            .map(|row| {
                let sentences: Vec<&str> = DOCUMENTS
                    .iter()
                    .flat_map(|document| document.2.iter().copied())
                    .collect();
                match row / sentences.len() {
                    0 => sentences[row].to_owned(),
                    turn => format!("{} ({turn})", sentences[row % sentences.len()]),
                }
            })
            .collect();
        Self::new(claims, &texts, None)
    }

    /// [`odd_texts`] as claims, documents and samples.
    pub fn odd() -> Self {
        let odd = odd_texts();
        Self::new(odd.clone(), &odd, Some(&odd))
    }

    /// The samples `texts` of the claims above.
    pub fn of_texts(texts: &[&str]) -> Self {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let claims = CLAIMS.iter().map(|claim| claim.0.to_owned()).collect();
        Self::new(claims, &texts, None)
    }

    fn new(claims: Vec<String>, texts: &[String], documents: Option<&[String]>) -> Self {
        let titles: Vec<&str> = documents.map_or_else(
            || DOCUMENTS.iter().map(|one| one.1).collect(),
            |odd| odd.iter().rev().map(String::as_str).collect(),
        );
        let sentences: Vec<Vec<&str>> = documents.map_or_else(
            || DOCUMENTS.iter().map(|one| one.2.to_vec()).collect(),
            |odd| odd.iter().map(|one| vec![one.as_str(), "", " "]).collect(),
        );
        let n = titles.len();
        let corpus = corpus("d", &titles, &sentences);
        let elsewhere = [
            "Tea ceremonies in the Edo period",
            "Bridges of stone and bridges of steel",
        ];
        let said = [
            vec!["Guests entered through a low door."],
            vec![
                "Stone arches carry by compression alone.",
                "Steel carries tension too.",
            ],
        ];
        let others = vec![("elsewhere".to_owned(), self::corpus("e", &elsewhere, &said))];
        let held_out = Table::new(2)
            .strings("id", ["v0", "t0"])
            .strings("split", ["validation", "test"])
            .strings(
                "text",
                [
                    "Copper conducts heat better than graphene.",
                    "Naps improve memory in adolescents.",
                ],
            )
            .seal();
        let whole: Vec<String> = titles
            .iter()
            .zip(&sentences)
            .map(|(title, sentences)| format!("{title} {}", sentences.join(" ")))
            .collect();
        let rows: Vec<_> = (0i64..)
            .zip(CLAIMS)
            .take(claims.len())
            .flat_map(|(anchor, claim)| claim.1.iter().map(move |one| (anchor, one)))
            .collect();
        let whether: Vec<bool> = rows.iter().map(|(_, one)| one.2).collect();
        // The sentences of other documents are other: their rationales are the whole document.
        let rationale = |one: &[i32]| {
            if n == DOCUMENTS.len() {
                one.to_vec()
            } else {
                Vec::new()
            }
        };
        let judgements = Table::new(rows.len())
            .i64s("anchor", rows.iter().map(|row| row.0).collect())
            .i64s("document", rows.iter().map(|row| row.1.0).collect())
            .strings("label", rows.iter().map(|row| row.1.1))
            .bools("relevant", &whether)
            .f32s("grade", rows.iter().map(|row| row.1.3).collect())
            .i32_lists("sentences", rows.iter().map(|row| rationale(row.1.4)))
            .seal();
        let anchors = Table::new(claims.len())
            .i64s("anchor", (0..claims.len() as i64).collect())
            .strings("id", (0..claims.len()).map(|number| format!("c{number}")))
            .strings("text", &claims)
            .strings("metadata", claims.iter().map(|_| "{}"))
            .seal();
        let known = (0..claims.len()).collect();
        let models = Models::new(&whole, claims);
        let samples = samples(&models.claims, texts, n);
        let first = texts.get(..texts.len().min(3)).unwrap_or_default();
        let kept = self::samples(&models.claims, first, n);
        let pool = pool(&models.claims, texts, n);
        Self {
            corpus,
            judgements,
            held_out,
            kept,
            others,
            models,
            anchors,
            samples,
            pool,
            known,
            metrics: Metrics::default(),
        }
    }

    /// All that the checker lends.
    pub fn services(&self) -> Services<'_> {
        Services {
            corpus: Some(&self.corpus),
            judgements: Some(&self.judgements),
            model: Some(&self.models),
            bm25: Some(&self.models),
            topics: Some(&self.models),
            corpora: Some(&self.others),
            held_out: Some(&self.held_out),
            pool: Some(&self.kept),
            models: Some(&self.models),
            chat: Some(&self.models),
            metrics: Some(&self.metrics),
            ..Services::default()
        }
    }
}

fn metadata(document: usize) -> &'static str {
    DOCUMENTS[document % DOCUMENTS.len()].3
}

/// Columns of `orch.corpus/1`.
fn corpus(prefix: &str, titles: &[&str], sentences: &[Vec<&str>]) -> Table {
    let n = titles.len();
    Table::new(n)
        .i64s("document", (0..n as i64).collect())
        .strings("id", (0..n).map(|number| format!("{prefix}{number}")))
        .strings("title", titles)
        .string_lists("sentences", sentences.iter().map(|all| all.iter().copied()))
        .strings("metadata", (0..n).map(metadata))
        .seal()
}

/// Every third text a positive, every fourth from no document, every fifth without a score.
fn samples(claims: &[String], texts: &[String], documents: usize) -> Table {
    let n = if claims.is_empty() { 0 } else { texts.len() };
    let anchor = |row: usize| row % claims.len().max(1);
    let document = |row: usize| (row % 4 != 3).then_some(row % documents);
    let positive = |row: usize| row.is_multiple_of(3);
    Table::new(n)
        .i64s("anchor", (0..n).map(|row| anchor(row) as i64).collect())
        .i64s(
            "document",
            (0..n)
                .map(|row| document(row).map_or(-1, |number| number as i64))
                .collect(),
        )
        .strings("anchor_text", (0..n).map(|row| &claims[anchor(row)]))
        .strings("text", &texts[..n])
        .i32s(
            "role",
            (0..n)
                .map(|row| if positive(row) { 1 } else { 2 })
                .collect(),
        )
        .f32s(
            "label",
            (0..n)
                .map(|row| match row % 6 {
                    0 => 1.0,
                    3 => 0.7,
                    _ => 0.0,
                })
                .collect(),
        )
        .f32s("weight", (0..n).map(|row| [1.0, 0.5][row % 2]).collect())
        .f32s(
            "score",
            (0..n)
                .map(|row| match row % 5 {
                    4 => f32::NAN,
                    place => 0.2 * place as f32,
                })
                .collect(),
        )
        .strings(
            "source",
            (0..n).map(|row| {
                if positive(row) {
                    "explicit_positive"
                } else {
                    "random"
                }
            }),
        )
        .strings(
            "metadata",
            (0..n).map(|row| document(row).map_or("{}", metadata)),
        )
        .seal()
}

/// A pair a text, with probabilities from all over 0..1, some equal.
fn pool(claims: &[String], texts: &[String], documents: usize) -> Table {
    let n = if claims.is_empty() { 0 } else { texts.len() };
    let anchor = |row: usize| row % claims.len().max(1);
    let spread = |by: usize| {
        (0..n)
            .map(|row| (row * by % 101) as f32 / 100.0)
            .collect::<Vec<f32>>()
    };
    Table::new(n)
        .i64s("anchor", (0..n).map(|row| anchor(row) as i64).collect())
        .i64s(
            "document",
            (0..n).map(|row| (row % documents) as i64).collect(),
        )
        .strings("anchor_text", (0..n).map(|row| &claims[anchor(row)]))
        .strings("text", &texts[..n])
        .f32s("score", spread(37))
        .f32s("probability", spread(53))
        .f32s("probability_initial", spread(29))
        .f32s("probability_bm25", spread(71))
        .seal()
}
