//! The samples that one begins with, laid out.

use std::path::Path;

use orchestrator_reports::explain::{Suspects, Worst};
use orchestrator_store::explaining::{RunState, SampleBrief};

use super::{Laid, brief_columns, brief_row, count, influence, share, told};
use crate::terminal::Column;

impl Laid {
    pub(super) fn worst(&mut self, worst: &Worst, run: &RunState, folder: &Path) {
        self.sheet
            .title("Samples that hurt the loss on validation most");
        self.run(run);
        if worst.measured == 0 {
            self.sheet.paragraph("The influence of samples was not measured in this run: see `analysis` in the experiment's documentation.");
            return;
        }
        if worst.rows.is_empty() {
            self.sheet.paragraph(&format!(
                "None of {} hurts.",
                count(worst.measured, "sample", "samples")
            ));
            return;
        }
        self.sheet.paragraph(&format!(
            "Of {} that were measured. Influence is added up over epochs: by how much steps on the sample lower the loss on \
             validation, to first order; below 0 they raise it.",
            count(worst.measured, "sample", "samples")
        ));
        let rows: Vec<Vec<String>> = worst
            .rows
            .iter()
            .map(|one| {
                let mut row = vec![influence(one.value)];
                row.extend(brief_row(&one.sample, true));
                row
            })
            .collect();
        let mut columns = vec![Column::numbers("influence")];
        columns.extend(brief_columns());
        self.sheet.heading("The worst first");
        self.sheet.table(&columns, &rows);
        self.how_to_go_on(folder, &worst.rows[0].sample);
    }

    pub(super) fn suspects(&mut self, suspects: &Suspects, run: &RunState, folder: &Path) {
        self.sheet.title("Samples whose label is suspected most");
        self.run(run);
        for (title, rows) in [
            ("Negatives that may be relevant", &suspects.negatives),
            ("Positives that may not be", &suspects.positives),
        ] {
            self.sheet.heading(title);
            if rows.is_empty() {
                self.sheet.paragraph("None is listed.");
                continue;
            }
            let shown: Vec<Vec<String>> = rows
                .iter()
                .map(|one| {
                    let mut row = vec![one.place.to_string(), share(one.probability)];
                    row.extend(brief_row(&one.sample, true));
                    // The heading says the role.
                    row[3].clear();
                    if let Some(last) = row.last_mut() {
                        last.push_str(&format!(" [{}]", told(&one.evidence)));
                    }
                    row
                })
                .collect();
            let mut columns = vec![Column::numbers("place"), Column::numbers("wrong")];
            columns.extend(brief_columns());
            self.sheet.table(&columns, &shown);
        }
        let first = suspects.negatives.iter().chain(&suspects.positives).next();
        if let Some(first) = first {
            self.how_to_go_on(folder, &first.sample);
        }
    }

    fn how_to_go_on(&mut self, folder: &Path, sample: &SampleBrief) {
        self.sheet.heading("One of them in full");
        self.sheet.paragraph(&format!(
            "orchestrator explain {} {}",
            folder.display(),
            sample.id
        ));
    }
}
