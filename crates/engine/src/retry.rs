//! When a failed try is due again (semantics E5; Airflow `TaskInstance.next_retry_datetime`).

use std::{fmt::Write as _, time::Duration};

use sha1::{Digest, Sha1};
use tradewind_types::{RetrySpec, Timestamp};

/// Whether the rule allows another try after try `try_number`.
pub fn is_eligible(try_number: u32, max_tries: u32) -> bool {
    max_tries != 0 && try_number <= max_tries
}

/// The delay between the end of try `try_number` and the next. With back-off it lies between `m` and `2m - 1` seconds,
/// the same for all instances with the same DAG, task, logical date and try; `cap` is `max_task_retry_delay`.
pub fn retry_delay(
    spec: &RetrySpec,
    dag_id: &str,
    task_id: &str,
    logical_date: Option<Timestamp>,
    try_number: u32,
    cap: Duration,
) -> Duration {
    let factor = if spec.exponential_backoff == 0.0 { 1.0 } else { spec.exponential_backoff };
    if factor == 1.0 || factor.is_nan() || factor <= 0.0 {
        return spec.delay;
    }
    let power = f64::from(try_number.saturating_sub(1));
    let least = (spec.delay.as_secs_f64() * factor.powf(power)).ceil().max(1.0);
    let bounded = |delay: Duration| {
        let delay = delay.min(cap);
        spec.max_delay.map_or(delay, |most| delay.min(most))
    };
    if !least.is_finite() || least >= cap.as_secs_f64() {
        return bounded(cap);
    }
    // `least` is a whole number below `cap`, so it fits.
    let least = Duration::from_secs_f64(least).as_secs();
    let text = format!("{dag_id}#{task_id}#{}#{try_number}", python_datetime(logical_date));
    let rest = Sha1::digest(text.as_bytes())
        .iter()
        .fold(0u128, |rest, byte| (rest * 256 + u128::from(*byte)) % u128::from(least));
    let jitter = u64::try_from(rest).unwrap_or(0);
    bounded(Duration::from_secs(least + jitter))
}

/// An instant as Python's `str(datetime)` writes it in UTC, and `None` without one.
fn python_datetime(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "None".to_owned(), |at| iso_text(at, ' '))
}

/// `2026-01-01{separator}00:00:00+00:00`, with microseconds only where they are not zero.
pub(crate) fn iso_text(at: Timestamp, separator: char) -> String {
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let mut text = format!(
        "{:04}-{:02}-{:02}{separator}{:02}:{:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    let micros = at.subsec_nanosecond() / 1_000;
    if micros != 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, ".{micros:06}");
    }
    text.push_str("+00:00");
    text
}
