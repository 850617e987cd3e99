//! The softmax, in logarithms: no exponential overflows, whatever the scale.

/// `log Σ exp(logit)`; minus infinity of nothing.
pub fn log_sum(logits: &[f64]) -> f64 {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    highest + sum.ln()
}

/// Turns logits into shares that sum to 1, and gives the logarithm of what they were divided by.
pub fn softmax(logits: &mut [f64]) -> f64 {
    let total = log_sum(logits);
    for logit in logits {
        *logit = (*logit - total).exp();
    }
    total
}

/// `log(exp(a) + exp(b))`.
pub fn log_add(a: f64, b: f64) -> f64 {
    log_sum(&[a, b])
}
