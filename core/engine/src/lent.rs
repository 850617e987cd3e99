//! What plugins are lent and what does not change during a run: tables, the lexical index, other corpora, files.

use orchestrator_data::{Dataset, Split};
use orchestrator_plugin_host::Table;

use crate::making;
use crate::retrieval::Bm25Index;

/// Made once a run.
pub(crate) struct Lent {
    pub corpus: Table,
    pub held_out: Table,
    pub bm25: Bm25Index,
}

impl Lent {
    pub fn of(data: &Dataset, bm25: orchestrator_config::Bm25) -> Self {
        let texts: Vec<String> = data
            .documents
            .iter()
            .map(orchestrator_data::Document::full_text)
            .collect();
        Self {
            corpus: making::corpus_table(&data.documents),
            held_out: held_out(data),
            bm25: Bm25Index::build(&texts, bm25.k1, bm25.b),
        }
    }
}

/// Columns of `orch.held_out/1`.
fn held_out(data: &Dataset) -> Table {
    let anchors: Vec<_> = [Split::Validation, Split::Test]
        .into_iter()
        .flat_map(|split| data.of_split(split))
        .map(|number| &data.anchors[number])
        .collect();
    Table::new(anchors.len())
        .strings("id", anchors.iter().map(|anchor| anchor.id.as_str()))
        .strings("split", anchors.iter().map(|anchor| anchor.split.name()))
        .strings("text", anchors.iter().map(|anchor| anchor.text.as_str()))
        .seal()
}
