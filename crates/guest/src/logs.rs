//! A task's log: JSON lines from the SDK, and whatever is printed, as one ordered stream of lines.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, watch};
use tradewind_secrets::Masker;

use crate::api::{LogLevel, LogLine, TaskHost};

/// Lines between the readers and the host. When it is full the pipes fill, and then the task waits.
const CHANNEL_LINES: usize = 1024;
/// Most lines handed to the host at once.
const BATCH_LINES: usize = 256;
/// A longer line of printed text is broken.
const MAX_PRINTED_LINE: usize = 64 << 10;
/// A longer line of JSON is shown as text, broken.
const MAX_JSON_LINE: usize = 4 << 20;
/// What can be done about a value that cannot be serialized.
const HINT_XCOM: &str = " (hint: this value was to go to an XCom, such as return_value; return plain data as JSON has it, or \
                         push an address, or set do_xcom_push=False on the task if nobody needs the value)";
/// How long a report waits for the log line that explains it.
const EXPLANATION_PATIENCE: Duration = Duration::from_millis(200);
/// Fields that the SDK repeats on each line and that the attempt's log has by itself.
const KNOWN_FIELDS: [&str; 6] = ["ti_id", "dag_id", "task_id", "run_id", "try_number", "map_index"];

/// Where a stream's lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
    Json,
}

/// The way of lines from the readers to the host.
pub(crate) struct LogPump {
    sender: mpsc::Sender<LogLine>,
    receiver: mpsc::Receiver<LogLine>,
    last_error: watch::Sender<Option<String>>,
}

/// The last exception that was logged: the best short answer to why a task failed.
#[derive(Debug, Clone)]
pub(crate) struct LastError(watch::Receiver<Option<String>>);

impl LastError {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// The same, with some patience: a report and the log that explains it come on different ways.
    pub(crate) async fn wait(&self) -> Option<String> {
        let mut error = self.0.clone();
        match tokio::time::timeout(EXPLANATION_PATIENCE, error.wait_for(Option::is_some)).await {
            Ok(Ok(error)) => error.clone(),
            _ => None,
        }
    }
}

impl LogPump {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CHANNEL_LINES);
        Self { sender, receiver, last_error: watch::Sender::new(None) }
    }

    /// A sender for lines of our own. The pump runs until all of them are dropped.
    pub(crate) fn sender(&self) -> mpsc::Sender<LogLine> {
        self.sender.clone()
    }

    pub(crate) fn last_error(&self) -> LastError {
        LastError(self.last_error.subscribe())
    }

    /// Delivers lines until every sender is gone.
    pub(crate) async fn deliver(self, host: &dyn TaskHost, masker: &Masker) {
        let Self { sender, mut receiver, last_error } = self;
        drop(sender);
        let mut batch = Vec::new();
        while receiver.recv_many(&mut batch, BATCH_LINES).await > 0 {
            for line in &mut batch {
                hide(masker, line);
                if let Some(error) = exception_summary(line) {
                    last_error.send_replace(Some(error));
                }
            }
            host.log(std::mem::take(&mut batch)).await;
        }
    }
}

/// Hides all secrets in a line.
pub(crate) fn hide(masker: &Masker, line: &mut LogLine) {
    if let Cow::Owned(masked) = masker.mask(&line.message) {
        line.message = masked;
    }
    line.fields.values_mut().for_each(|field| masker.mask_value(field));
}

/// Reads one stream to its end.
pub(crate) async fn read_stream(source: Source, mut from: impl AsyncRead + Unpin, to: mpsc::Sender<LogLine>) {
    let limit = if source == Source::Json { MAX_JSON_LINE } else { MAX_PRINTED_LINE };
    let mut buffer: Vec<u8> = Vec::with_capacity(8 << 10);
    let mut searched = 0;
    loop {
        while let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n').map(|end| searched + end) {
            let line = line(source, &buffer[..end]);
            buffer.drain(..=end);
            searched = 0;
            if to.send(line).await.is_err() {
                return;
            }
        }
        searched = buffer.len();
        if buffer.len() >= limit {
            let cut = character_boundary(&buffer);
            let piece = line(source, &buffer[..cut]);
            buffer.drain(..cut);
            searched = 0;
            if to.send(piece).await.is_err() {
                return;
            }
            continue;
        }
        match from.read_buf(&mut buffer).await {
            Ok(read) if read > 0 => {}
            // The end, or a stream that cannot be read any more.
            _ => break,
        }
    }
    if !buffer.is_empty() {
        let _ = to.send(line(source, &buffer)).await;
    }
}

/// Where to break bytes so that no UTF-8 character is torn, if they are UTF-8 at all.
fn character_boundary(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(4);
    (last..bytes.len()).rev().find(|at| bytes[*at] & 0xC0 != 0x80).filter(|at| *at > 0).unwrap_or(bytes.len())
}

fn line(source: Source, bytes: &[u8]) -> LogLine {
    match source {
        Source::Stdout => printed("task.stdout", LogLevel::Info, bytes),
        Source::Stderr => printed("task.stderr", LogLevel::Error, bytes),
        Source::Json => structured(bytes).unwrap_or_else(|| printed("task", LogLevel::Info, bytes)),
    }
}

/// A remark of ours in the task's log.
pub(crate) fn remark(level: LogLevel, message: impl Into<String>) -> LogLine {
    LogLine { at: now(), level, logger: "tradewind.guest".to_owned(), message: message.into(), fields: Map::new() }
}

