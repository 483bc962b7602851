//! What is wrong with a configuration, all of it at once.

use std::fmt;

use crate::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option, as `section.key`; none for a file that cannot be read at all.
    pub key: Option<String>,
    /// Where the value came from, where there is one.
    pub origin: Option<Origin>,
    /// What is wrong and how to mend it. Values of secrets are never part of it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(key: &str, origin: Option<Origin>, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), origin, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(Origin::Default) | None => {}
            Some(origin) => write!(f, "{origin}: ")?,
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The configuration cannot be used; says everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "the configuration is not usable: {problem}"),
            problems => {
                write!(f, "the configuration is not usable, {} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl From<Vec<Problem>> for ConfigError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}
