//! Records of a task's log as lines for people.

use serde::Deserialize;
use serde_json::{Map, Value};
use tradewind_guest::{LogLevel, LogLine};
use tradewind_types::Timestamp;

use crate::output::{Text, Tone, paint};

/// Characters of a field's value that are shown.
const LONGEST_FIELD: usize = 100;

/// A record as the worker writes it.
#[derive(Deserialize)]
struct LogRecord {
    at: Timestamp,
    level: LogLevel,
    #[serde(default)]
    logger: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: Map<String, Value>,
}

/// Cuts a stream of bytes into records: the parts that a scheduler sends end anywhere.
#[derive(Default)]
pub(super) struct RecordSplitter {
    rest: Vec<u8>,
}

impl RecordSplitter {
    /// Takes a part and answers the records that are whole now, without their line ends.
    pub(super) fn push(&mut self, part: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(part);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    }

    /// What came without a line end: a record that was cut short.
    pub(super) fn finish(self) -> Option<String> {
        (!self.rest.is_empty()).then(|| String::from_utf8_lossy(&self.rest).into_owned())
    }
}

/// A record as people read it: time, level, message, other fields, and the traceback below. What is no record is shown
/// as it is.
pub(super) fn render(line: &str) -> String {
    let Ok(record) = serde_json::from_str::<LogRecord>(line) else {
        return line.to_owned();
    };
    let LogRecord { at, level, logger, message, fields } = record;
    let (name, tone) = match level {
        LogLevel::Debug => ("DEBUG", Tone::Dim),
        LogLevel::Info => ("INFO ", Tone::Good),
        LogLevel::Warning => ("WARN ", Tone::Warn),
        LogLevel::Error => ("ERROR", Tone::Bad),
        LogLevel::Critical => ("CRIT ", Tone::Bad),
    };
    let mut text = format!(
        "{} {} {}",
        paint(Tone::Dim, at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")),
        paint(tone, name),
        if level >= LogLevel::Error { paint(Tone::Bad, &message) } else { message.clone() },
    );
    let known = LogLine { at, level, logger, message, fields };
    let traceback = known.traceback();
    // Where in Airflow's own source a line was logged helps nobody who reads a log; `-o json` has it.
    let is_shown = |field: &str| match field {
        "filename" | "lineno" => false,
        "error_detail" => traceback.is_none(),
        _ => true,
    };
    for (field, value) in known.fields.iter().filter(|(field, _)| is_shown(field)) {
        let value = match value {
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        // Long values (Airflow logs whole objects) would bury the messages; `-o json` has them.
        let value = Text::brief(&value, LONGEST_FIELD).text;
        text.push_str(&paint(Tone::Dim, format!(" {field}={value}")));
    }
    if let Some(traceback) = traceback {
        text.push('\n');
        text.push_str(traceback.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(line: &str) -> String {
        anstream::adapter::strip_str(&render(line)).to_string()
    }

    #[test]
    fn records_show_time_level_message_and_fields() {
        let line = r#"{"at":"2026-01-01T00:00:00.5Z","level":"warning","logger":"x","message":"low","fields":{"free":3,"filename":"x.py","lineno":7}}"#;
        assert_eq!(bare(line), "2026-01-01T00:00:00.500Z WARN  low free=3");
        assert_eq!(bare("no record"), "no record");
        assert!(render(line).contains("\u{1b}["));
    }

    #[test]
    fn tracebacks_stand_below_their_message() {
        let line = r#"{"at":"2026-01-01T00:00:00Z","level":"error","message":"Task failed","fields":{"error_detail":[
            {"exc_type":"ValueError","exc_value":"not yet","frames":[{"filename":"d.py","lineno":3,"name":"f"}]}]}}"#
            .replace('\n', "");
        let text = bare(&line);
        assert!(text.starts_with("2026-01-01T00:00:00.000Z ERROR Task failed\nTraceback"), "{text}");
        assert!(text.ends_with("File \"d.py\", line 3, in f\nValueError: not yet"), "{text}");
    }

    #[test]
    fn records_survive_being_cut_anywhere() {
        let whole = "{\"a\":\"ä\"}\n{\"b\":2}\nrest";
        for cut in 0..whole.len() {
            let mut splitter = RecordSplitter::default();
            let mut records = splitter.push(&whole.as_bytes()[..cut]);
            records.extend(splitter.push(&whole.as_bytes()[cut..]));
            assert_eq!(records, ["{\"a\":\"ä\"}", "{\"b\":2}"], "cut at {cut}");
            assert_eq!(splitter.finish().as_deref(), Some("rest"));
        }
    }
}
