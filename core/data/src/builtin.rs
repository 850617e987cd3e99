//! The fictional mini corpus, inside the executable: an experiment runs without any file.

use crate::loader::File;

macro_rules! field {
    ($name:literal) => {
        [
            (
                concat!("experiments/data/mini/", $name, ".corpus.jsonl"),
                include_str!(concat!(
                    "../../../experiments/data/mini/",
                    $name,
                    ".corpus.jsonl"
                )),
            ),
            (
                concat!("experiments/data/mini/", $name, ".claims.jsonl"),
                include_str!(concat!(
                    "../../../experiments/data/mini/",
                    $name,
                    ".claims.jsonl"
                )),
            ),
        ]
    };
}

/// The fields it has.
pub const FIELDS: [&str; 4] = [
    "biomedicine",
    "cognition_society",
    "ecology_climate",
    "materials_physics",
];

const FILES: [[(&str, &str); 2]; 4] = [
    field!("biomedicine"),
    field!("cognition_society"),
    field!("ecology_climate"),
    field!("materials_physics"),
];

fn files(which: usize, fields: &[String]) -> Vec<File> {
    FIELDS
        .iter()
        .zip(&FILES)
        .filter(|(name, _)| fields.is_empty() || fields.iter().any(|one| one == *name))
        .map(|(_, field)| File {
            path: field[which].0.into(),
            text: field[which].1.to_owned(),
        })
        .collect()
}

/// Abstracts of these fields; of all where none is named.
pub(crate) fn corpora(fields: &[String]) -> Vec<File> {
    files(0, fields)
}

/// Claims of these fields, of all splits.
pub(crate) fn claims(fields: &[String]) -> Vec<File> {
    files(1, fields)
}
