//! The life of an anchor, laid out.

use orchestrator_store::explaining::{AnchorLife, RunState};

use super::{Laid, model, number, told};
use crate::terminal::Column;

impl Laid {
    pub(super) fn anchor(&mut self, life: &AnchorLife, run: &RunState) {
        self.sheet
            .title(&format!("Claim {} ({})", life.id, life.split));
        self.sheet.paragraph(match life.split.as_str() {
            "train" => "Trained on.",
            "validation" => "Held out of training: epochs are chosen by claims like this one.",
            "test" => "Of the test: scored, never trained on or chosen by.",
            _ => "Neither trained on nor scored.",
        });
        self.run(run);
        self.sheet.field("text", &life.text);
        self.metadata(&life.metadata);
        self.topic(life.topic.as_ref());
        self.judgements("What the data say", &life.judgements);
        self.evaluations(life);
        self.retrieved(life);
        for slice in &life.slices {
            self.sheet.heading(&format!("In the slice {}", slice.name));
            if slice.text != life.text {
                self.sheet.field("asked", &slice.text);
            }
            let detail = told(&slice.detail);
            if !detail.is_empty() {
                self.sheet.field("why", &detail);
            }
            let cells = slice
                .values
                .iter()
                .map(|one| (one.model.as_str(), one.metric.as_str(), number(one.value)));
            self.grid(&cells.collect::<Vec<_>>());
        }
        for (title, part) in [
            ("Positives", &life.positives),
            ("Negatives", &life.negatives),
        ] {
            if part.total > 0 {
                self.heading_of(title, part);
                self.briefs(&part.rows, false, false);
            }
        }
        if life.split == "train" && life.positives.total + life.negatives.total == 0 {
            self.sheet.heading("Samples");
            self.sheet.paragraph("None was made for it.");
        }
        self.questions(&life.questions);
        self.places(&life.places);
    }

    fn evaluations(&mut self, life: &AnchorLife) {
        if life.evaluations.is_empty() {
            return;
        }
        self.sheet.heading("How models answer it");
        let mut cells: Vec<(&str, &str, String)> = life
            .evaluations
            .iter()
            .map(|one| (one.model.as_str(), one.metric.as_str(), number(one.value)))
            .collect();
        let mut seen = Vec::new();
        for one in &life.evaluations {
            if !seen.contains(&one.model.as_str()) {
                seen.push(one.model.as_str());
                let rank = one
                    .first_relevant
                    .map_or_else(|| "not found".to_owned(), |rank| rank.to_string());
                cells.push((one.model.as_str(), "first relevant at", rank));
            }
        }
        self.grid(&cells);
    }

    /// Models down, metrics across.
    fn grid(&mut self, cells: &[(&str, &str, String)]) {
        let mut models: Vec<&str> = Vec::new();
        let mut metrics: Vec<&str> = Vec::new();
        for (model, metric, _) in cells {
            if !models.contains(model) {
                models.push(model);
            }
            if !metrics.contains(metric) {
                metrics.push(metric);
            }
        }
        let mut rows: Vec<Vec<String>> = vec![
            std::iter::once(String::new())
                .chain(metrics.iter().map(|one| (*one).to_owned()))
                .collect(),
        ];
        for of in models {
            let mut row = vec![model(of)];
            for metric in &metrics {
                let found = cells.iter().find(|one| one.0 == of && one.1 == *metric);
                row.push(found.map_or_else(|| "-".to_owned(), |one| one.2.clone()));
            }
            rows.push(row);
        }
        let columns: Vec<Column> = std::iter::once(Column::words(""))
            .chain(metrics.iter().map(|_| Column::numbers("")))
            .collect();
        self.sheet.table(&columns, &rows);
    }

    fn retrieved(&mut self, life: &AnchorLife) {
        let mut models: Vec<&str> = Vec::new();
        for one in &life.retrieved {
            if !models.contains(&one.model.as_str()) {
                models.push(&one.model);
            }
        }
        for of in models {
            self.sheet.heading(&format!("Retrieved by {}", model(of)));
            let rows: Vec<Vec<String>> = life
                .retrieved
                .iter()
                .filter(|one| one.model == of)
                .map(|one| {
                    vec![
                        one.rank.to_string(),
                        if one.judged { "✓" } else { "" }.to_owned(),
                        one.label.clone().unwrap_or_default(),
                        number(one.score),
                        one.document.id.clone(),
                        one.document.title.clone(),
                    ]
                })
                .collect();
            self.sheet.table(
                &[
                    Column::numbers("rank"),
                    Column::words("relevant"),
                    Column::words("label"),
                    Column::numbers("score"),
                    Column::words("document"),
                    Column::text("title"),
                ],
                &rows,
            );
        }
    }
}
