//! What a caller needs to know of a failure: whether to try again or to stop and call a person.

/// What can go wrong with a source; the kind says what to do. The sentence is for the operator and never holds a row's
/// value or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server is away or restarting: try again with back-off.
    #[error("{0}")]
    Gone(String),
    /// Another session reads from the slot, perhaps a capture that this one stands by for: look again soon.
    #[error("{0}")]
    Busy(String),
    /// Going on would lose or damage data, or cannot work until a person acts: stop and say so.
    #[error("{0}")]
    Refused(String),
}
