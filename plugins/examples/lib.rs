//! Examples in Rust: one file a plugin, several plugins a library. `triplet.c` and `repetition.cpp` beside them are whole
//! plugins in C and C++.
#![forbid(unsafe_code)]

mod first_words;
mod one_each;
mod shouting;
mod title_positive;

orchestrator_plugin::export! {
    samplers: [title_positive::TitlePositive as "org.example.title_positive"],
    selectors: [one_each::OneEach as "org.example.one_each"],
    augmenters: [first_words::FirstWords as "org.example.first_words"],
    filters: [shouting::Shouting as "org.example.shouting"],
}
