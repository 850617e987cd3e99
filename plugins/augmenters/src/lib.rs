//! Our augmenters: one file a plugin.
#![forbid(unsafe_code)]

mod char_noise;

orchestrator_plugin::export! {
    augmenters: [char_noise::CharNoise as "org.orchestrator.char_noise"],
}
