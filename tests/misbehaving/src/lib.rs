//! Plugins that do what plugins must not, each in one way, chosen by its setting.
#![forbid(unsafe_code)]

mod borrower;

use orchestrator_plugin::{
    Anchors, Augmenter, Call, Candidate, Config, Error, Filter, Loss, LossBatch, LossOutput, Needs,
    Pool, Result, Sample, Sampler, Samples, Select, Sink, Verdict,
};

/// A sampler that misbehaves.
#[derive(Config)]
struct BadSampler {
    /// How.
    how: String,
}

impl Sampler for BadSampler {
    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let anchor = anchors.numbers()[0];
        let mut candidate = Candidate::negative(
            anchor,
            "a text of ten words that no filter would ever drop here",
        );
        match self.how.as_str() {
            "panic" => panic!("the sampler fell over"),
            "anchor" => candidate.anchor = 1_000_000,
            "document" => candidate.document = Some(1_000_000),
            "label" => candidate.label = 1.5,
            "weight" => candidate.weight = f32::NAN,
            "score" => candidate.score = f32::INFINITY,
            "text" => candidate.text = "  ",
            "detail" => candidate.detail = "not json".to_owned(),
            "parent" => candidate.parent = Some(0),
            "error" => return Err(Error::data("the moon is in the wrong phase")),
            "refuses" => return Err(Error::config("/how", "not today")),
            "endless" => loop {
                sink.push(&candidate)?;
            },
            "swallows" => {
                candidate.anchor = -7;
                let _ = sink.push(&candidate);
                return Ok(());
            }
            "metric" => {
                let _ = call.metric("worth/seeing", f64::INFINITY);
                return Ok(());
            }
            "metric_name" => call.metric("Not A Name", 1.0)?,
            "service" => {
                call.search()?.top_k(&[1_000_000], 3)?;
            }
            _ => {}
        }
        sink.push(&candidate)
    }
}

/// A selector that misbehaves.
#[derive(Config)]
struct BadSelector {
    /// How.
    how: String,
}

impl Select for BadSelector {
    fn select(&self, pool: &Pool<'_>, budget: usize, _: &Call<'_>) -> Result<Vec<usize>> {
        Ok(match self.how.as_str() {
            "range" => vec![pool.iter().len()],
            "twice" => vec![0, 0],
            _ => (0..=budget).collect(),
        })
    }
}

/// An augmenter that misbehaves.
#[derive(Config)]
struct BadAugmenter {}

impl Augmenter for BadAugmenter {
    fn augment(&self, samples: &Samples<'_>, _: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        // A sample without a parent.
        samples
            .iter()
            .take(1)
            .try_for_each(|sample| sink.push(&Candidate::negative(sample.anchor, "out of nothing")))
    }
}

/// A filter that misbehaves.
#[derive(Config)]
struct BadFilter {
    /// How.
    how: String,
}

impl Filter for BadFilter {
    fn judge(&self, _: &Sample<'_>, _: &Call<'_>) -> Verdict {
        match self.how.as_str() {
            "panic" => panic!("the filter fell over"),
            "drop" => Verdict::drop("nothing is good enough"),
            _ => Verdict::keep().scored(f32::INFINITY),
        }
    }
}

/// A loss that misbehaves.
#[derive(Config)]
struct BadLoss {
    /// How.
    how: String,
}

impl Loss for BadLoss {
    const NEEDS: Needs = Needs {
        positives: false,
        negatives: false,
        teacher: false,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        match self.how.as_str() {
            "panic" => panic!("the loss fell over"),
            "gradient" => out.add(0, f32::NAN, &vec![1.0; batch.dim]),
            "row" => out.set_row(0, f32::INFINITY),
            // An index out of range is a panic of safe Rust, caught in the plugin.
            "index" => out.set_row(1_000_000, 0.0),
            _ => return Ok(f64::NAN),
        }
        Ok(0.0)
    }
}

orchestrator_plugin::export! {
    samplers: [BadSampler as "test.bad_sampler", borrower::Borrower as "test.borrower"],
    selectors: [BadSelector as "test.bad_selector"],
    augmenters: [BadAugmenter as "test.bad_augmenter"],
    filters: [BadFilter as "test.bad_filter"],
    losses: [BadLoss as "test.bad_loss", borrower::BorrowingLoss as "test.borrowing_loss"],
}
