//! What a run says of itself while it runs. Whoever runs it decides what to show.

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A stage begins: what it does, in a few words.
    Stage(String),
    /// How far the stage is; `total` 0 = not known.
    Advance {
        /// Done so far.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// A result worth a line of its own.
    Note(String),
}

/// Where events go.
pub type Observer<'a> = &'a dyn Fn(Event);
