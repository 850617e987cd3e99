//! A tick being written: one transaction.

use rusqlite::{Connection, Params, Transaction};

use crate::error::Error;
use crate::rows::{
    Anchor, Annotation, Answer, Audited, Document, Evaluation, Judgement, Plugin, Projection,
    Provenance, Question, Run, Sample, Score, Use, Verdict, text_id,
};

/// The rows of one tick. Dropped without [`Tick::complete`], none of them is kept.
pub struct Tick<'s> {
    transaction: Transaction<'s>,
    number: u32,
}

impl<'s> Tick<'s> {
    pub(crate) fn begin(
        transaction: Transaction<'s>,
        number: u32,
        kind: &str,
        detail: &str,
    ) -> Result<Self, Error> {
        let tick = Self {
            transaction,
            number,
        };
        tick.insert(
            "INSERT INTO tick (number, kind, detail) VALUES (?1, ?2, ?3)",
            (number, kind, detail),
        )?;
        Ok(tick)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn insert(&self, sql: &str, values: impl Params) -> Result<usize, Error> {
        Ok(self.transaction.prepare_cached(sql)?.execute(values)?)
    }

    /// Commits: from now on the tick is done.
    ///
    /// # Errors
    /// If the store cannot be written; then nothing of the tick is kept.
    pub fn complete(self) -> Result<(), Error> {
        Ok(self.transaction.commit()?)
    }

    pub(crate) fn text(&self, content: &str) -> Result<i64, Error> {
        let id = text_id(content);
        self.insert(
            "INSERT OR IGNORE INTO text (id, content) VALUES (?1, ?2)",
            (id, content),
        )?;
        Ok(id)
    }

    /// Adds the run.
    ///
    /// # Errors
    /// As every other `add`: if the store cannot be written.
    pub fn add_run(&self, run: &Run<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO run (id, name, seed, version, data_fingerprint, plan) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            (run.name, run.seed as i64, run.version, run.data_fingerprint, run.plan),
        )?;
        Ok(())
    }

