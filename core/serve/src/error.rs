//! What can go wrong when a page is served.

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address to listen at.
    #[error("cannot listen at {address}: {why}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        why: std::io::Error,
    },
    /// The system refuses what a server needs: random bytes, a timer.
    #[error("cannot {what}: {why}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        why: String,
    },
}
