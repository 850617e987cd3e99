//! Learning rates over the steps of a run.

/// Rises linearly from 0 over the warm-up, then falls linearly to 0 (Hugging Face's `get_linear_schedule_with_warmup`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearSchedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub total: u64,
}

impl LinearSchedule {
    /// The rate of `step`, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup.max(1) as f64;
        }
        let left = self.total.saturating_sub(step) as f64;
        self.peak * left / self.total.saturating_sub(self.warmup).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::LinearSchedule;

    #[test]
    fn the_rate_rises_then_falls_to_zero() {
        let schedule = LinearSchedule {
            peak: 2.0,
            warmup: 4,
            total: 12,
        };
        let rates: Vec<f64> = (0..=12).map(|step| schedule.rate(step)).collect();
        assert_eq!(rates[..5], [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(rates[8..], [1.0, 0.75, 0.5, 0.25, 0.0]);
    }
}
