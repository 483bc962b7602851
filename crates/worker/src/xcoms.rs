//! XComs that a Python task pushed and that are not written yet.
//!
//! The last thing that most tasks do is to push their return value; written together with their end it costs no call of
//! its own. So pushes are held for a moment: until the task asks anything else, some time has passed, or it ends.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tradewind_types::{ApiError, ErrorCode, XComValue};

use crate::remote::Remote;

/// How long a push is held: others see it a little later than they could.
const HOLD: Duration = Duration::from_millis(100);
/// How long the write of held values is tried on its own; they stay held when it fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// The held values of one attempt. Clones share them.
#[derive(Clone)]
pub(crate) struct HeldXComs(Arc<Inner>);

struct Inner {
    remote: Remote,
    max_bytes: u64,
    state: Mutex<State>,
    /// Writes go one after the other, so that an older value cannot overtake a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Vec<(u64, XComValue)>,
    pushes: u64,
    timer: bool,
}

impl HeldXComs {
    pub(crate) fn new(remote: Remote, max_bytes: u64) -> Self {
        Self(Arc::new(Inner { remote, max_bytes, state: Mutex::default(), writing: tokio::sync::Mutex::default() }))
    }

    /// Holds a value.
    ///
    /// # Errors
    /// It is larger than an XCom may be.
    pub(crate) fn push(&self, key: &str, value: Value, mapped_length: Option<u32>) -> Result<(), ApiError> {
        check_size(key, &value, self.0.max_bytes)?;
        let mut state = self.0.lock();
        state.put(XComValue { key: key.to_owned(), value, mapped_length });
        if !std::mem::replace(&mut state.timer, true) {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(HOLD).await;
                this.0.lock().timer = false;
                if let Err(error) = this.flush().await {
                    tracing::debug!(%error, "XComs could not be written yet; they go with the report");
                }
            });
        }
        Ok(())
    }

    /// Forgets a held value.
    pub(crate) fn forget(&self, key: &str) {
        self.0.lock().held.retain(|(_, xcom)| xcom.key != key);
    }

    /// Writes what is held, so that whoever looks next sees it.
    pub(crate) async fn flush(&self) -> Result<(), ApiError> {
        if self.0.lock().held.is_empty() {
            return Ok(());
        }
        let _turn = self.0.writing.lock().await;
        let held = self.0.lock().held.clone();
        if held.is_empty() {
            return Ok(());
        }
        let values: Vec<XComValue> = held.iter().map(|(_, xcom)| xcom.clone()).collect();
        self.0.remote.push_xcoms(&values, PATIENCE).await?;
        self.0.lock().written(&held);
        Ok(())
    }

    /// What is still held, for the report. A write that is under way may write the same values.
    pub(crate) fn take(&self) -> Vec<XComValue> {
        let held = std::mem::take(&mut self.0.lock().held);
        held.into_iter().map(|(_, xcom)| xcom).collect()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, value: XComValue) {
        self.held.retain(|(_, xcom)| xcom.key != value.key);
        self.pushes += 1;
        self.held.push((self.pushes, value));
    }

    /// Forgets what was written, but not what was pushed under the same key meanwhile.
    fn written(&mut self, values: &[(u64, XComValue)]) {
        self.held.retain(|(push, _)| !values.iter().any(|(written, _)| written == push));
    }
}

/// Refuses a value whose JSON is larger than `max` bytes.
fn check_size(key: &str, value: &Value, max: u64) -> Result<(), ApiError> {
    let size = value.to_string().len() as u64;
    if size <= max {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::TooLarge,
        format!(
            "the XCom \"{key}\" has {size} bytes as JSON, more than the {max} that scheduler.xcom_max_bytes allows; \
             write it to a file or object store and push its address"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_replaced_meanwhile_stays_held() {
        let mut state = State::default();
        let value = |key: &str, value: i64| XComValue { key: key.to_owned(), value: value.into(), mapped_length: None };
        state.put(value("a", 1));
        state.put(value("b", 2));
        let sent = state.held.clone();
        state.put(value("a", 3));
        state.written(&sent);
        let held: Vec<_> = state.held.iter().map(|(_, xcom)| (xcom.key.as_str(), &xcom.value)).collect();
        assert_eq!(held, [("a", &Value::from(3))]);
    }

    #[test]
    fn the_limit_is_named() {
        assert!(check_size("k", &"abc".into(), 5).is_ok());
        let error = check_size("k", &"abcd".into(), 5).unwrap_err();
        assert!(error.message.contains("scheduler.xcom_max_bytes"), "{error}");
    }
}
