//! What can go wrong behind a port.

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is shutting down; the same call may succeed later. The outcome of a commit may be
    /// unknown.
    #[error("the store is away: {0}")]
    Unavailable(String),
    /// The leader's term is over: another scheduler took the lease. Nothing was written.
    #[error("the leader term is over")]
    StaleTerm,
    /// A uniqueness rule was broken, e.g. a second run with the same id.
    #[error("{0}")]
    Conflict(String),
    /// The schema is missing, older or newer than this binary.
    #[error("the schema is not ready: {0}")]
    Schema(String),
    /// The store was named or set up wrongly: a bad URL, a wrong password, a missing database, a folder without rights.
    /// Trying again does not help; the message says what to mend.
    #[error("{0}")]
    Config(String),
    /// The disk is full.
    #[error("the store is out of space: {0}")]
    Full(String),
    /// What was read does not make sense, or a statement is wrong: a defect.
    #[error("the store misbehaved: {0}")]
    Broken(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_))
    }
}

/// Why a queue operation failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue cannot be reached or did not answer in time.
    #[error("the queue is away: {0}")]
    Unavailable(String),
    /// The queue was named or set up wrongly: a bad URL, a wrong password, a server that is too old. Trying again does
    /// not help; the message says what to mend.
    #[error("{0}")]
    Config(String),
    /// It answered something that does not make sense.
    #[error("the queue misbehaved: {0}")]
    Broken(String),
}
