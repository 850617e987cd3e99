//! How fast the filters are: for people to look at, since a machine's speed is no property of the code.

use std::time::Instant;

use orchestrator_plugin_host::Table;
use serde_json::{Value, json};

use crate::languages::declarations;
use crate::lent::{Filters, Numbers, Row, World, builtin, held_out, negative, positive, samples};

const SAMPLES: usize = 100_000;

/// Built-in abstracts over and over, up to `edits` of their words replaced: 20 samples an anchor, 5 of them positives.
fn varied(edits: usize, numbered: bool) -> Table {
    let (documents, _) = builtin();
    let texts: Vec<String> = documents.iter().map(|parts| parts.join(" ")).collect();
    let vocabulary: Vec<&str> = texts.iter().flat_map(|text| text.split(' ')).collect();
    let mut numbers = Numbers(29);
    let rows: Vec<Row> = (0..SAMPLES)
        .map(|row| {
            let mut words: Vec<&str> = texts[row % texts.len()].split(' ').collect();
            for _ in 0..numbers.below(edits + 1) {
                let place = numbers.below(words.len());
                words[place] = vocabulary[numbers.below(vocabulary.len())];
            }
            let mut text = words.join(" ");
            if numbered {
                // What the stub models take for the similarity.
                text = format!("{} {text}", numbers.below(1000) as f32 / 1000.0);
            }
            let anchor = (row / 20) as i64;
            if row % 20 < 5 {
                positive(anchor, &text)
            } else {
                negative(anchor, &text)
            }
        })
        .collect();
    samples(&rows)
}

/// Texts of about 1,500 letters in one language, the same over and over.
fn in_language(code: &str) -> Table {
    let [_, long] = &declarations()[code];
    samples(&vec![positive(1, long); SAMPLES])
}

/// Seconds this thread has been running, where the system tells: others may share the machine.
fn on_cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

#[test]
#[ignore = "a measurement: run it in release, with --nocapture"]
#[allow(clippy::print_stdout)]
fn rates_at_100_000_samples() {
    let filters = Filters::new();
    let (_, claims) = builtin();
    let claims: Vec<_> = claims
        .iter()
        .map(|(id, text)| (id.as_str(), "test", text.as_str()))
        .collect();
    let world = World {
        held_out: held_out(&claims),
        ..World::default()
    };
    let (few, many, numbered) = (varied(3, false), varied(24, false), varied(3, true));
    let [german, french, vietnamese, russian] = ["deu", "fra", "vie", "rus"].map(in_language);
    let by_model = json!({ "witness": "none" });
    let cases: [(&str, Value, &str, &Table); 17] = [
        ("word_count", json!({}), "", &few),
        ("retracted", json!({}), "", &few),
        (
            "pattern",
            json!({ "drop": [r"\bwithdrawn\b", r"^\W*$", r"Table \d+"], "ignore_case": true }),
            "3 patterns",
            &few,
        ),
        ("duplicate", json!({}), "up to 3 words edited", &few),
        ("duplicate", json!({}), "up to 24", &many),
        ("duplicate", json!({ "scope": "all" }), "all, up to 3", &few),
        (
            "duplicate",
            json!({ "scope": "all" }),
            "all, up to 24",
            &many,
        ),
        ("leakage", json!({}), "", &few),
        ("language", json!({}), "English", &few),
        (
            "language",
            json!({ "languages": ["deu"] }),
            "English, German wanted",
            &few,
        ),
        ("language", json!({}), "German, English wanted", &german),
        ("language", json!({}), "French, English wanted", &french),
        (
            "language",
            json!({}),
            "Vietnamese, English wanted",
            &vietnamese,
        ),
        ("language", json!({}), "Russian, English wanted", &russian),
        (
            "false_negative",
            json!({}),
            "the model itself takes no time",
            &numbered,
        ),
        (
            "consistency",
            by_model,
            "the model itself takes no time, no topics",
            &numbered,
        ),
        (
            "similarity_range",
            json!({ "min": 0.1 }),
            "the model itself takes no time",
            &numbered,
        ),
    ];
    println!(
        "{:18}{:>12}{:>12}{:>9}",
        "filter", "samples/s", "on its CPU", "dropped"
    );
    for (name, settings, note, table) in cases {
        let (start, cpu) = (Instant::now(), on_cpu());
        let verdicts = filters.judge_table(name, &settings, &world, table).unwrap();
        let wall = start.elapsed().as_secs_f64();
        let cpu = cpu
            .zip(on_cpu())
            .map_or(wall, |(before, after)| after - before);
        let rate = |seconds: f64| (SAMPLES as f64 / seconds).round();
        let dropped = verdicts.iter().filter(|one| !one.keep).count();
        println!(
            "{name:18}{:>12}{:>12}{dropped:>9}  {note}",
            rate(wall),
            rate(cpu)
        );
    }
}
