//! Our samplers and selectors: one file a plugin.
#![forbid(unsafe_code)]

mod committee;
mod cross_domain;
mod descriptions;
mod draw;
mod entropy;
mod evidence;
mod explicit_negative;
mod explicit_positive;
mod hard_negative;
mod k_center;
mod known_positives;
mod least_confidence;
mod lexical_negative;
mod margin;
mod metadata;
mod predicate;
mod predicate_parser;
mod random;
mod random_selection;
mod same_document;
mod same_topic;
mod share_of_anchors;
mod shingles;
mod structured;

orchestrator_plugin::export! {
    samplers: [
        explicit_positive::ExplicitPositive as "org.orchestrator.explicit_positive",
        explicit_negative::ExplicitNegative as "org.orchestrator.explicit_negative",
        same_document::SameDocument as "org.orchestrator.same_document",
        same_topic::SameTopic as "org.orchestrator.same_topic",
        hard_negative::HardNegative as "org.orchestrator.hard_negative",
        lexical_negative::LexicalNegative as "org.orchestrator.lexical_negative",
        random::Random as "org.orchestrator.random",
        metadata::Metadata as "org.orchestrator.metadata",
        structured::Structured as "org.orchestrator.structured",
        cross_domain::CrossDomain as "org.orchestrator.cross_domain",
    ],
    selectors: [
        margin::Margin as "org.orchestrator.margin",
        entropy::Entropy as "org.orchestrator.entropy",
        least_confidence::LeastConfidence as "org.orchestrator.least_confidence",
        committee::Committee as "org.orchestrator.committee",
        k_center::KCenter as "org.orchestrator.k_center",
        // `random` is a sampler too: the host tells them apart by kind, and ids must differ.
        random_selection::RandomSelection as "org.orchestrator.select.random",
    ],
}
