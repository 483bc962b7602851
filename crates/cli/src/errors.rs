//! What goes wrong in a command: one line for people, one exit code for scripts.

use std::{fmt, io, process::ExitCode};

use tradewind_config::ConfigError;
use tradewind_types::{ApiError, ErrorCode};

/// How a command ended. `tradewind --help` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Done, but the answer is no: the run failed, the system is not healthy, the question was declined.
    Negative = 1,
    /// The command line, the configuration or a value is wrong.
    Usage = 2,
    /// Something that was named does not exist.
    NotFound = 3,
    /// No scheduler answered, or it cannot do it now; trying again may help.
    Unavailable = 4,
    /// It exists already, or its state forbids it.
    Conflict = 5,
    /// No or a wrong token.
    Denied = 6,
    /// A defect of Tradewind.
    Internal = 70,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// For scripts.
    pub exit: Exit,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The result of a command: its exit code when nothing went wrong.
pub type Outcome = Result<Exit, CliError>;

impl CliError {
    /// An error with an exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// The command line or a value is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::usage(format!("cannot {what} {}: {error}", path.display()))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        let exit = match error.code {
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::Invalid | ErrorCode::TooLarge => Exit::Usage,
            ErrorCode::AlreadyExists | ErrorCode::Conflict | ErrorCode::StaleAttempt => Exit::Conflict,
            ErrorCode::Unauthenticated | ErrorCode::Forbidden => Exit::Denied,
            ErrorCode::Unavailable | ErrorCode::NotLeader => Exit::Unavailable,
            ErrorCode::Internal => Exit::Internal,
        };
        Self::new(exit, error.message)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The reader of a pipe (`| head`) has seen enough: that is no failure.
            io::ErrorKind::BrokenPipe => Self::new(Exit::Success, String::new()),
            _ => Self::new(Exit::Negative, format!("cannot write the output: {error}")),
        }
    }
}
