//! What it does, asked of the built library.

use serde_json::json;

#[test]
fn about_the_share_asked_for_is_dropped_and_the_rest_stays_in_order() {
    let library = orchestrator_testkit::library!();
    let plugin = orchestrator_testkit::open(&library, "my_plugin", &json!({ "rate": 0.5 }));
    let words: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let proposed = plugin.augment(&[&words.join(" ")]);
    let made = &proposed.candidates[0];
    assert_eq!(made.parent, Some(0));
    let left: Vec<usize> = made
        .text
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    assert!(left.is_sorted());
    assert!((60..140).contains(&left.len()), "{}", left.len());
}
