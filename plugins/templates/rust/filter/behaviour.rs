//! What it does, asked of the built library.

use serde_json::json;

#[test]
fn short_texts_are_dropped_with_a_reason() {
    let library = orchestrator_testkit::library!();
    let plugin = orchestrator_testkit::open(&library, "my_plugin", &json!({ "min_words": 3 }));
    let verdicts = plugin.judge(&["three words here", "two words"]);
    assert!(verdicts[0].keep);
    assert!(!verdicts[1].keep);
    assert_eq!(verdicts[1].reason, "2 words, fewer than 3");
}
