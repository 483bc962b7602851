//! The closed set of error codes that cross the wire, and the error that carries one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, for programs. Each code maps to one gRPC status (in `tradewind-proto`) and one CLI exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Something that the caller named does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The request breaks a rule; the message says which field and how to mend it.
    Invalid,
    /// The request is fine but the thing's state forbids it.
    Conflict,
    /// The attempt's lease token is not the current one: stop, and kill the task.
    StaleAttempt,
    /// This scheduler does not lead; the details name the leader if one is known.
    NotLeader,
    /// No or a wrong credential.
    Unauthenticated,
    /// The credential does not allow this.
    Forbidden,
    /// A value is over a limit; the message names the limit and its config key.
    TooLarge,
    /// Not now: a store, queue or leader is away. Try again.
    Unavailable,
    /// A defect of Tradewind.
    Internal,
}

impl ErrorCode {
    /// The code as text, e.g. `not_found`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::StaleAttempt => "stale_attempt",
            Self::NotLeader => "not_leader",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later or elsewhere.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::NotLeader)
    }
}

/// An error as callers see it: a code for programs, a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong and how to mend it.
    pub message: String,
    /// With [`ErrorCode::NotLeader`]: the address of the leader, if known.
    pub leader: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ApiError {
    /// An error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), leader: None }
    }

    /// [`ErrorCode::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// [`ErrorCode::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// [`ErrorCode::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// [`ErrorCode::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// [`ErrorCode::StaleAttempt`].
    pub fn stale(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::StaleAttempt, message)
    }

    /// [`ErrorCode::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// [`ErrorCode::NotLeader`], with the leader's address if known.
    pub fn not_leader(leader: Option<String>) -> Self {
        let message = match &leader {
            Some(address) => format!("this scheduler stands by; the leader is {address}"),
            None => "this scheduler stands by, and no leader is known yet".to_owned(),
        };
        Self { code: ErrorCode::NotLeader, message, leader }
    }
}
