//! Our losses: one file a plugin. Each is checked against sentence-transformers' numbers and by finite differences.
#![forbid(unsafe_code)]

mod angle;
mod batch_hard_triplet;
mod choice;
mod contrast;
mod contrastive;
mod cosent;
mod cosine;
mod cosine_similarity;
mod distance;
mod distill_kl;
mod gist;
mod in_batch;
mod margin_mse;
mod mnrl;
mod online_contrastive;
mod shares;
mod similarity;
mod softmax;
mod teacher;
mod triplet;

orchestrator_plugin::export! {
    losses: [
        mnrl::Mnrl as "org.orchestrator.mnrl",
        gist::Gist as "org.orchestrator.gist",
        contrastive::Contrastive as "org.orchestrator.contrastive",
        online_contrastive::OnlineContrastive as "org.orchestrator.online_contrastive",
        cosine_similarity::CosineSimilarity as "org.orchestrator.cosine_similarity",
        triplet::Triplet as "org.orchestrator.triplet",
        batch_hard_triplet::BatchHardTriplet as "org.orchestrator.batch_hard_triplet",
        cosent::CoSent as "org.orchestrator.cosent",
        angle::Angle as "org.orchestrator.angle",
        margin_mse::MarginMse as "org.orchestrator.margin_mse",
        distill_kl::DistillKl as "org.orchestrator.distill_kl",
    ],
}
