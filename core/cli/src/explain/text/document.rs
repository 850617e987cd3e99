//! The life of a document, laid out.

use orchestrator_store::explaining::{DocumentLife, RunState};

use super::{Laid, model, number};
use crate::terminal::Column;

impl Laid {
    pub(super) fn document(&mut self, life: &DocumentLife, run: &RunState) {
        self.sheet
            .title(&format!("Document {}: {}", life.id, life.title));
        self.run(run);
        self.sheet.field("text", &life.text);
        self.metadata(&life.metadata);
        self.topic(life.topic.as_ref());
        self.heading_of("Judged for", &life.judgements);
        let shown = self.rows(&life.judgements.rows);
        self.judged(shown, true);
        for (title, part) in [
            ("Positives made of it", &life.positives),
            ("Negatives made of it", &life.negatives),
        ] {
            self.heading_of(title, part);
            self.briefs(&part.rows, true, false);
        }
        if !life.retrieved.is_empty() {
            self.sheet
                .heading("How often it is among the ten first, over validation and test");
            let rows: Vec<Vec<String>> = life
                .retrieved
                .iter()
                .map(|one| {
                    vec![
                        model(&one.model),
                        one.judged.to_string(),
                        one.not_judged.to_string(),
                        one.best_rank.to_string(),
                    ]
                })
                .collect();
            self.sheet.table(
                &[
                    Column::words(""),
                    Column::numbers("rightly"),
                    Column::numbers("wrongly"),
                    Column::numbers("best rank"),
                ],
                &rows,
            );
        }
        if life.retrieved_wrongly.total > 0 {
            self.heading_of("Retrieved wrongly for", &life.retrieved_wrongly);
            let shown = self.rows(&life.retrieved_wrongly.rows);
            let rows: Vec<Vec<String>> = shown
                .iter()
                .map(|one| {
                    vec![
                        model(&one.model),
                        one.rank.to_string(),
                        number(one.score),
                        one.anchor.id.clone(),
                        one.anchor.split.clone(),
                        one.anchor.text.clone(),
                    ]
                })
                .collect();
            self.sheet.table(
                &[
                    Column::words("model"),
                    Column::numbers("rank"),
                    Column::numbers("score"),
                    Column::words("claim"),
                    Column::words("split"),
                    Column::text("text"),
                ],
                &rows,
            );
        }
        self.questions(&life.questions);
        self.places(&life.places);
    }
}
