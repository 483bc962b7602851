//! Conversions between wire messages and domain types. Into the wire nothing can fail; out of it a malformed field is
//! an [`ErrorCode::Invalid`](tradewind_types::ErrorCode::Invalid) error that names it.

mod attempts;
mod happenings;
mod resources;
mod rows;
#[cfg(test)]
mod tests;

pub use attempts::{attempt_ref, xcom_values};

use std::str::FromStr;

use tradewind_types::{ApiError, Timestamp};
use uuid::Uuid;

use crate::v1;

/// Microseconds since the epoch.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// An instant from microseconds since the epoch.
pub fn instant(field: &str, micros: i64) -> Result<Timestamp, ApiError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| ApiError::invalid(format!("{field}: {micros} microseconds is not an instant")))
}

/// An optional instant.
pub fn instant_opt(field: &str, micros: Option<i64>) -> Result<Option<Timestamp>, ApiError> {
    micros.map(|at| instant(field, at)).transpose()
}

/// A UUID from text.
pub fn uuid(field: &str, text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| ApiError::invalid(format!("{field}: \"{text}\" is not a UUID")))
}

/// A value from JSON text; the empty text is null.
pub fn json(field: &str, text: &str) -> Result<serde_json::Value, ApiError> {
    if text.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_str(text).map_err(|error| ApiError::invalid(format!("{field}: not JSON: {error}")))
}

/// A typed value from JSON text.
pub fn from_json<T: serde::de::DeserializeOwned>(field: &str, text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::invalid(format!("{field}: {error}")))
}

/// JSON text of a value that always serializes.
pub fn to_json<T: serde::Serialize>(value: &T) -> String {
    // The domain types hold no maps with non-text keys, the one thing that serde_json refuses.
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: FromStr<Err = String>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("{field}: {error}")))
}

impl From<v1::Page> for (u32, u64) {
    fn from(page: v1::Page) -> Self {
        (if page.limit == 0 { 100 } else { page.limit }, page.offset)
    }
}
