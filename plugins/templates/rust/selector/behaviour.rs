//! What it does, asked of the built library.

use std::collections::BTreeSet;

use serde_json::json;

#[test]
fn it_chooses_as_many_distinct_rows_as_it_may() {
    let library = orchestrator_testkit::library!();
    let plugin = orchestrator_testkit::open(&library, "my_plugin", &json!({}));
    let chosen = plugin.select(50, 7);
    assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 7);
    assert_eq!(plugin.select(3, 7).len(), 3);
}
