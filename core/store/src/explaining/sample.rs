//! The life of a sample: where it is from, what was thought of it, how training used it, what it did.

use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde_json::Value;

use super::{
    AnchorBrief, Depth, DocumentBrief, Judged, Part, Place, PoolState, QuestionLife, STATE,
    SampleBrief, TickLife, brief, briefs, document_brief, state, value,
};
use crate::Store;
use crate::error::Error;
use crate::rows::SampleId;

/// All that is known of a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleLife {
    /// Its id.
    pub id: String,
    /// `positive` or `negative`.
    pub role: String,
    /// Its whole text.
    pub text: String,
    /// 0..1.
    pub label: f64,
    /// How much it counts in losses.
    pub weight: f64,
    /// Its difficulty, if its plugin says so.
    pub fixed_difficulty: Option<f64>,
    /// What it is a candidate for, with its whole text.
    pub anchor: AnchorBrief,
    /// Where its text is from.
    pub document: Option<DocumentBrief>,
    /// What the data say of its anchor and its document.
    pub judgements: Vec<Judged>,
    /// When it came to be.
    pub made: Option<TickLife>,
    /// Whether it is in the pool, and why not.
    pub state: PoolState,
    /// Who proposed it.
    pub origins: Vec<Origin>,
    /// What it was made from: its parent, that one's parent …
    pub parents: Vec<SampleBrief>,
    /// What was made from it.
    pub children: Part<SampleBrief>,
    /// What filters thought.
    pub verdicts: Vec<VerdictLife>,
    /// How each version of the model saw it.
    pub scores: Vec<ScoreLife>,
    /// Its uses, by epoch.
    pub epochs: Vec<EpochUse>,
    /// Each of them, the first ones.
    pub uses: Part<OneUse>,
    /// What it does to the loss on validation.
    pub influence: Vec<InfluenceLife>,
    /// Whether its label is suspected to be wrong.
    pub suspect: Option<SuspectLife>,
    /// What people said in the end.
    pub audited: Option<AuditedLife>,
    /// What people were asked of it, or of its anchor and document.
    pub questions: Vec<QuestionLife>,
    /// Where pictures show it.
    pub places: Vec<Place>,
}

/// A source that proposed a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Origin {
    /// The plugin's name in the experiment, or `annotation`.
    pub source: String,
    /// When.
    pub tick: TickLife,
    /// What led to the choice, if it is a number.
    pub score: Option<f64>,
    /// Why this text: as the plugin says it.
    pub detail: Value,
    /// The tick in which that source was asked again; what it proposed before does not count any longer.
    pub superseded: Option<u32>,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `verdict`.
pub struct VerdictLife {
    pub filter: String,
    pub tick: u32,
    pub keep: bool,
    pub score: Option<f64>,
    pub reason: String,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `score`.
pub struct ScoreLife {
    pub model: String,
    pub tick: u32,
    pub similarity: f64,
    pub difficulty: Option<f64>,
    pub band: Option<String>,
}

/// Uses in an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochUse {
    /// From 1.
    pub epoch: u64,
    /// How many.
    pub uses: u64,
    /// The first step.
    pub first_step: u64,
    /// The last one.
    pub last_step: u64,
    /// Mean loss, where a loss looked at it alone.
    pub mean_loss: Option<f64>,
    /// The least.
    pub least_loss: Option<f64>,
    /// The most.
    pub most_loss: Option<f64>,
}

/// A use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneUse {
    /// From 1.
    pub epoch: u64,
    /// The step.
    pub step: u64,
    /// Its loss.
    pub loss: Option<f64>,
}

/// Influence at a version of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InfluenceLife {
    /// The version.
    pub model: String,
    /// Above 0 it helps.
    pub value: f64,
    /// Its own loss then.
    pub loss: Option<f64>,
    /// Whether the model puts it on its side.
    pub on_its_side: bool,
    /// Its place from the most harmful, from 1.
    pub place: u64,
    /// Of how many.
    pub of: u64,
}

/// Why its label is suspected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspectLife {
    /// From 1, of its role.
    pub place: u64,
    /// How many of its role are listed.
    pub of: u64,
    /// That its label is wrong.
    pub probability: f64,
    /// What speaks for it.
    pub evidence: Value,
}

