//! The cross-entropy of picking a positive among candidates, by their cosines: what `mnrl` and `gist` share.

use crate::cosine::{Cosines, Units};
use crate::in_batch::InBatch;
use crate::softmax::softmax;

/// Which pair of texts a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An anchor and a document.
    AnchorDocument,
    /// Two anchors.
    AnchorAnchor,
    /// A positive and a document.
    PositiveDocument,
}

/// A pair of texts that the positive pair is told apart from, or that pair itself.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub kind: Kind,
    pub a: usize,
    pub b: usize,
    /// Added to its logit per unit of its cosine, without gradient.
    pub penalty: f64,
}

impl Candidate {
    pub fn of(kind: Kind, a: usize, b: usize) -> Self {
        Self {
            kind,
            a,
            b,
            penalty: 0.0,
        }
    }
}

/// The cosines of the candidates of a step, and the slopes along them.
pub struct Contrast {
    anchor_document: Cosines,
    anchor_anchor: Cosines,
    positive_document: Cosines,
}

impl Contrast {
    pub fn of(step: &InBatch, texts: usize) -> Self {
        let between = |left, right| Cosines::between(left, right, texts);
        Self {
            anchor_document: between(&step.anchors, &step.documents),
            anchor_anchor: between(&step.anchors, &step.anchors),
            positive_document: between(&step.positives, &step.documents),
        }
    }

    fn table(&mut self, kind: Kind) -> &mut Cosines {
        match kind {
            Kind::AnchorDocument => &mut self.anchor_document,
            Kind::AnchorAnchor => &mut self.anchor_anchor,
            Kind::PositiveDocument => &mut self.positive_document,
        }
    }

    /// `log Σ exp(logit) - logit(anchor, positive)`, the sum's logarithm averaged over the lists of candidates; the pair
    /// itself stands in the lists. Notes the slopes, times `share`. Also says whether no candidate document is nearer to the
    /// anchor than the positive.
    pub fn cross_entropy(
        &mut self,
        units: &Units,
        pair: (usize, usize),
        lists: &[Vec<Candidate>],
        scale: f64,
        share: f64,
    ) -> (f64, bool) {
        let part = 1.0 / lists.len() as f64;
        let positive = self.anchor_document.at(units, pair);
        let mut nearest = true;
        let mut loss = -scale * f64::from(positive);
        self.anchor_document.add_slope(pair, -scale * share);
        for list in lists {
            let mut logits: Vec<f64> = list
                .iter()
                .map(|one| {
                    let cosine = self.table(one.kind).at(units, (one.a, one.b));
                    let of_anchor = one.kind == Kind::AnchorDocument && one.a == pair.0;
                    nearest &= !(of_anchor && cosine > positive);
                    (scale + one.penalty) * f64::from(cosine)
                })
                .collect();
            loss += part * softmax(&mut logits);
            for (one, probability) in list.iter().zip(logits) {
                let slope = scale * part * share * probability;
                self.table(one.kind).add_slope((one.a, one.b), slope);
            }
        }
        (loss, nearest)
    }

    /// Hands the slopes on.
    pub fn pull(self, units: &mut Units) {
        self.anchor_document.pull(units);
        self.anchor_anchor.pull(units);
        self.positive_document.pull(units);
    }
}
