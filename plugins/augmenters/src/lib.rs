//! Our augmenters: one file a plugin.
#![forbid(unsafe_code)]

mod char_noise;
mod clause;
mod contradict_llm;
mod contradict_rules;
mod edit;
mod english;
mod fnv;
mod keyword_edit;
mod opposites;
mod outcome;
mod paraphrase_llm;
mod reversal;
mod rewriting;
mod word_noise;
mod words;

orchestrator_plugin::export! {
    augmenters: [
        char_noise::CharNoise as "org.orchestrator.char_noise",
        word_noise::WordNoise as "org.orchestrator.word_noise",
        contradict_rules::ContradictRules as "org.orchestrator.contradict_rules",
        keyword_edit::KeywordEdit as "org.orchestrator.keyword_edit",
        contradict_llm::ContradictLlm as "org.orchestrator.contradict_llm",
        paraphrase_llm::ParaphraseLlm as "org.orchestrator.paraphrase_llm",
    ],
}