/// What people said in the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `audited`.
pub struct AuditedLife {
    pub verdict: String,
    pub annotator: String,
    pub agrees: bool,
}

impl Store {
    /// The life of a sample; `None` if there is none of that id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn sample_life(&self, id: SampleId, depth: Depth) -> Result<Option<SampleLife>, Error> {
        let id = id.to_string();
        let of = [id.as_str()];
        let found = self
            .connection
            .query_row(
                &format!(
                    "SELECT s.role, t.content, s.label, s.weight, s.difficulty, a.number, a.id, a.split, at.content,
                            d.number, d.id, d.title, s.tick, s.parent, {STATE}
                     FROM sample s JOIN anchor a ON a.number = s.anchor JOIN text at ON at.id = a.text
                     JOIN text t ON t.id = s.text LEFT JOIN document d ON d.number = s.document WHERE s.id = ?1"
                ),
                of,
                |row| {
                    let life = SampleLife {
                        id: id.clone(),
                        role: row.get(0)?,
                        text: row.get(1)?,
                        label: row.get(2)?,
                        weight: row.get(3)?,
                        fixed_difficulty: row.get(4)?,
                        anchor: AnchorBrief {
                            number: row.get::<_, i64>(5)? as usize,
                            id: row.get(6)?,
                            split: row.get(7)?,
                            text: row.get(8)?,
                        },
                        document: document_brief(row, 9)?,
                        judgements: Vec::new(),
                        made: None,
                        state: state(row, 14)?,
                        origins: Vec::new(),
                        parents: Vec::new(),
                        children: Part { rows: Vec::new(), total: 0 },
                        verdicts: Vec::new(),
                        scores: Vec::new(),
                        epochs: Vec::new(),
                        uses: Part { rows: Vec::new(), total: 0 },
                        influence: Vec::new(),
                        suspect: None,
                        audited: None,
                        questions: Vec::new(),
                        places: Vec::new(),
                    };
                    Ok((life, row.get::<_, u32>(12)?, row.get::<_, Option<String>>(13)?))
                },
            )
            .optional()?;
        let Some((mut life, made, parent)) = found else {
            return Ok(None);
        };
        life.made = self.tick_life(made)?;
        life.parents = self.parents(parent, depth)?;
        life.children = self.briefs("s.parent = ?1", "s.tick, s.id", &id, depth)?;
        if let Some(document) = &life.document {
            life.judgements = self.judgements_of_pair(life.anchor.number, document.number)?;
        }
        life.origins = self.origins(&id)?;
        life.verdicts = self.all(
            "SELECT filter, tick, keep, score, reason FROM verdict WHERE sample = ?1 ORDER BY tick, filter",
            of,
            |row| {
                Ok(VerdictLife {
                    filter: row.get(0)?,
                    tick: row.get(1)?,
                    keep: row.get(2)?,
                    score: row.get(3)?,
                    reason: row.get(4)?,
                })
            },
        )?;
        life.scores = self.all(
            "SELECT model, tick, similarity, difficulty, band FROM score WHERE sample = ?1 ORDER BY tick, model",
            of,
            |row| {
                Ok(ScoreLife {
                    model: row.get(0)?,
                    tick: row.get(1)?,
                    similarity: row.get(2)?,
                    difficulty: row.get(3)?,
                    band: row.get(4)?,
                })
            },
        )?;
        life.epochs = self.uses_by_epoch(&id)?;
        life.uses = Part {
            total: life.epochs.iter().map(|epoch| epoch.uses).sum(),
            rows: self.all(
                "SELECT epoch + 1, step, loss FROM use WHERE sample = ?1 ORDER BY step LIMIT ?2",
                (&id, depth.rows()),
                |row| {
                    Ok(OneUse {
                        epoch: row.get::<_, i64>(0)? as u64,
                        step: row.get::<_, i64>(1)? as u64,
                        loss: row.get(2)?,
                    })
                },
            )?,
        };
        life.influence = self.all(
            "SELECT i.model, i.value, i.loss, i.on_its_side,
                    (SELECT count(*) + 1 FROM influence o WHERE o.model = i.model AND o.value < i.value),
                    (SELECT count(*) FROM influence o WHERE o.model = i.model)
             FROM influence i WHERE i.sample = ?1 ORDER BY i.tick, length(i.model), i.model",
            of,
            |row| {
                Ok(InfluenceLife {
                    model: row.get(0)?,
                    value: row.get(1)?,
                    loss: row.get(2)?,
                    on_its_side: row.get(3)?,
                    place: row.get::<_, i64>(4)? as u64,
                    of: row.get::<_, i64>(5)? as u64,
                })
            },
        )?;
        life.suspect = self
            .connection
            .query_row(
                "SELECT x.place, x.probability, x.evidence,
                        (SELECT count(*) FROM suspect o JOIN sample s ON s.id = o.sample WHERE s.role = ?2)
                 FROM suspect x WHERE x.sample = ?1",
                (&id, &life.role),
                |row| {
                    Ok(SuspectLife {
                        place: row.get::<_, i64>(0)? as u64,
                        probability: row.get(1)?,
                        evidence: value(row.get(2)?),
                        of: row.get::<_, i64>(3)? as u64,
                    })
                },
            )
            .optional()?;
        life.audited = self
            .connection
            .query_row(
                "SELECT verdict, annotator, agrees FROM audited WHERE sample = ?1",
                of,
                |row| {
                    Ok(AuditedLife {
                        verdict: row.get(0)?,
                        annotator: row.get(1)?,
                        agrees: row.get(2)?,
                    })
                },
            )
            .optional()?;
        let document = life.document.as_ref().map_or(-1, |one| one.number as i64);
        life.questions = self.questions_about(
            "q.sample = ?2 OR (q.document = ?1 AND q.anchor = (SELECT anchor FROM sample WHERE id = ?2))",
            (document, &id),
        )?;
        life.places = self.places("sample", &id)?;
        Ok(Some(life))
    }

    fn parents(&self, mut parent: Option<String>, depth: Depth) -> Result<Vec<SampleBrief>, Error> {
        let mut chain: Vec<SampleBrief> = Vec::new();
        while let Some(id) = parent {
            // A store that was tampered with may hold a circle.
            if chain.iter().any(|one| one.id == id) {
                break;
            }
            let found = self
                .connection
                .query_row(
                    &format!("{} WHERE s.id = ?1", briefs()),
                    (&id, depth.characters()),
                    brief,
                )
                .optional()?;
            chain.extend(found);
            parent = self
                .connection
                .query_row("SELECT parent FROM sample WHERE id = ?1", [&id], |row| {
                    row.get(0)
                })
                .optional()?
                .flatten();
        }
        Ok(chain)
    }

    fn origins(&self, id: &str) -> Result<Vec<Origin>, Error> {
        self.all(
            "SELECT p.source, t.number, t.kind, t.detail, p.score, p.detail,
                    (SELECT min(r.number) FROM tick r WHERE r.kind = 'refresh' AND r.detail = p.source AND r.number > p.tick)
             FROM provenance p JOIN tick t ON t.number = p.tick WHERE p.sample = ?1 ORDER BY p.tick, p.source",
            [id],
            |row| {
                Ok(Origin {
                    source: row.get(0)?,
                    tick: TickLife {
                        number: row.get(1)?,
                        kind: row.get(2)?,
                        detail: row.get(3)?,
                    },
                    score: row.get(4)?,
                    detail: value(row.get(5)?),
                    superseded: row.get(6)?,
                })
            },
        )
    }

    fn uses_by_epoch(&self, id: &str) -> Result<Vec<EpochUse>, Error> {
        self.all(
            "SELECT u.epoch + 1, count(*), min(u.step), max(u.step), avg(u.loss), min(u.loss), max(u.loss)
             FROM use u WHERE u.sample = ?1 GROUP BY u.epoch ORDER BY u.epoch",
            [id],
            |row| {
                Ok(EpochUse {
                    epoch: row.get::<_, i64>(0)? as u64,
                    uses: row.get::<_, i64>(1)? as u64,
                    first_step: row.get::<_, i64>(2)? as u64,
                    last_step: row.get::<_, i64>(3)? as u64,
                    mean_loss: row.get(4)?,
                    least_loss: row.get(5)?,
                    most_loss: row.get(6)?,
                })
            },
        )
    }
}
