//! The log of one attempt on its way to the scheduler, as JSON lines.
//!
//! A log never fails its task. While the scheduler takes lines, writers wait for room, which slows a chatty task down;
//! while it does not, lines beyond the buffer are lost and counted.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{sync::Notify, task::JoinHandle};
use tradewind_secrets::Masker;
use tradewind_types::{ErrorCode, Timestamp};

use crate::{
    log_buffer::{Batch, LogBuffer, Tail},
    remote::Remote,
};

/// How long lines wait for others.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// How long a writer waits for room while the scheduler takes lines.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);
/// The shortest and the longest pause after a batch that did not get through.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A line as it is kept.
#[derive(Serialize)]
struct Record<'a> {
    at: Timestamp,
    level: &'a str,
    logger: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
}

/// A line of a task.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) level: &'static str,
    pub(crate) logger: String,
    pub(crate) message: String,
    pub(crate) fields: Map<String, Value>,
}

impl Line {
    /// A remark of the worker.
    pub(crate) fn remark(level: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            level,
            logger: "tradewind.worker".to_owned(),
            message: message.into(),
            fields: Map::new(),
        }
    }
}

/// The log of one attempt. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct TaskLog(Arc<Inner>);

struct Inner {
    remote: Remote,
    masker: Masker,
    state: Mutex<State>,
    /// A line came to an empty buffer.
    begun: Notify,
    /// A batch is full, or the log ends.
    wake: Notify,
    /// A batch went.
    room: Notify,
}

#[derive(Default)]
struct State {
    buffer: LogBuffer,
    /// Started with the first line: most attempts of the smallest tasks have none.
    sender: Option<JoinHandle<()>>,
    /// Since when batches do not get through.
    failing: Option<Instant>,
    /// The attempt is over: everything goes now.
    ending: bool,
    /// The log is too long: only its last lines are kept, for the end.
    cut: Option<Tail>,
    /// Nobody takes the log any more.
    refused: bool,
}

impl TaskLog {
    pub(crate) fn new(remote: Remote, masker: Masker) -> Self {
        Self(Arc::new(Inner {
            remote,
            masker,
            state: Mutex::default(),
            begun: Notify::new(),
            wake: Notify::new(),
            room: Notify::new(),
        }))
    }

    pub(crate) fn masker(&self) -> &Masker {
        &self.0.masker
    }

    /// Writes lines, with secrets hidden.
    pub(crate) async fn write(&self, lines: Vec<Line>) {
        for mut line in lines {
            for field in line.fields.values_mut() {
                self.0.masker.mask_value(field);
            }
            let message = self.0.masker.mask(&line.message);
            let bytes = encode(&line, &message);
            self.push(&bytes).await;
        }
    }

    /// Writes one remark of the worker.
    pub(crate) async fn remark(&self, level: &'static str, message: impl Into<String>) {
        self.write(vec![Line::remark(level, message)]).await;
    }

    async fn push(&self, bytes: &[u8]) {
        let deadline = tokio::time::Instant::now() + WAIT_FOR_ROOM;
        loop {
            let room = self.0.room.notified();
            {
                let mut state = self.0.lock();
                if state.refused {
                    return;
                }
                if let Some(tail) = &mut state.cut {
                    tail.push(bytes);
                    return;
                }
                if state.buffer.has_room(bytes.len()) {
                    state.buffer.push(bytes, mark);
                    self.0.begun.notify_one();
                    if state.sender.is_none() {
                        state.sender = Some(tokio::spawn(Arc::clone(&self.0).send()));
                    }
                    if state.buffer.is_batch_ready() {
                        self.0.wake.notify_one();
                    }
                    return;
                }
                let away = state.failing.is_some_and(|since| since.elapsed() >= WAIT_FOR_ROOM);
                if away || tokio::time::Instant::now() >= deadline {
                    state.buffer.lose();
                    return;
                }
            }
            // Whether room came or the time is over shows in the next round.
            let _ = tokio::time::timeout_at(deadline, room).await;
        }
    }

