//! Raw little-endian numbers in files, and what this process has used of memory and processors.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

/// How long a vector is: `dim.json` of a folder.
pub fn dim(folder: &Path) -> Result<usize, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(
        folder.join("dim.json"),
    )?)?)
}

/// All numbers of a file.
pub fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut numbers = Vec::with_capacity(file.metadata()?.len() as usize / 4);
    let mut bytes = vec![0; 1 << 20];
    loop {
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read(&mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        numbers.extend(
            bytes[..filled]
                .as_chunks()
                .0
                .iter()
                .copied()
                .map(f32::from_le_bytes),
        );
        if filled < bytes.len() {
            return Ok(numbers);
        }
    }
}

/// Writes numbers.
pub fn write(path: &Path, numbers: impl Iterator<Item = f32>) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in numbers {
        file.write_all(&number.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// Writes rankings: of each place, the document as i32 and the score as f32.
pub fn write_found(path: &Path, found: &[Vec<(usize, f32)>]) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    for &(document, score) in found.iter().flatten() {
        file.write_all(&(document as i32).to_le_bytes())?;
        file.write_all(&score.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// The most memory this process has held, where the system tells (Linux).
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Processor time this process has used, all threads together, where the system tells (Linux, in hundredths).
pub fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may have spaces: the 12th and 13th are the times of user and system.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = fields.map(str::parse).collect();
    Some(ticks.ok()?.iter().sum::<f64>() / 100.0)
}
