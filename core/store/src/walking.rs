//! All samples one after another, each with all that is known of it. Most tables lie in the order of samples already, so this
//! is one pass over each of them side by side, without a sort, and holds one sample at a time. Uses lie in the order of steps:
//! they are read in that order too and held, 16 bytes each, since looking up each sample's takes several times as long.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Rows, fallible_streaming_iterator::FallibleStreamingIterator as _};

use crate::Store;
use crate::error::Error;
use crate::query::id;
use crate::rows::Role;

/// Names that come again and again, by their place: each is held once.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The place of a name, a new one if it has none.
    pub fn place(&mut self, name: ValueRef<'_>) -> rusqlite::Result<usize> {
        let name = name.as_bytes()?;
        if let Some(place) = self.0.iter().position(|one| one.as_bytes() == name) {
            return Ok(place);
        }
        self.0.push(String::from_utf8_lossy(name).into_owned());
        Ok(self.0.len() - 1)
    }

    pub fn get(&self, place: usize) -> &str {
        &self.0[place]
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The names that a walk met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub sources: Names,
    pub filters: Names,
    pub models: Names,
}

/// A row of `score`.
pub(crate) struct Scored {
    pub model: usize,
    pub tick: u32,
    pub similarity: f64,
    pub difficulty: Option<f64>,
    pub band: Option<Band>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Band {
    Easy,
    Medium,
    Hard,
}

/// A row of `use`.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    /// Its place in the order of ids.
    sample: u32,
    pub tick: u32,
    epoch: u32,
    /// Not a number where there is none.
    loss: f32,
}

impl Used {
    pub fn epoch(&self) -> usize {
        self.epoch as usize
    }

    pub fn loss(&self) -> Option<f64> {
        (!self.loss.is_nan()).then_some(f64::from(self.loss))
    }
}

/// A row of `influence`.
pub(crate) struct Measured {
    pub tick: u32,
    pub value: f64,
    pub on_its_side: bool,
}

/// A sample with its rows in the other tables.
pub(crate) struct Walked {
    pub id: String,
    pub tick: u32,
    pub role: Role,
    /// (source, tick), in the order of names and ticks.
    pub sources: Vec<(usize, u32)>,
    /// (filter, tick, kept).
    pub verdicts: Vec<(usize, u32, bool)>,
    pub scores: Vec<Scored>,
    /// In the order of steps.
    pub uses: Vec<Used>,
    /// In the order of ticks.
    pub influences: Vec<Measured>,
}

impl Walked {
    /// Begins with a row of `sample`.
    fn begin(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.id.clear();
        self.id.push_str(row.get_ref(0)?.as_str()?);
        self.tick = row.get(1)?;
        self.role = match row.get_ref(2)?.as_bytes()? {
            b"positive" => Role::Positive,
            _ => Role::Negative,
        };
        Ok(())
    }
}

/// Rows of a table in the order of their samples, the first column.
struct Cursor<'s>(Rows<'s>);

impl<'s> Cursor<'s> {
    fn new(mut rows: Rows<'s>) -> rusqlite::Result<Self> {
        rows.advance()?;
        Ok(Self(rows))
    }

    /// Each row of a sample. Samples must be asked for in their order.
    fn of(
        &mut self,
        sample: &str,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        while let Some(row) = self.0.get() {
            match row.get_ref(0)?.as_bytes()?.cmp(sample.as_bytes()) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => take(row)?,
                std::cmp::Ordering::Greater => break,
            }
            self.0.advance()?;
        }
        Ok(())
    }
}

