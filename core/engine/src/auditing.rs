//! A slice of the samples for people to look at when the run is over: does what the tool made of them hold?

use orchestrator_config::{Audit, Slice};
use orchestrator_store as store;
use orchestrator_store::{QuestionView, Role, SampleView};

use crate::active::shared;
use crate::desk::{Desk, Fate, Verdict};
use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::progress::Event;
use crate::seed::shuffled;

impl Driver<'_> {
    /// Writes the questions of the audit. Nobody waits for the answers: they come when they come.
    pub(crate) fn tick_audit(&mut self, audit: &Audit, standing: &Standing) -> Result<(), Error> {
        self.stage("audit");
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let used = self.store.used()?;
        let mut samples = self.store.samples(number - 1)?;
        samples.retain(|view| view.kept && used.contains(&view.id));
        let chosen = match audit.from {
            Slice::Random => {
                let mut drawn = shuffled(samples, self.experiment.seed, "audit", &[]);
                drawn.truncate(audit.samples);
                drawn
            }
            Slice::Suspicious => suspicious(samples, audit.samples),
        };
        self.show(Event::Note(format!(
            "{} samples wait to be audited: orchestrator annotate {}",
            chosen.len(),
            self.folder.display()
        )));
        let detail = match audit.from {
            Slice::Random => "random",
            Slice::Suspicious => "suspicious",
        };
        let first = standing.asked.len() + 1;
        self.write(number, "audit", detail, |tick| {
            for (place, view) in chosen.iter().enumerate() {
                tick.add_question(&store::Question {
                    id: (first + place) as u64,
                    round: 0,
                    anchor: view.anchor,
                    document: view.document,
                    text: &view.text,
                    sample: Some(view.id),
                    shared: shared(audit.people.overlap, place),
                    similarity: view.similarity,
                    probabilities: None,
                })?;
            }
            Ok(())
        })
    }
}

impl Driver<'_> {
    /// Once everything of the audit is answered: what people said beside what the tool made of the samples. It is the last tick
    /// there is, and comes whenever a finished run is resumed after the last answer.
    pub(crate) fn tick_audited(&mut self) -> Result<(), Error> {
        let mut questions = self.store.questions()?;
        questions.retain(|one| one.round == 0);
        let answers = self.store.answers()?;
        let desk = Desk::new(&questions, &answers);
        if questions.is_empty() || !desk.done() {
            return Ok(());
        }
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let reading = self.reading;
        let relevant =
            |verdict: Verdict| verdict.label().is_some_and(|label| reading.relevant(label));
        let is_positive = |question: &QuestionView| {
            let role = question.role.as_deref()?;
            Some(role == Role::Positive.name())
        };
        let agreement = desk.agreement_in_the_end(is_positive, relevant);
        self.show(Event::Note(format!(
            "audit: people agree with the role of {} of {} samples",
            agreement.agreed, agreement.n
        )));
        let between = desk.agreements();
        self.write(number, "audited", "", |tick| {
            for (question, fate) in desk.fates() {
                if let (Fate::Answered { verdict, by, .. }, Some(sample)) = (fate, &question.sample)
                {
                    tick.add_audited(&store::Audited {
                        sample,
                        verdict: verdict.name(),
                        annotator: &by,
                        agrees: is_positive(question) == Some(relevant(verdict)),
                    })?;
                }
            }
            let all = std::iter::once(("audit".to_owned(), agreement)).chain(
                between
                    .iter()
                    .map(|(one, other, of)| (format!("annotators/{one}, {other}"), *of)),
            );
            for (of, agreement) in all {
                for (name, value) in agreement.metrics(&of) {
                    tick.add_metric(None, &name, value)?;
                }
            }
            Ok(())
        })
    }
}

/// Negatives nearest to being relevant and positives farthest from it, in turn, the most suspicious first.
fn suspicious(samples: Vec<SampleView>, most: usize) -> Vec<SampleView> {
    let (mut positives, mut negatives): (Vec<_>, Vec<_>) = samples
        .into_iter()
        .partition(|view| view.role == Role::Positive);
    let by = |value: fn(&SampleView) -> Option<f32>| {
        move |a: &SampleView, b: &SampleView| {
            let of = |view: &SampleView| value(view).unwrap_or(0.0);
            of(a).total_cmp(&of(b)).then(a.id.cmp(&b.id))
        }
    };
    positives.sort_by(by(|view| view.similarity));
    // What was edited to be false is near on purpose.
    negatives.retain(|view| view.parent.is_none() && view.fixed_difficulty.is_none());
    negatives.sort_by(by(|view| view.difficulty.map(|difficulty| -difficulty)));
    let (mut positives, mut negatives) = (positives.into_iter(), negatives.into_iter());
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let before = chosen.len();
        chosen.extend(negatives.next());
        if chosen.len() < most {
            chosen.extend(positives.next());
        }
        if chosen.len() == before {
            break;
        }
    }
    chosen
}