    /// Sends what is left, for at most `patience`.
    pub(crate) async fn finish(&self, patience: Duration) {
        let sender = {
            let mut state = self.0.lock();
            state.ending = true;
            state.close();
            state.sender.take()
        };
        let Some(mut sender) = sender else { return };
        self.0.wake.notify_one();
        if tokio::time::timeout(patience, &mut sender).await.is_err() {
            sender.abort();
            tracing::warn!("the end of a task's log could not be delivered in time; it is lost");
        }
    }
}

impl State {
    /// The log is over its limit: what comes now is its end.
    fn cut(&mut self, why: &str) {
        let refused = self.buffer.rewind();
        let mut tail = Tail::default();
        refused.split_inclusive(|byte| *byte == b'\n').for_each(|line| tail.push(line));
        self.cut = Some(tail);
        let line = Line::remark("warning", format!("{why}; of what follows, only the last lines are kept"));
        self.buffer.push(&encode(&line, &line.message), mark);
    }

    /// Nothing more comes.
    fn close(&mut self) {
        self.buffer.close(mark);
        if let Some((left_out, lines)) = self.cut.as_mut().map(Tail::take) {
            let line = Line::remark("warning", format!("{left_out} log lines are left out here"));
            self.buffer.push(&encode(&line, &line.message), mark);
            self.buffer.push(&lines, mark);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends batches until the log has ended.
    async fn send(self: Arc<Self>) {
        let mut pause = BACKOFF.0;
        loop {
            let (waits, ready, ending) = {
                let state = self.lock();
                let waits = !state.buffer.is_done();
                (waits, state.buffer.is_batch_ready(), state.ending)
            };
            if !waits {
                if ending {
                    return;
                }
                // A long quiet task costs no wake-ups.
                tokio::select! {
                    () = self.begun.notified() => {}
                    () = self.wake.notified() => {}
                }
                continue;
            }
            if !ready && !ending {
                tokio::select! {
                    () = tokio::time::sleep(FLUSH_EVERY) => {}
                    () = self.wake.notified() => {}
                }
            }
            let (batch, cut) = {
                let mut state = self.lock();
                (state.buffer.next_batch(), state.cut.is_some())
            };
            let Some(Batch { offset, data }) = batch else { continue };
            match self.remote.append_log(offset, data, cut).await {
                Ok(()) => {
                    pause = BACKOFF.0;
                    let mut state = self.lock();
                    state.failing = None;
                    state.buffer.acknowledge();
                }
                // Over `scheduler.log_max_bytes`.
                Err(error) if error.code == ErrorCode::TooLarge && !cut => {
                    let mut state = self.lock();
                    state.cut(&error.message);
                    if state.ending {
                        state.close();
                    }
                }
                // The attempt is over, or even the end does not fit.
                Err(error)
                    if matches!(error.code, ErrorCode::TooLarge | ErrorCode::StaleAttempt | ErrorCode::NotFound) =>
                {
                    let mut state = self.lock();
                    state.refused = true;
                    state.buffer.discard();
                }
                Err(error) => {
                    tracing::debug!(%error, "a batch of log lines did not get through");
                    self.lock().failing.get_or_insert_with(Instant::now);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
            self.room.notify_waiters();
            let state = self.lock();
            if state.refused || (state.ending && state.buffer.is_done()) {
                return;
            }
        }
    }
}

fn encode(line: &Line, message: &str) -> Vec<u8> {
    let record = Record { at: line.at, level: line.level, logger: &line.logger, message, fields: &line.fields };
    // Texts and JSON values always serialize.
    let mut bytes = serde_json::to_vec(&record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn mark(lost: u64) -> Vec<u8> {
    let line =
        Line::remark("warning", format!("{lost} log lines were lost here: the scheduler did not take them in time"));
    encode(&line, &line.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_one_line_of_json_each() {
        let mut line = Line::remark("info", "two\nlines");
        line.fields.insert("n".to_owned(), 1.into());
        let bytes = encode(&line, &line.message);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let record: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(record["message"], "two\nlines");
        assert_eq!(record["fields"]["n"], 1);
        assert_eq!(record["level"], "info");
        assert!(record["at"].as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok()));
        let mark: Value = serde_json::from_slice(&mark(7)).unwrap();
        assert!(mark["message"].as_str().is_some_and(|text| text.starts_with("7 log lines")));
        assert!(mark.get("fields").is_none());
    }
}
