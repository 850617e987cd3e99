//! Our filters: one file a plugin.
#![forbid(unsafe_code)]

mod retracted;
mod word_count;

orchestrator_plugin::export! {
    filters: [
        word_count::WordCount as "org.orchestrator.word_count",
        retracted::Retracted as "org.orchestrator.retracted",
    ],
}