fn printed(logger: &str, level: LogLevel, bytes: &[u8]) -> LogLine {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    LogLine {
        at: now(),
        level,
        logger: logger.to_owned(),
        message: String::from_utf8_lossy(bytes).into_owned(),
        fields: Map::new(),
    }
}

fn structured(bytes: &[u8]) -> Option<LogLine> {
    let Value::Object(mut fields) = serde_json::from_slice(bytes).ok()? else {
        return None;
    };
    let mut text = |key: &str| match fields.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let at = text("timestamp").and_then(|at| at.parse().ok()).unwrap_or_else(now);
    let level = text("level").map_or(LogLevel::Info, |level| level_of(&level));
    let logger = text("logger").unwrap_or_else(|| "task".to_owned());
    let message = text("event").unwrap_or_default();
    for field in KNOWN_FIELDS {
        fields.remove(field);
    }
    if let Some(exception) = fields.remove("exception") {
        fields.insert("error_detail".to_owned(), exception);
    }
    Some(LogLine { at, level, logger, message, fields })
}

fn level_of(name: &str) -> LogLevel {
    match name.to_ascii_lowercase().as_str() {
        "debug" | "notset" => LogLevel::Debug,
        "warning" | "warn" => LogLevel::Warning,
        "error" | "exception" => LogLevel::Error,
        "critical" | "fatal" => LogLevel::Critical,
        _ => LogLevel::Info,
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn exception_summary(line: &LogLine) -> Option<String> {
    if line.level < LogLevel::Error {
        return None;
    }
    // The SDK's words for `sys.exit`, which it logs without an exception.
    if line.message == "Task exited"
        && let Some(code) = line.fields.get("exit_code")
    {
        let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
        return Some(format!("the task called sys.exit({code})"));
    }
    let outermost = line.fields.get("error_detail")?.as_array()?.first()?;
    let kind = outermost.get("exc_type")?.as_str()?;
    let value = outermost.get("exc_value").and_then(Value::as_str).unwrap_or_default();
    let summary = if value.is_empty() { kind.to_owned() } else { format!("{kind}: {value}") };
    let frames = outermost.get("frames").and_then(Value::as_array);
    let was_for_xcom = frames.is_some_and(|frames| frames.iter().any(|frame| frame["name"] == "serialize_value"));
    Some(if was_for_xcom { format!("{summary}{HINT_XCOM}") } else { summary })
}

impl LogLine {
    /// The line's traceback in Python's own form, if it has one.
    pub fn traceback(&self) -> Option<String> {
        let exceptions = self.fields.get("error_detail")?.as_array()?;
        let mut text = String::new();
        // The SDK lists the exception first and its causes after it; Python prints causes first.
        for (index, exception) in exceptions.iter().rev().enumerate() {
            let field = |name: &str| exception.get(name).and_then(Value::as_str).unwrap_or_default();
            if index > 0 {
                text.push_str("\nThe above exception led to the following one:\n\n");
            }
            text.push_str("Traceback (most recent call last):\n");
            for frame in exception.get("frames").and_then(Value::as_array).into_iter().flatten() {
                let file = frame.get("filename").and_then(Value::as_str).unwrap_or("?");
                let name = frame.get("name").and_then(Value::as_str).unwrap_or("?");
                let line = frame.get("lineno").and_then(Value::as_u64).unwrap_or_default();
                text.push_str(&format!("  File \"{file}\", line {line}, in {name}\n"));
            }
            text.push_str(field("exc_type"));
            if !field("exc_value").is_empty() {
                text.push_str(": ");
                text.push_str(field("exc_value"));
            }
            text.push('\n');
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(source: Source, input: &[u8]) -> Vec<LogLine> {
        let (sender, mut receiver) = mpsc::channel(10_000);
        read_stream(source, input, sender).await;
        let mut lines = Vec::new();
        receiver.recv_many(&mut lines, 10_000).await;
        lines
    }

    #[tokio::test]
    async fn printed_text_is_split_into_lines_and_its_rest_is_kept() {
        let lines = lines(Source::Stdout, "one\r\n\nzw\u{f6}lf\nrest".as_bytes()).await;
        let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts, ["one", "", "zw\u{f6}lf", "rest"]);
    }

    #[tokio::test]
    async fn an_endless_line_is_broken_between_characters() {
        let text = "\u{e4}".repeat(MAX_PRINTED_LINE);
        let lines = lines(Source::Stdout, text.as_bytes()).await;
        assert!(lines.len() >= 2);
        assert_eq!(lines.into_iter().map(|line| line.message).collect::<String>(), text);
    }

    #[tokio::test]
    async fn json_lines_become_structured_and_others_stay_text() {
        let input = br#"{"timestamp": "2026-01-01T00:00:00Z", "level": "warning", "event": "hi", "logger": "x", "a": 1, "ti_id": "t"}
not json
"#;
        let lines = lines(Source::Json, input).await;
        assert_eq!(
            (lines[0].level, lines[0].message.as_str(), lines[0].logger.as_str()),
            (LogLevel::Warning, "hi", "x")
        );
        assert_eq!(lines[0].at.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Value::Object(lines[0].fields.clone()), serde_json::json!({"a": 1}));
        assert_eq!((lines[1].message.as_str(), lines[1].logger.as_str()), ("not json", "task"));
    }
}