    /// Adds a plugin instance.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_plugin(&self, plugin: &Plugin<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO plugin (name, id, kind, version, sha256, settings) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (plugin.name, plugin.id, plugin.kind, plugin.version, plugin.sha256, plugin.settings),
        )?;
        Ok(())
    }

    /// Adds a document.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_document(&self, document: &Document<'_>) -> Result<(), Error> {
        let text = self.text(document.text)?;
        self.insert(
            "INSERT INTO document (number, id, title, text, metadata) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                document.number as i64,
                document.id,
                document.title,
                text,
                document.metadata,
            ),
        )?;
        Ok(())
    }

    /// Adds an anchor.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_anchor(&self, anchor: &Anchor<'_>) -> Result<(), Error> {
        let text = self.text(anchor.text)?;
        self.insert(
            "INSERT INTO anchor (number, id, split, text, metadata) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                anchor.number as i64,
                anchor.id,
                anchor.split,
                text,
                anchor.metadata,
            ),
        )?;
        Ok(())
    }

    /// Adds a judgement.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_judgement(&self, judgement: &Judgement<'_>) -> Result<(), Error> {
        let sentences = serde_json::to_string(judgement.sentences).unwrap_or_default();
        self.insert(
            "INSERT INTO judgement (anchor, document, label, sentences, relevant, grade, held_back, spoiled)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                judgement.anchor as i64,
                judgement.document as i64,
                judgement.label,
                sentences,
                judgement.relevant,
                judgement.grade,
                judgement.held_back,
                judgement.spoiled,
            ),
        )?;
        Ok(())
    }

    /// Adds a sample, unless it is there already.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_sample(&self, sample: &Sample<'_>) -> Result<(), Error> {
        let text = self.text(sample.text)?;
        self.insert(
            "INSERT OR IGNORE INTO sample (id, anchor, text, role, label, weight, document, parent, difficulty, tick)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                sample.id.to_string(),
                sample.anchor as i64,
                text,
                sample.role.name(),
                sample.label,
                sample.weight,
                sample.document.map(|number| number as i64),
                sample.parent.map(|id| id.to_string()),
                sample.difficulty,
                self.number,
            ),
        )?;
        Ok(())
    }

    /// Adds where a sample is from; a second time from the same source in one tick says nothing new.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_provenance(&self, provenance: &Provenance<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT OR IGNORE INTO provenance (sample, source, tick, score, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                provenance.sample.to_string(),
                provenance.source,
                self.number,
                provenance.score,
                provenance.detail,
            ),
        )?;
        Ok(())
    }

    /// Adds a verdict.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_verdict(&self, verdict: &Verdict<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO verdict (sample, filter, tick, keep, score, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                verdict.sample.to_string(),
                verdict.filter,
                self.number,
                verdict.keep,
                verdict.score,
                verdict.reason,
            ),
        )?;
        Ok(())
    }

    /// Adds how a model sees a sample.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_score(&self, score: &Score<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO score (sample, model, tick, similarity, difficulty, band) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                score.sample.to_string(),
                score.model,
                self.number,
                score.similarity,
                score.difficulty,
                score.band,
            ),
        )?;
        Ok(())
    }

    /// Adds a use.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_use(&self, used: &Use) -> Result<(), Error> {
        self.insert(
            "INSERT INTO use (step, sample, tick, epoch, loss) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                used.step as i64,
                used.sample.to_string(),
                self.number,
                used.epoch as i64,
                used.loss,
            ),
        )?;
        Ok(())
    }

    /// Adds a metric of a step, or of the tick as a whole.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_metric(&self, step: Option<u64>, name: &str, value: f64) -> Result<(), Error> {
        self.insert(
            "INSERT OR REPLACE INTO metric (tick, step, name, value) VALUES (?1, ?2, ?3, ?4)",
            (
                self.number,
                step.map_or(-1, |step| step as i64),
                name,
                value,
            ),
        )?;
        Ok(())
    }

    /// Adds a metric of one anchor.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_evaluation(&self, evaluation: &Evaluation<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO evaluation (model, anchor, metric, value, first_relevant, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                evaluation.model,
                evaluation.anchor as i64,
                evaluation.metric,
                evaluation.value,
                evaluation.first_relevant.map(|rank| rank as i64),
                self.number,
            ),
        )?;
        Ok(())
    }

    /// Adds a question.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_question(&self, question: &Question<'_>) -> Result<(), Error> {
        let text = self.text(question.text)?;
        let [current, initial, bm25] = question
            .probabilities
            .map_or([None; 3], |all| all.map(Some));
        self.insert(
            "INSERT INTO question (id, round, anchor, document, text, sample, shared, similarity, probability,
                                   probability_initial, probability_bm25, tick)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                question.id as i64,
                question.round as i64,
                question.anchor as i64,
                question.document.map(|number| number as i64),
                text,
                question.sample.map(|id| id.to_string()),
                question.shared,
                question.similarity,
                current,
                initial,
                bm25,
                self.number,
            ),
        )?;
        Ok(())
    }

    /// Adds what an annotator said, if it is known when the tick is written.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_answer(&self, answer: &Answer<'_>) -> Result<(), Error> {
        insert_answer(&self.transaction, answer)
    }

    /// Adds what became of an audited sample.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_audited(&self, audited: &Audited<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO audited (sample, verdict, annotator, agrees, tick) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                audited.sample,
                audited.verdict,
                audited.annotator,
                audited.agrees,
                self.number,
            ),
        )?;
        Ok(())
    }

    /// Adds where a picture shows something.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_projection(&self, shown: &Projection<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO projection (model, kind, item, x, y, method, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (shown.model, shown.kind, shown.item, shown.x, shown.y, shown.method, self.number),
        )?;
        Ok(())
    }

    /// Adds what became of a question.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_annotation(&self, annotation: &Annotation<'_>) -> Result<(), Error> {
        self.insert(
            "INSERT INTO annotation (round, anchor, document, annotator, relevant, label, similarity, probability, tick)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                annotation.round as i64,
                annotation.anchor as i64,
                annotation.document as i64,
                annotation.annotator,
                annotation.relevant,
                annotation.label,
                annotation.similarity,
                annotation.probability,
                self.number,
            ),
        )?;
        Ok(())
    }

    /// Notes something with the time, as [`crate::Store::event`], if and when the tick is done.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_event(&self, kind: &str, detail: &str) -> Result<(), Error> {
        crate::event(&self.transaction, kind, detail)
    }

    /// Names the checkpoint that holds the state after this tick.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_checkpoint(&self, file: &str, sha256: &str) -> Result<(), Error> {
        self.insert(
            "INSERT INTO checkpoint (tick, file, sha256) VALUES (?1, ?2, ?3)",
            (self.number, file, sha256),
        )?;
        Ok(())
    }
}

pub(crate) fn insert_answer(connection: &Connection, answer: &Answer<'_>) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO answer (question, annotator, verdict, settles, flagged, comment) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            answer.question as i64,
            answer.annotator,
            answer.verdict,
            answer.settles,
            answer.flagged,
            answer.comment,
        ))?;
    Ok(())
}
