//! Gradients are kept from being too long.

use orchestrator_model::parameters::Gradient;

/// Shortens a gradient that is longer than `most`, all parameters together, to about that (PyTorch's `clip_grad_norm_`);
/// gives the length it had.
pub fn clip(gradient: &mut Gradient, most: f64) -> f64 {
    let norm = gradient.norm();
    // As PyTorch: a little less than `most`, so that nothing is divided by zero.
    let share = most / (norm + 1e-6);
    if share < 1.0 {
        gradient.scale(share as f32);
    }
    norm
}

#[cfg(test)]
mod tests {
    use orchestrator_model::parameters::Slope;

    use super::*;

    #[test]
    fn a_long_gradient_is_shortened_and_a_short_one_left() {
        let mut gradient = Gradient {
            slopes: vec![Some(Slope::Dense(vec![3.0])), Some(Slope::Dense(vec![4.0]))],
        };
        let before = gradient.clone();
        assert!((clip(&mut gradient, 5.1) - 5.0).abs() < 1e-12);
        assert_eq!(gradient, before);
        assert!((clip(&mut gradient, 1.0) - 5.0).abs() < 1e-12);
        assert!((gradient.norm() - 1.0).abs() < 1e-6);
    }
}
