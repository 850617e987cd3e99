//! Withdrawn papers.

use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict, abi};

/// Drops texts of retracted documents: marked so in the metadata (`"retracted": true`), or by their title or text: a mark in
/// brackets (`[RETRACTED]`, `[Retraction of …]`), or the word at its beginning (`Retracted:`, `RETRACTED ARTICLE:`).
#[derive(Config)]
pub struct Retracted {}

/// The mark that a lower-cased title or text bears, if any.
fn mark(text: &str) -> Option<&'static str> {
    if text.contains("[retract") {
        return Some("[retract…]");
    }
    [
        "retracted:",
        "retraction:",
        "retracted article:",
        "retraction note:",
    ]
    .into_iter()
    .find(|mark| text.starts_with(mark))
}

impl Filter for Retracted {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS];

    fn judge(&self, sample: &Sample<'_>, call: &Call<'_>) -> Verdict {
        let said = serde_json::from_str::<serde_json::Value>(sample.metadata)
            .is_ok_and(|metadata| metadata["retracted"] == true);
        if said {
            return Verdict::drop("its document is marked as retracted");
        }
        // A rationale does not carry its document's title.
        let title = sample.document.and_then(|number| {
            Some(
                call.corpus()
                    .ok()?
                    .document(number as usize)
                    .title
                    .to_lowercase(),
            )
        });
        if let Some(mark) = title.as_deref().and_then(mark) {
            return Verdict::drop(format!("the title of its document says \"{mark}\""));
        }
        mark(&sample.text.to_lowercase()).map_or_else(Verdict::keep, |mark| {
            Verdict::drop(format!("its text says \"{mark}\""))
        })
    }
}
