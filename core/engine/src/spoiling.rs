//! What is done to the samples on purpose: relevant documents made negatives, to see who finds them (`data.spoil`), and samples
//! left out by their ids, to see what they did (`samples.leave_out`).

use std::collections::BTreeSet;

use orchestrator_diagnostics::{Diagnostic, Kind};
use orchestrator_store as store;
use orchestrator_store::{Provenance, Role, Sample, SampleId, SampleView, sample_id};

use crate::driver::Driver;
use crate::error::Error;

/// The source of spoiled samples.
pub(crate) const SPOILED: &str = "spoiled";

/// What leaves samples out, as filters are named.
const LEFT_OUT: &str = "left_out";

impl Driver<'_> {
    /// Proposes the spoiled pairs as negatives.
    pub(crate) fn tick_spoiled(&mut self, spoiled: &BTreeSet<(usize, usize)>) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let data = self.data;
        self.write(number, "propose", SPOILED, |tick| {
            tick.add_metric(None, "spoiled/found", spoiled.len() as f64)?;
            for (anchor, document) in spoiled {
                let text = data.documents[*document].full_text();
                let id = sample_id(&data.anchors[*anchor].id, &text, Role::Negative);
                tick.add_sample(&Sample {
                    id,
                    anchor: *anchor,
                    text: &text,
                    role: Role::Negative,
                    label: 0.0,
                    weight: 1.0,
                    document: Some(*document),
                    parent: None,
                    difficulty: None,
                })?;
                tick.add_provenance(&Provenance {
                    sample: id,
                    source: SPOILED,
                    score: None,
                    detail: "",
                })?;
            }
            Ok(())
        })
    }

    /// Drops the samples of a list that came since tick `first`.
    pub(crate) fn tick_left_out(&mut self, list: &str, first: u32) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let bytes = self.lent.files.get(list).map_or(&[][..], Vec::as_slice);
        let ids = ids_of(list, bytes)?;
        let views = self.new_samples(number, first)?;
        let listed: Vec<&SampleView> = views.iter().filter(|view| ids.contains(&view.id)).collect();
        let reason = format!("its id is in {list}");
        self.write(number, "judge", LEFT_OUT, |tick| {
            tick.add_metric(None, "left_out/listed", ids.len() as f64)?;
            for view in listed {
                tick.add_verdict(&store::Verdict {
                    sample: view.id,
                    filter: LEFT_OUT,
                    keep: false,
                    score: None,
                    reason: &reason,
                })?;
            }
            Ok(())
        })
    }
}

/// The ids of a list: the first word of each line that is not empty and no comment (`#`).
fn ids_of(name: &str, bytes: &[u8]) -> Result<BTreeSet<SampleId>, Error> {
    let text = String::from_utf8_lossy(bytes);
    let mut ids = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let Some(word) = line.split_whitespace().next() else {
            continue;
        };
        if word.starts_with('#') {
            continue;
        }
        let id = u128::from_str_radix(word, 16).ok();
        let Some(id) = id.filter(|_| word.len() == 32) else {
            let wrong = Diagnostic::new(
                Kind::Data,
                format!("line {} of `{name}` is no id of a sample: `{word}`", number + 1),
            )
            .help("an id a line, 32 hexadecimal digits, as `orchestrator explain` and the store have them");
            return Err(wrong.into());
        };
        ids.insert(SampleId(id));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_id_a_line_and_says_which_line_is_none() {
        let one = "0123456789abcdef0123456789abcdef";
        let list = format!("# harmful\n\n{one} and why\n  {one}\n");
        let ids = ids_of("x.txt", list.as_bytes()).expect("ids");
        assert_eq!(ids.len(), 1);
        assert_eq!(ids.first().map(ToString::to_string).as_deref(), Some(one));
        for wrong in ["0123", "0123456789abcdef0123456789abcdeg"] {
            let list = format!("{one}\n{wrong}\n");
            let error = ids_of("x.txt", list.as_bytes()).expect_err("no id");
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }
}
