//! Our augmenters: one file a plugin.
#![forbid(unsafe_code)]

mod char_noise;
mod clause;
mod contradict_rules;
mod english;
mod opposites;
mod reversal;
mod words;

orchestrator_plugin::export! {
    augmenters: [
        char_noise::CharNoise as "org.orchestrator.char_noise",
        contradict_rules::ContradictRules as "org.orchestrator.contradict_rules",
    ],
}
