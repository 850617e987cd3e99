//! Withdrawn papers.

use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict};

/// Drops texts of retracted documents: marked so in the metadata (`"retracted": true`), or by a word in brackets or
/// before a colon in title or text (`[RETRACTED]`, `Retracted:`, `Retraction:`).
#[derive(Config)]
pub struct Retracted {}

impl Filter for Retracted {
    fn judge(&self, sample: &Sample<'_>, _: &Call<'_>) -> Verdict {
        let said = serde_json::from_str::<serde_json::Value>(sample.metadata)
            .is_ok_and(|metadata| metadata["retracted"] == true);
        if said {
            return Verdict::drop("its document is marked as retracted");
        }
        let text = sample.text.to_lowercase();
        let mark = ["[retracted]", "[retraction]"]
            .into_iter()
            .find(|mark| text.contains(mark))
            .or_else(|| {
                ["retracted:", "retraction:", "retracted article:"]
                    .into_iter()
                    .find(|mark| text.starts_with(mark))
            });
        mark.map_or_else(Verdict::keep, |mark| {
            Verdict::drop(format!("its text says \"{mark}\""))
        })
    }
}
