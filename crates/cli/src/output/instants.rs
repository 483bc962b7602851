//! Instants and durations as people read them: RFC 3339 in UTC as Airflow prints them, durations with two units.

use std::time::Duration;

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::errors::CliError;

/// An instant of the wire (microseconds) as Airflow prints it: `2026-01-01T00:00:00.123456+00:00`, without a fraction
/// when it is zero.
pub fn iso(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(at) if at.subsec_nanosecond() == 0 => at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string(),
        Err(_) => format!("{micros} µs"),
    }
}

/// As [`iso`], for an instant.
pub fn iso_micros(at: Timestamp) -> String {
    iso(at.as_microsecond())
}

/// As [`iso`], if there is one.
pub fn iso_or_none(micros: Option<i64>) -> Option<String> {
    micros.map(iso)
}

/// An instant in a zone, as RFC 3339 writes it; in UTC where there is no such zone.
pub fn iso_in_zone(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Ascending instants in a zone, as short as they can be told apart: the day only where it is another one, seconds only
/// where there are any.
pub fn compact_times(times: &[Timestamp], zone: &str) -> Vec<String> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let mut day = None;
    let mut shown = Vec::new();
    for at in times {
        let at = at.to_zoned(zone.clone());
        let clock = if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        let text = at.strftime(clock).to_string();
        shown.push(if day == Some(at.date()) { text } else { format!("{} {text}", at.strftime("%a %Y-%m-%d")) });
        day = Some(at.date());
    }
    shown
}

/// A duration with two units at most: `0.4s`, `12s`, `3m 20s`, `2h 5m`, `4d 1h`.
pub fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0 if duration.subsec_millis() < 100 => format!("{}ms", duration.subsec_millis()),
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{secs}s"),
        60..3600 => format!("{}m {}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h {}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d {}h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// The time between two instants of the wire; zero when the second is before the first.
pub fn since(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

/// How long ago an instant of the wire was: `3m 20s ago`.
pub fn ago(micros: i64, now: Timestamp) -> String {
    format!("{} ago", duration(since(micros, now.as_microsecond())))
}

/// A date as people type it: RFC 3339, or a date or date and time without a zone, which are taken as UTC.
///
/// # Errors
/// None of these.
pub fn parse_date(text: &str) -> Result<Timestamp, CliError> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|date| date.to_datetime(civil::Time::midnight())));
    civil.ok().and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()).map(|zoned| zoned.timestamp()).ok_or_else(|| {
        CliError::usage(format!("\"{text}\" is not a date"))
            .with_hint("write 2026-01-31, 2026-01-31T02:00:00 (UTC) or 2026-01-31T02:00:00+01:00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_look_like_airflows() {
        let at = parse_date("2026-01-31T02:00:00+01:00").unwrap();
        assert_eq!(iso_micros(at), "2026-01-31T01:00:00+00:00");
        assert_eq!(iso(at.as_microsecond() + 1_500), "2026-01-31T01:00:00.001500+00:00");
        assert_eq!(iso_micros(parse_date("2026-01-31").unwrap()), "2026-01-31T00:00:00+00:00");
        assert_eq!(iso_micros(parse_date(" 2026-01-31T02:00:00 ").unwrap()), "2026-01-31T02:00:00+00:00");
        assert!(parse_date("31.1.2026").unwrap_err().message.contains("31.1.2026"));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (40, "40ms"),
            (400, "0.4s"),
            (9_940, "9.9s"),
            (12_300, "12s"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (349_200_000, "4d 1h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(since(5, 3), Duration::ZERO);
    }
}
