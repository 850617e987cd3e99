//! Our samplers: one file a plugin.
#![forbid(unsafe_code)]

mod draw;
mod explicit;
mod hard_negative;
mod known_positives;
mod margin;
mod random;

orchestrator_plugin::export! {
    samplers: [
        explicit::ExplicitPositive as "org.orchestrator.explicit_positive",
        explicit::ExplicitNegative as "org.orchestrator.explicit_negative",
        random::Random as "org.orchestrator.random",
        hard_negative::HardNegative as "org.orchestrator.hard_negative",
    ],
    selectors: [margin::Margin as "org.orchestrator.margin"],
}
