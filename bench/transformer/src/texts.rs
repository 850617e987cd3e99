//! SciFact's texts and gold pairs, in the order that `peer.py` states at its top.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::Value;

/// A claim's and an abstract's id.
pub type Pair = (String, String);

fn lines(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Ids and texts of the abstracts, in the file's order.
pub fn documents(scifact: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let all = lines(&scifact.join("corpus.jsonl"))?;
    let text = |line: &Value| {
        let sentences = line["abstract"].as_array().into_iter().flatten();
        let all = std::iter::once(&line["title"]).chain(sentences);
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    Ok(all
        .iter()
        .map(|line| (line["doc_id"].to_string(), text(line)))
        .collect())
}

/// The training claims by id.
pub fn claims(scifact: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let all = lines(&scifact.join("claims_train.jsonl"))?;
    let text = |line: &Value| line["claim"].as_str().unwrap_or_default().to_owned();
    Ok(all
        .iter()
        .map(|line| (line["id"].to_string(), text(line)))
        .collect())
}

/// So many batches of gold pairs; one epoch's, if no number is given.
pub fn batches(scifact: &Path, steps: Option<usize>) -> Result<Vec<Vec<Pair>>, Box<dyn Error>> {
    let text = std::fs::read_to_string(scifact.join("qrels/train.tsv"))?;
    let rows = text
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let pairs: Vec<Pair> = rows
        .filter(|row| row.len() > 2 && row[2] != "0")
        .map(|row| (row[0].to_owned(), row[1].to_owned()))
        .collect();
    let order: Vec<Pair> = (0..pairs.len())
        .map(|place| pairs[place * 337 % pairs.len()].clone())
        .collect();
    let epoch: Vec<Vec<Pair>> = order.chunks(32).map(<[Pair]>::to_vec).collect();
    let steps = steps.unwrap_or(epoch.len());
    Ok((0..steps)
        .map(|step| epoch[step % epoch.len()].clone())
        .collect())
}
