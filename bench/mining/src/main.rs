//! Our side of the benchmarks of mining and search: does once, and times, what each line of standard input asks for, and
//! answers with one line of JSON. `compare.py` asks, and asks the peers in turn.
//!
//!     orchestrator-bench-mining make FOLDER QUERIES DOCUMENTS DIM
//!     orchestrator-bench-mining search FOLDER        # lines such as {"k": 100, "out": "found.i32"}
//!     orchestrator-bench-mining mine FOLDER          # lines of settings of `hard_negative`

mod files;
mod mining;
mod synthetic;

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use orchestrator_engine::retrieval::top_k;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", folder, queries, documents, dim] => synthetic::make(
            Path::new(folder),
            queries.parse()?,
            documents.parse()?,
            dim.parse()?,
        ),
        ["search", folder] => search(Path::new(folder)),
        ["mine", folder] => mining::mine(Path::new(folder)),
        _ => Err("make FOLDER QUERIES DOCUMENTS DIM, search FOLDER, or mine FOLDER".into()),
    }
}

/// Answers every line of standard input.
fn serve(
    mut answer: impl FnMut(&Value) -> Result<Value, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&serde_json::from_str(&line?)?)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn search(folder: &Path) -> Result<(), Box<dyn Error>> {
    let dim = files::dim(folder)?;
    let queries = files::read(&folder.join("queries.f32"))?;
    let documents = files::read(&folder.join("documents.f32"))?;
    let before = files::peak_bytes();
    serve(|asked| {
        let k = asked["k"].as_u64().ok_or("no k")? as usize;
        let (begin, used) = (Instant::now(), files::processor_seconds());
        let found = top_k(&queries, &documents, dim, k);
        let seconds = begin.elapsed().as_secs_f64();
        let used = files::processor_seconds()
            .zip(used)
            .map(|(now, then)| now - then);
        let peak = files::peak_bytes();
        if let Some(out) = asked["out"].as_str() {
            files::write_found(Path::new(out), &found)?;
        }
        Ok(
            json!({ "seconds": seconds, "processor_seconds": used, "bytes_before": before, "bytes_peak": peak }),
        )
    })
}
