//! In-batch negatives chosen by a guide.

use orchestrator_plugin::{
    Call, Config, Error, Loss, LossBatch, LossOutput, Needs, Result, abi, dot,
};

use crate::choice::choice;
use crate::contrast::{Candidate, Contrast, Kind};
use crate::cosine::Units;
use crate::in_batch::InBatch;
use crate::shares;

choice! {
    /// How the threshold lies below the guide's similarity of the positive.
    MarginStrategy {
        /// By `margin`.
        Absolute = "absolute",
        /// By `margin` times its absolute value.
        Relative = "relative",
    }
}

/// InfoNCE whose in-batch negatives a second model has looked at: what the guide finds nearer than the positive is likely
/// relevant too, and is no negative.
///
/// The cross-entropy of picking the positive by `cos / temperature` among the positive itself, the anchor with every other
/// document of the step, the anchor with other anchors, and the positive with other positives. A candidate is left out if
/// the guide's cosine of the two is greater than its cosine of anchor and positive less the margin. The guide is the
/// experiment's teacher.
///
/// Two texts are never contrasted if one is known to be relevant to the other, or both to one anchor of the step, whatever
/// the guide says. Mean over positive rows by their weights; the weights of negatives, and labels, are not used.
///
/// Solatorio 2024 (GISTEmbed); equal to sentence-transformers' `GISTEmbedLoss`.
#[derive(Config)]
pub struct Gist {
    /// What the cosine is divided by.
    #[config(default = 0.01, above = 0)]
    temperature: f32,
    /// Whether the margin is a cosine (`absolute`) or a share of the positive's cosine (`relative`).
    #[config(default = MarginStrategy::Absolute)]
    margin_strategy: MarginStrategy,
    /// How far below the positive, by the guide, a negative must be.
    #[config(default = 0.0)]
    margin: f32,
    /// Whether an anchor is told from other anchors too.
    #[config(default = true)]
    contrast_anchors: bool,
    /// Whether a positive is told from other positives too. Retrieval is often better without.
    #[config(default = true)]
    contrast_positives: bool,
}

/// The teacher's embeddings of the step's texts.
struct Guide<'a> {
    dim: usize,
    units: &'a [f32],
}

impl<'a> Guide<'a> {
    fn of(batch: &LossBatch<'_>, call: &Call<'a>) -> Result<Self> {
        let (dim, units) = call.teacher()?;
        if units.len() != dim * batch.texts() {
            return Err(Error::data(
                "the teacher has not embedded each text of the step",
            ));
        }
        Ok(Self { dim, units })
    }

    fn cosine(&self, a: usize, b: usize) -> f32 {
        let unit = |text: usize| &self.units[text * self.dim..(text + 1) * self.dim];
        dot(unit(a), unit(b))
    }
}

impl Gist {
    /// The candidates of a positive pair that neither what is known nor the guide forbids, and the pair itself.
    fn candidates(
        &self,
        step: &InBatch,
        guide: &Guide<'_>,
        (anchor, positive): (usize, usize),
    ) -> Vec<Candidate> {
        let of_positive = guide.cosine(anchor, positive);
        let threshold = match self.margin_strategy {
            MarginStrategy::Absolute => of_positive - self.margin,
            MarginStrategy::Relative => of_positive - of_positive.abs() * self.margin,
        };
        let allowed =
            |a: usize, b: usize| step.may_contrast(a, b) && guide.cosine(a, b) <= threshold;
        let mut found = vec![Candidate::of(Kind::AnchorDocument, anchor, positive)];
        let mut add = |kind: Kind, one: usize, others: &[usize]| {
            let others = others.iter().filter(|&&other| allowed(one, other));
            found.extend(others.map(|&other| Candidate::of(kind, one, other)));
        };
        add(Kind::AnchorDocument, anchor, &step.documents);
        if self.contrast_anchors {
            // An anchor that shares this positive is no stranger.
            let others: Vec<usize> = step
                .anchors
                .iter()
                .copied()
                .filter(|&other| step.may_contrast(positive, other))
                .collect();
            add(Kind::AnchorAnchor, anchor, &others);
        }
        if self.contrast_positives {
            add(Kind::PositiveDocument, positive, &step.positives);
        }
        found
    }
}

impl Loss for Gist {
    const NEEDS: Needs = Needs {
        positives: true,
        negatives: false,
        teacher: true,
    };
    const SERVICES: &'static [&'static str] = &[abi::service::TEACHER];

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        call: &Call<'_>,
    ) -> Result<f64> {
        let guide = Guide::of(batch, call)?;
        let mut units = Units::of(batch);
        let step = InBatch::of(batch);
        let mut contrast = Contrast::of(&step, batch.texts());
        let total = shares::weight_of_positives(batch);
        let scale = 1.0 / f64::from(self.temperature);
        let mut sum = 0.0;
        for group in batch.groups() {
            for &number in group.positives {
                let row = batch.row(number as usize);
                let pair = (group.anchor, row.text);
                let candidates = self.candidates(&step, &guide, pair);
                let share = f64::from(row.weight) / total;
                let (loss, _) = contrast.cross_entropy(&units, pair, &[candidates], scale, share);
                out.set_row(number as usize, loss as f32);
                sum += share * loss;
            }
        }
        contrast.pull(&mut units);
        units.write(out);
        Ok(sum)
    }
}
