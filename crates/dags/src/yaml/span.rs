//! Durations as people write them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A duration: `90`, `30s`, `5m`, `1h30m`, `2d`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

const UNITS: [(&str, f64); 16] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("sec", 1.0),
    ("secs", 1.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("h", 3_600.0),
    ("hour", 3_600.0),
    ("hours", 3_600.0),
    ("d", 86_400.0),
    ("day", 86_400.0),
    ("days", 86_400.0),
];

/// Longer than any DAG lives.
const LONGEST_SECS: f64 = 100.0 * 366.0 * 86_400.0;

/// Reads a duration.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let hint = || format!("\"{text}\" is not a duration: write 30s, 5m, 1h30m, 2d, or a number of seconds");
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return from_seconds(seconds);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(hint());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(hint)?;
        let number: f64 = rest[..digits].parse().map_err(|_| hint())?;
        rest = rest[digits..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, after) = rest.split_at(end);
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(hint)?;
        total += number * factor;
        rest = after.trim_start();
    }
    from_seconds(total)
}

fn from_seconds(seconds: f64) -> Result<Duration, String> {
    if !(0.0..=LONGEST_SECS).contains(&seconds) {
        return Err(format!("a duration lies between 0 and 100 years, not {seconds} seconds"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A duration in the shortest form that [`parse_span`] reads back, e.g. `1h30m`.
pub(crate) fn show_span(span: Duration) -> String {
    let mut out = String::new();
    let mut rest = span.as_secs();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if rest >= seconds {
            out.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    let fraction = span.subsec_millis();
    if fraction > 0 {
        out.push_str(&format!("{rest}.{fraction:03}s"));
    } else if rest > 0 || out.is_empty() {
        out.push_str(&format!("{rest}s"));
    }
    out
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;
        impl de::Visitor<'_> for SpanVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 30s, 5m, 1h30m, or a number of seconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                parse_span(text).map(Span).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Span, E> {
                from_seconds(seconds).map(Span).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                // More than 2^53 seconds is refused anyway.
                self.visit_f64(seconds as f64)
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
                self.visit_f64(seconds as f64)
            }
        }
        deserializer.deserialize_any(SpanVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, millis, shown) in [
            ("30s", 30_000, "30s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1h 30 min", 5_400_000, "1h30m"),
            ("2d", 172_800_000, "2d"),
            ("90", 90_000, "1m30s"),
            ("0.5", 500, "0.500s"),
            ("250ms", 250, "0.250s"),
            ("1.5h", 5_400_000, "1h30m"),
            ("0", 0, "0s"),
        ] {
            let span = parse_span(text).unwrap();
            assert_eq!(span, Duration::from_millis(millis), "{text}");
            assert_eq!(show_span(span), shown);
            assert_eq!(parse_span(&show_span(span)).unwrap(), span);
        }
        for text in ["", "5 x", "m", "-5s", "5m3", "1e99", "NaN", "inf", "1..2s", "five", "9999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
