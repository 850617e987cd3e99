//! Our losses: one file a plugin. Each is checked against sentence-transformers' numbers and by finite differences.
#![forbid(unsafe_code)]

mod contrastive;
mod cosine;
mod cosine_similarity;
mod mnrl;

orchestrator_plugin::export! {
    losses: [
        mnrl::Mnrl as "org.orchestrator.mnrl",
        contrastive::Contrastive as "org.orchestrator.contrastive",
        cosine_similarity::CosineSimilarity as "org.orchestrator.cosine_similarity",
    ],
}
