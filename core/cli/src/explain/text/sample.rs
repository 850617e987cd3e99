//! The life of a sample, laid out.

use orchestrator_store::explaining::{RunState, SampleLife};

use super::{Laid, capital, count, influence, maybe, model, number, share, state_in_full, told};
use crate::terminal::Column;

impl Laid {
    pub(super) fn sample(&mut self, life: &SampleLife, run: &RunState) {
        self.sheet
            .title(&format!("{} sample {}", capital(&life.role), life.id));
        self.sheet.paragraph(&state_in_full(&life.state));
        if let Some(suspect) = &life.suspect {
            self.sheet.paragraph(&format!(
                "Its label is suspected: place {} of {}, {} likely to be wrong.",
                suspect.place,
                count(suspect.of, &life.role, &format!("{}s", life.role)),
                share(suspect.probability)
            ));
        }
        if life.judgements.iter().any(|one| one.spoiled) {
            self.sheet.paragraph(
                "Its judgement was spoiled on purpose (data.spoil): what it says is not so.",
            );
        }
        if let Some(audited) = &life.audited {
            self.sheet.paragraph(&format!(
                "{} said `{}`, which {} its role.",
                audited.annotator,
                audited.verdict,
                if audited.agrees {
                    "agrees with"
                } else {
                    "contradicts"
                }
            ));
        }
        self.run(run);
        self.sheet.field(
            "claim",
            &format!(
                "{} ({}): {}",
                life.anchor.id, life.anchor.split, life.anchor.text
            ),
        );
        self.sheet.field("text", &life.text);
        if let Some(document) = &life.document {
            self.sheet
                .field("document", &format!("{}: {}", document.id, document.title));
        }
        self.sheet.field(
            "label",
            &format!(
                "{}, weight {}{}",
                life.label,
                life.weight,
                life.fixed_difficulty
                    .map(|value| format!(", difficulty {value} by its plugin"))
                    .unwrap_or_default()
            ),
        );
        self.origins(life);
        self.verdicts(life);
        self.scores(life);
        self.uses(life);
        self.influences(life);
        if let Some(suspect) = &life.suspect {
            self.sheet.heading("Why its label is suspected");
            self.sheet.paragraph(&told(&suspect.evidence));
        }
        self.judgements(
            "What the data say of its claim and its document",
            &life.judgements,
        );
        self.questions(&life.questions);
        self.places(&life.places);
    }

    fn origins(&mut self, life: &SampleLife) {
        self.sheet.heading("Where it is from");
        let rows: Vec<Vec<String>> = life
            .origins
            .iter()
            .map(|origin| {
                vec![
                    origin.source.clone(),
                    origin.tick.number.to_string(),
                    origin.tick.kind.clone(),
                    maybe(origin.score),
                    origin
                        .superseded
                        .map(|tick| format!("until tick {tick}"))
                        .unwrap_or_default(),
                    told(&origin.detail),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::words("source"),
                Column::numbers("tick"),
                Column::words("in"),
                Column::numbers("score"),
                Column::words("counted"),
                Column::text("why"),
            ],
            &rows,
        );
        if !life.parents.is_empty() {
            self.sheet.heading("What it was made from");
            self.briefs(&life.parents, false, true);
        }
        if life.children.total > 0 {
            self.heading_of("What was made from it", &life.children);
            self.briefs(&life.children.rows, false, true);
        }
    }

    fn verdicts(&mut self, life: &SampleLife) {
        self.sheet.heading("What filters thought of it");
        if life.verdicts.is_empty() {
            self.sheet.paragraph("None has judged it.");
            return;
        }
        let rows: Vec<Vec<String>> = life
            .verdicts
            .iter()
            .map(|verdict| {
                vec![
                    verdict.filter.clone(),
                    verdict.tick.to_string(),
                    if verdict.keep { "kept" } else { "DROPPED" }.to_owned(),
                    maybe(verdict.score),
                    verdict.reason.clone(),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::words("filter"),
                Column::numbers("tick"),
                Column::words("verdict"),
                Column::numbers("measured"),
                Column::text("reason"),
            ],
            &rows,
        );
    }

    fn scores(&mut self, life: &SampleLife) {
        if life.scores.is_empty() {
            return;
        }
        self.sheet.heading("How the model saw it");
        let rows: Vec<Vec<String>> = life
            .scores
            .iter()
            .map(|score| {
                vec![
                    model(&score.model),
                    score.tick.to_string(),
                    number(score.similarity),
                    maybe(score.difficulty),
                    score.band.clone().unwrap_or_default(),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::words("version"),
                Column::numbers("tick"),
                Column::numbers("cosine"),
                Column::numbers("difficulty"),
                Column::words("band"),
            ],
            &rows,
        );
    }

    fn uses(&mut self, life: &SampleLife) {
        self.sheet.heading(&format!(
            "What training made of it: {}",
            count(life.uses.total, "use", "uses")
        ));
        if life.epochs.is_empty() {
            self.sheet.paragraph(if life.state.in_pool {
                "It was never dealt: other samples of its claim, role or band came before it."
            } else {
                "It was never used."
            });
            return;
        }
        let rows: Vec<Vec<String>> = life
            .epochs
            .iter()
            .map(|epoch| {
                vec![
                    epoch.epoch.to_string(),
                    epoch.uses.to_string(),
                    if epoch.first_step == epoch.last_step {
                        epoch.first_step.to_string()
                    } else {
                        format!("{} to {}", epoch.first_step, epoch.last_step)
                    },
                    maybe(epoch.mean_loss),
                    maybe(epoch.least_loss.filter(|_| epoch.uses > 1)),
                    maybe(epoch.most_loss.filter(|_| epoch.uses > 1)),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::numbers("epoch"),
                Column::numbers("uses"),
                Column::words("steps"),
                Column::numbers("mean loss"),
                Column::numbers("least"),
                Column::numbers("most"),
            ],
            &rows,
        );
        if self.full && life.uses.total > life.epochs.len() as u64 {
            self.sheet.heading("Each use");
            let rows: Vec<Vec<String>> = life
                .uses
                .rows
                .iter()
                .map(|one| vec![one.epoch.to_string(), one.step.to_string(), maybe(one.loss)])
                .collect();
            self.sheet.table(
                &[
                    Column::numbers("epoch"),
                    Column::numbers("step"),
                    Column::numbers("loss"),
                ],
                &rows,
            );
        }
    }

    fn influences(&mut self, life: &SampleLife) {
        if life.influence.is_empty() {
            return;
        }
        let total: f64 = life.influence.iter().map(|one| one.value).sum();
        self.sheet.heading("What it does to the loss on validation");
        self.sheet.paragraph(&format!(
            "{} in all: steps on it {} the loss on validation, to first order (TracIn).",
            influence(total),
            if total < 0.0 { "raise" } else { "lower" }
        ));
        let rows: Vec<Vec<String>> = life
            .influence
            .iter()
            .map(|one| {
                vec![
                    one.model.clone(),
                    influence(one.value),
                    format!("{} of {}", one.place, one.of),
                    maybe(one.loss),
                    if one.on_its_side { "yes" } else { "no" }.to_owned(),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::words("version"),
                Column::numbers("influence"),
                Column::words("from the worst"),
                Column::numbers("its loss"),
                Column::words("on its side"),
            ],
            &rows,
        );
    }
}
