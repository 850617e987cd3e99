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

const FIELDS: [[(&str, &str); 2]; 4] = [
    field!("biomedicine"),
    field!("cognition_society"),
    field!("ecology_climate"),
    field!("materials_physics"),
];

fn files(which: usize) -> Vec<File> {
    FIELDS
        .iter()
        .map(|field| File {
            path: field[which].0.into(),
            text: field[which].1.to_owned(),
        })
        .collect()
}

/// Its abstracts.
pub(crate) fn corpora() -> Vec<File> {
    files(0)
}

/// Its claims, of all splits.
pub(crate) fn claims() -> Vec<File> {
    files(1)
}
