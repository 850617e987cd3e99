//! What it does, asked of the built library.

use serde_json::json;

#[test]
fn every_anchor_gets_as_many_as_asked_and_each_names_its_document() {
    let library = orchestrator_testkit::library!();
    let plugin = orchestrator_testkit::open(&library, "my_plugin", &json!({ "per_anchor": 3 }));
    let proposed = plugin.propose();
    assert_eq!(proposed.counts["asked"], 6 * 3);
    assert_eq!(proposed.candidates.len() as u64, proposed.counts["found"]);
    assert!(proposed.candidates.iter().all(|one| one.document.is_some()));
}
