//! Our filters: one file a plugin, and `shingles`, `minhash`, `scoring` and `best_positive`, which several of them stand on.
#![forbid(unsafe_code)]

mod best_positive;
mod consistency;
mod cross_encoder;
mod duplicate;
mod false_negative;
mod language;
mod leakage;
mod minhash;
mod pattern;
mod retracted;
mod scoring;
mod shingles;
mod similarity_range;
mod word_count;

orchestrator_plugin::export! {
    filters: [
        word_count::WordCount as "org.orchestrator.word_count",
        retracted::Retracted as "org.orchestrator.retracted",
        pattern::Pattern as "org.orchestrator.pattern",
        duplicate::Duplicate as "org.orchestrator.duplicate",
        leakage::Leakage as "org.orchestrator.leakage",
        false_negative::FalseNegative as "org.orchestrator.false_negative",
        consistency::Consistency as "org.orchestrator.consistency",
        cross_encoder::CrossEncoder as "org.orchestrator.cross_encoder",
        language::Language as "org.orchestrator.language",
        similarity_range::SimilarityRange as "org.orchestrator.similarity_range",
    ],
}
