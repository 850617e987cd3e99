//! Learning rates over the steps of a run.

use std::f64::consts::PI;

/// What the rate does once it is warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fall {
    /// Falls to 0 in a straight line (Hugging Face's `get_linear_schedule_with_warmup`).
    Linear,
    /// Falls to 0 along half a cosine (`get_cosine_schedule_with_warmup`).
    Cosine,
    /// Stays (`get_constant_schedule_with_warmup`).
    Constant,
}

/// Rises linearly from 0 over the warm-up, then falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The highest rate.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub total: u64,
    /// What comes after the warm-up.
    pub fall: Fall,
}

impl Rates {
    /// The rate of `step`, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup.max(1) as f64;
        }
        let after = self.total.saturating_sub(self.warmup).max(1) as f64;
        match self.fall {
            Fall::Linear => self.peak * self.total.saturating_sub(step) as f64 / after,
            Fall::Cosine => {
                let gone = (step - self.warmup) as f64 / after;
                self.peak * (0.5 * (1.0 + (PI * gone.min(1.0)).cos()))
            }
            Fall::Constant => self.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls_as_told() {
        let of = |fall| -> Vec<f64> {
            let rates = Rates {
                peak: 2.0,
                warmup: 4,
                total: 12,
                fall,
            };
            (0..=12).map(|step| rates.rate(step)).collect()
        };
        for fall in [Fall::Linear, Fall::Cosine, Fall::Constant] {
            assert_eq!(of(fall)[..5], [0.0, 0.5, 1.0, 1.5, 2.0], "{fall:?}");
        }
        assert_eq!(of(Fall::Linear)[8..], [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(of(Fall::Constant)[8..], [2.0; 5]);
        // transformers 5.24, get_cosine_schedule_with_warmup(optimiser, 4, 12): lr_lambda(s) times 2.
        let expected = [
            1.0,
            0.617_316_567_634_910_2,
            0.292_893_218_813_452_4,
            0.076_120_467_488_713_26,
            0.0,
        ];
        for (ours, theirs) in of(Fall::Cosine)[8..].iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        }
    }
}
