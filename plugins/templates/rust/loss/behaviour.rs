//! What it does, asked of the built library.

use orchestrator_testkit::{Row, step};
use serde_json::json;

#[test]
fn a_near_negative_costs_and_is_pushed_away() {
    let library = orchestrator_testkit::library!();
    let plugin = orchestrator_testkit::open(&library, "my_plugin", &json!({ "below": 0.3 }));
    // Three texts of two numbers: the anchor, its positive (the same), a negative with cosine 0.6.
    let embeddings = vec![1.0, 0.0, 1.0, 0.0, 0.6, 0.8];
    let rows = [Row::positive(0, 1), Row::negative(0, 2)];
    let result = plugin.forward(&step(2, embeddings, &rows));
    assert_eq!(result.rows[0], Some(0.0));
    assert!((result.loss - 0.5 * 0.3).abs() < 1e-6, "{}", result.loss);
    // Going against the gradient moves the negative from the anchor.
    assert!(result.gradient[4] > 0.0);
}
