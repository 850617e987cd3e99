//! Tables, steps and samples as bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{Malformed, Reader, Result, Writer};
use crate::answers::{Candidate, Emitted, RawRow};
use crate::batch::Batch;
use crate::metrics::OfCall;
use crate::table::{Column, Memory, Table};

/// Formats of columns by their code.
const FORMATS: [&std::ffi::CStr; 6] = [c"l", c"i", c"f", c"b", c"U", c"+L"];

fn write_column(out: &mut Writer, column: &Column) {
    let code = FORMATS.iter().position(|one| *one == column.format);
    out.number(code.unwrap_or(FORMATS.len()) as u8);
    out.bytes(column.name.to_bytes());
    out.number(column.length as u64);
    match &column.memory {
        Memory::I64(values) | Memory::Offsets(values) => out.numbers(values),
        Memory::I32(values) => out.numbers(values),
        Memory::F32(values) => out.numbers(values),
        Memory::Bits(bytes) => out.bytes(bytes),
        Memory::Text(offsets, bytes) => {
            out.numbers(offsets);
            out.bytes(bytes);
        }
    }
    if let Some(child) = &column.child {
        write_column(out, child);
    }
}

fn read_column(from: &mut Reader<'_>) -> Result<Column> {
    let format = *FORMATS
        .get(usize::from(from.number::<u8>()?))
        .ok_or(Malformed)?;
    let name = std::ffi::CString::new(from.bytes()?).map_err(|_| Malformed)?;
    let length = from.number::<u64>()? as usize;
    let memory = match format.to_bytes() {
        b"l" => Memory::I64(from.numbers()?),
        b"i" => Memory::I32(from.numbers()?),
        b"f" => Memory::F32(from.numbers()?),
        b"b" => Memory::Bits(from.bytes()?.to_vec()),
        b"U" => Memory::Text(from.numbers()?, from.bytes()?.to_vec()),
        _ => Memory::Offsets(from.numbers()?),
    };
    let child = matches!(memory, Memory::Offsets(_))
        .then(|| read_column(from).map(Box::new))
        .transpose()?;
    Ok(Column {
        name,
        format,
        length,
        memory,
        child,
    })
}

pub(crate) fn write_table(out: &mut Writer, table: &Table) {
    out.number(table.rows() as u64);
    out.number(table.columns().len() as u64);
    for column in table.columns() {
        write_column(out, column);
    }
}

pub(crate) fn read_table(from: &mut Reader<'_>) -> Result<Table> {
    let rows = from.number::<u64>()? as usize;
    let columns = from.count(1)?;
    let columns = (0..columns).map(|_| read_column(from));
    Ok(Table::of_columns(rows, columns.collect::<Result<_>>()?))
}

pub(crate) fn write_metrics(out: &mut Writer, metrics: &[(String, f64)]) {
    out.number(metrics.len() as u64);
    for (name, value) in metrics {
        out.text(name);
        out.number(*value);
    }
}

/// Metrics of a child, looked at again; or why they may not be.
pub(crate) fn read_metrics(
    from: &mut Reader<'_>,
) -> Result<std::result::Result<BTreeMap<String, f64>, String>> {
    let mut reported = OfCall::default();
    for _ in 0..from.count(16)? {
        let name = from.bytes()?;
        if !reported.set(name, from.number()?) {
            break;
        }
    }
    Ok(reported.close())
}

pub(crate) fn write_set(out: &mut Writer, set: &BTreeSet<usize>) {
    let values: Vec<u64> = set.iter().map(|one| *one as u64).collect();
    out.numbers(&values);
}

pub(crate) fn read_set(from: &mut Reader<'_>) -> Result<BTreeSet<usize>> {
    let values = from.numbers::<u64>()?;
    Ok(values.into_iter().map(|one| one as usize).collect())
}

pub(crate) fn write_batch(out: &mut Writer, batch: &Batch) {
    out.number(batch.dim as u64);
    for floats in [
        &batch.embeddings,
        &batch.row_label,
        &batch.row_weight,
        &batch.row_teacher,
    ] {
        out.numbers(floats);
    }
    for numbers in [
        &batch.row_anchor,
        &batch.row_text,
        &batch.group_anchor,
        &batch.positive_rows,
        &batch.negative_rows,
    ] {
        out.numbers(numbers);
    }
    out.numbers(&batch.positive_offsets);
    out.numbers(&batch.negative_offsets);
    out.bytes(&batch.known_relevant);
}

pub(crate) fn read_batch(from: &mut Reader<'_>) -> Result<Batch> {
    Ok(Batch {
        dim: from.number::<u64>()? as usize,
        embeddings: from.numbers()?,
        row_label: from.numbers()?,
        row_weight: from.numbers()?,
        row_teacher: from.numbers()?,
        row_anchor: from.numbers()?,
        row_text: from.numbers()?,
        group_anchor: from.numbers()?,
        positive_rows: from.numbers()?,
        negative_rows: from.numbers()?,
        positive_offsets: from.numbers()?,
        negative_offsets: from.numbers()?,
        known_relevant: from.bytes()?.to_vec(),
    })
}

pub(crate) fn write_candidates(out: &mut Writer, candidates: &[Candidate]) {
    let place = |place: Option<usize>| place.map_or(-1, |place| place as i64);
    out.number(candidates.len() as u64);
    for one in candidates {
        out.number(one.role.code());
        out.number(one.anchor as i64);
        out.number(place(one.document));
        out.number(place(one.parent));
        out.text(&one.text);
        out.number(one.label);
        out.number(one.weight);
        out.number(one.score.unwrap_or(f32::NAN));
        out.number(one.difficulty.unwrap_or(f32::NAN));
        out.text(&one.detail);
    }
}

/// Reads samples into `emitted`, which checks them; stops at the first that it refuses.
pub(crate) fn read_candidates(from: &mut Reader<'_>, emitted: &mut Emitted<'_>) -> Result<()> {
    for _ in 0..from.count(60)? {
        let taken = emitted.push(&RawRow {
            role: from.number()?,
            anchor: from.number()?,
            document: from.number()?,
            parent: from.number()?,
            text: from.bytes()?,
            label: from.number()?,
            weight: from.number()?,
            score: from.number()?,
            difficulty: from.number()?,
            detail: from.bytes()?,
        });
        if !taken {
            break;
        }
    }
    Ok(())
}

pub(crate) fn write_counts(out: &mut Writer, counts: &BTreeMap<String, u64>) {
    out.number(counts.len() as u64);
    for (what, n) in counts {
        out.text(what);
        out.number(*n);
    }
}

pub(crate) fn read_counts(from: &mut Reader<'_>, emitted: &mut Emitted<'_>) -> Result<()> {
    for _ in 0..from.count(16)? {
        let what = from.bytes()?;
        emitted.count(what, from.number()?);
    }
    Ok(())
}
