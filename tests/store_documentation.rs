//! Every query of docs/STORE.md runs and finds something in a real run; every table and view is in it.
#![allow(clippy::unwrap_used)]

use orchestrator_tests::{experiment, repository, small_experiment, succeed};

#[test]
fn the_documented_queries_find_something() {
    let text = std::fs::read_to_string(repository().join("docs/STORE.md")).unwrap();
    let slices = "evaluate: { slices: [nuance, long_tail, adversarial] }\n";
    let folder = experiment(&(small_experiment() + slices));
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    let store = rusqlite::Connection::open(folder.path().join("r/store.db")).unwrap();
    let mut queries = 0;
    for block in text.split("```sql\n").skip(1) {
        let sql = block.split("```").next().unwrap();
        let mut statement = store
            .prepare(sql)
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
        let mut rows = statement.query([]).unwrap();
        assert!(rows.next().unwrap().is_some(), "nothing is found by\n{sql}");
        queries += 1;
    }
    assert!(queries >= 5, "only {queries} queries");
    let mut statement = store
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for name in names {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}
