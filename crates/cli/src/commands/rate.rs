//! Rates of pools as people write them: `10/60s`, `100/h`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tradewind_proto::v1;

/// At most `starts` starts in `per_secs` seconds; no limit when `starts` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rate {
    /// How many.
    pub starts: u32,
    /// In how many seconds.
    pub per_secs: u32,
}

impl Rate {
    /// The rate of a pool, if it has one.
    pub fn of(pool: &v1::Pool) -> Option<Self> {
        Some(Self { starts: pool.rate_starts?, per_secs: pool.rate_per_secs? })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.starts == 0 { f.write_str("none") } else { write!(f, "{}/{}s", self.starts, self.per_secs) }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "none" {
            return Ok(Self { starts: 0, per_secs: 0 });
        }
        let bad = || format!("\"{text}\" is not a rate; write starts/time, e.g. 10/60s, 5/m or 100/h, or none");
        let (starts, time) = text.split_once('/').ok_or_else(bad)?;
        let starts: u32 = starts.trim().parse().map_err(|_| bad())?;
        let time = time.trim();
        let digits = time.find(|c: char| !c.is_ascii_digit()).unwrap_or(time.len());
        let (count, unit) = time.split_at(digits);
        let unit: u32 = match unit.trim() {
            // A bare number is seconds; nothing at all is a slip.
            "" if !count.is_empty() => 1,
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let count: u32 = if count.is_empty() { 1 } else { count.parse().map_err(|_| bad())? };
        let per_secs = count.checked_mul(unit).ok_or_else(bad)?;
        if starts == 0 || per_secs == 0 {
            return Err(format!("\"{text}\" lets nothing start; write at least 1 start in 1 second, or none"));
        }
        Ok(Self { starts, per_secs })
    }
}

/// A rate of the command line.
///
/// # Errors
/// Says how rates are written.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_starts_in_a_time() {
        for (text, starts, per_secs) in
            [("10/60s", 10, 60), ("5/m", 5, 60), ("100/h", 100, 3_600), ("1/90", 1, 90), (" 2 / 2d ", 2, 172_800)]
        {
            assert_eq!(text.parse(), Ok(Rate { starts, per_secs }), "{text}");
        }
        assert_eq!(Rate { starts: 10, per_secs: 60 }.to_string(), "10/60s");
        assert_eq!("none".parse::<Rate>().map(|rate| rate.to_string()), Ok("none".to_owned()));
        for bad in ["", "10", "10/", "/60s", "ten/60s", "10/60x", "0/60s", "10/0s", "10/4294967295d", "-1/60s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
