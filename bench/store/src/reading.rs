//! How long each query of a report takes.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use orchestrator_store::{Shown, Store};

/// A query's name and what makes it.
type Query<'q> = (
    &'q str,
    &'q dyn Fn(&Store) -> Result<usize, orchestrator_store::Error>,
);

/// Makes each query once and writes how many seconds it took and how many rows came.
pub(crate) fn read(folder: &Path) -> Result<(), Box<dyn Error>> {
    let store = Store::open_to_read(&folder.join("store.db"))?;
    let queries: [Query<'_>; 7] = [
        ("overview", &|store| {
            Ok(store.overview(Shown::default())?.funnel.len())
        }),
        ("evaluations", &|store| Ok(store.evaluations()?.len())),
        ("overlapping_with_training", &|store| {
            Ok(store.overlapping_with_training()?.len())
        }),
        ("per_anchor", &|store| {
            Ok(store.per_anchor("trained", "test", "ndcg@10")?.len())
        }),
        ("curve", &|store| Ok(store.curve("loss")?.len())),
        ("projections", &|store| Ok(store.projections()?.len())),
        ("row_counts", &|store| Ok(store.row_counts()?.len())),
    ];
    for (name, query) in queries {
        let begin = Instant::now();
        let rows = query(&store)?;
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(
            std::io::stdout().lock(),
            "{name:28} {seconds:7.2} s {rows:8} rows"
        )?;
    }
    Ok(())
}