impl Store {
    /// Every use, sample after sample in the order of ids, those of a sample in the order of steps.
    fn uses(&self) -> Result<Vec<Used>, Error> {
        let number =
            |row: &Row<'_>| -> rusqlite::Result<u128> { Ok(id(row.get_ref(0)?.as_str()?)?.0) };
        let ids = self.all("SELECT id FROM sample ORDER BY id", [], number)?;
        let mut uses = self.all(
            "SELECT sample, tick, epoch, loss FROM use ORDER BY step, sample",
            [],
            |row| {
                let of = number(row)?;
                let loss: Option<f64> = row.get(3)?;
                Ok(Used {
                    sample: ids.partition_point(|one| *one < of) as u32,
                    tick: row.get(1)?,
                    epoch: row.get(2)?,
                    loss: loss.map_or(f32::NAN, |loss| loss as f32),
                })
            },
        )?;
        uses.sort_by_key(|used| used.sample);
        Ok(uses)
    }

    /// Visits every sample, in the order of ids.
    pub(crate) fn walk(
        &self,
        met: &mut Met,
        mut visit: impl FnMut(&Met, &Walked),
    ) -> Result<(), Error> {
        let prepare = |sql: &str| self.connection.prepare(sql);
        let mut samples = prepare("SELECT id, tick, role FROM sample ORDER BY id")?;
        let mut sources = prepare("SELECT sample, source, tick FROM provenance ORDER BY sample")?;
        let mut verdicts =
            prepare("SELECT sample, filter, tick, keep FROM verdict ORDER BY sample")?;
        let mut scores = prepare(
            "SELECT sample, model, tick, similarity, difficulty, band FROM score ORDER BY sample",
        )?;
        let mut influences =
            prepare("SELECT sample, tick, value, on_its_side FROM influence ORDER BY sample")?;
        let mut sources = Cursor::new(sources.query([])?)?;
        let mut verdicts = Cursor::new(verdicts.query([])?)?;
        let mut scores = Cursor::new(scores.query([])?)?;
        let uses = self.uses()?;
        let mut uses = uses.chunk_by(|a, b| a.sample == b.sample).peekable();
        let mut influences = Cursor::new(influences.query([])?)?;
        let mut samples = samples.query([])?;
        let mut one = Walked {
            id: String::new(),
            tick: 0,
            role: Role::Positive,
            sources: Vec::new(),
            verdicts: Vec::new(),
            scores: Vec::new(),
            uses: Vec::new(),
            influences: Vec::new(),
        };
        let mut place = 0u32;
        while let Some(row) = samples.next()? {
            one.begin(row)?;
            one.sources.clear();
            sources.of(&one.id, |row| {
                one.sources
                    .push((met.sources.place(row.get_ref(1)?)?, row.get(2)?));
                Ok(())
            })?;
            one.verdicts.clear();
            verdicts.of(&one.id, |row| {
                let filter = met.filters.place(row.get_ref(1)?)?;
                one.verdicts.push((filter, row.get(2)?, row.get(3)?));
                Ok(())
            })?;
            one.scores.clear();
            scores.of(&one.id, |row| {
                let band = match row.get_ref(5)? {
                    ValueRef::Text(b"easy") => Some(Band::Easy),
                    ValueRef::Text(b"medium") => Some(Band::Medium),
                    ValueRef::Text(b"hard") => Some(Band::Hard),
                    _ => None,
                };
                one.scores.push(Scored {
                    model: met.models.place(row.get_ref(1)?)?,
                    tick: row.get(2)?,
                    similarity: row.get(3)?,
                    difficulty: row.get(4)?,
                    band,
                });
                Ok(())
            })?;
            one.uses.clear();
            if let Some(of_sample) = uses.next_if(|uses| uses[0].sample == place) {
                one.uses.extend_from_slice(of_sample);
            }
            place += 1;
            one.influences.clear();
            influences.of(&one.id, |row| {
                one.influences.push(Measured {
                    tick: row.get(1)?,
                    value: row.get(2)?,
                    on_its_side: row.get(3)?,
                });
                Ok(())
            })?;
            one.influences.sort_by_key(|measured| measured.tick);
            visit(met, &one);
        }
        Ok(())
    }
}
