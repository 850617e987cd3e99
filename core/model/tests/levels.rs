//! f32 results have the same bits whatever vectors the processor has: this test runs itself again for each level.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

use orchestrator_model::kernels::Level;
use orchestrator_model::transformer::Options;
use orchestrator_model::{Side, Tokens, Transformer};
use sha2::{Digest as _, Sha256};

const LEVEL: &str = "LEVEL_OF_THIS_TEST";

/// A hash of embeddings and gradients of every architecture.
fn everything() -> String {
    let mut hash = Sha256::new();
    for name in [
        "bert",
        "bert-max",
        "roberta",
        "mpnet",
        "distilbert",
        "modernbert",
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/transformers")
            .join(name);
        let options = Options {
            dropout: 0.1,
            ..Options::default()
        };
        let model = Transformer::load(&folder, &options).unwrap();
        let texts: Vec<String> = (1..40)
            .map(|n| "the protein binds to a receptor of cells ".repeat(n % 7 + 1) + &n.to_string())
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tokens = model.tokenize(&texts, Side::Anchor).unwrap();
        let tokens: Vec<&Tokens> = tokens.iter().collect();
        let forward = model.forward(&tokens, Some(5)).unwrap();
        let outer: Vec<f32> = (0..tokens.len() * model.dim())
            .map(|n| (n % 11) as f32 - 5.0)
            .collect();
        let embeddings = forward.embeddings().to_vec();
        let gradient = forward.backward(outer).unwrap();
        let slopes = gradient
            .slopes
            .iter()
            .flatten()
            .flat_map(|slope| slope.values());
        for value in embeddings.iter().chain(slopes) {
            hash.update(value.to_le_bytes());
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn embeddings_and_gradients_have_the_same_bits_at_every_level() {
    if let Ok(level) = std::env::var(LEVEL) {
        let level = Level::all()[level.parse::<usize>().unwrap()];
        assert!(Level::limit(level));
        println!("hash {}", everything());
        return;
    }
    let mut hashes = Vec::new();
    for (place, level) in Level::all().into_iter().enumerate() {
        if !level.is_here() {
            println!("SKIPPED: this processor has no {level:?}");
            continue;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--nocapture",
                "embeddings_and_gradients_have_the_same_bits_at_every_level",
            ])
            .env(LEVEL, place.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let hash = text
            .lines()
            .find_map(|line| line.split_once("hash "))
            .unwrap()
            .1
            .to_owned();
        hashes.push((level, hash));
    }
    assert!(
        hashes.windows(2).all(|pair| pair[0].1 == pair[1].1),
        "{hashes:?}"
    );
}
