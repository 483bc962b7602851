//! XComs on their way: large ones to and from storage, and those that a Python task pushed and that are not written yet.
//!
//! The last thing that most tasks do is to push their return value; written together with their end it costs no call of
//! its own. So pushes are held for a moment: until the task asks anything else, some time has passed, or it ends.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tradewind_objects::{ObjectError, Owner, Storage};
use tradewind_proto::{json, v1};
use tradewind_types::{ApiError, ErrorCode, TaskInstance, XComObject, XComValue};

use crate::{remote::Remote, settings::WorkerSettings};

/// How long a push is held: others see it a little later than they could.
const HOLD: Duration = Duration::from_millis(100);
/// How long the write of held values is tried on its own; they stay held when it fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// The held values of one attempt. Clones share them.
#[derive(Clone)]
pub(crate) struct HeldXComs(Arc<Inner>);

struct Inner {
    remote: Remote,
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
    pub(crate) fn new(remote: Remote) -> Self {
        Self(Arc::new(Inner { remote, state: Mutex::default(), writing: tokio::sync::Mutex::default() }))
    }

    /// Holds a value.
    pub(crate) fn push(&self, value: XComValue) {
        let mut state = self.0.lock();
        state.put(value);
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

/// Puts values that are too large for a row into storage, and gets them from there.
#[derive(Clone)]
pub(crate) struct LargeXComs {
    inline_max: u64,
    max: u64,
    storage: Option<Storage>,
}

impl LargeXComs {
    pub(crate) fn new(settings: &WorkerSettings, inline_max: u64) -> Self {
        Self { inline_max, max: settings.xcom_max_bytes.max(inline_max), storage: settings.xcom_storage.clone() }
    }

    /// The largest value that is taken.
    pub(crate) fn max_bytes(&self) -> u64 {
        if self.storage.is_some() { self.max } else { self.inline_max }
    }

    /// The value as it goes to the scheduler: a large one is written to the storage first.
    ///
    /// # Errors
    /// It is larger than an XCom may be, or the storage fails.
    pub(crate) async fn stow(
        &self,
        ti: &TaskInstance,
        key: &str,
        value: Value,
        mapped_length: Option<u32>,
    ) -> Result<XComValue, ApiError> {
        let key = key.to_owned();
        if fits(&value, self.inline_max) {
            return Ok(XComValue { key, value, object: None, mapped_length });
        }
        let Some(storage) = &self.storage else {
            return Err(too_large(&key, self.inline_max));
        };
        let owner = Owner {
            dag_id: ti.dag_id.as_str(),
            run_id: ti.run_id.as_str(),
            task_id: ti.task_id.as_str(),
            map_index: ti.map_index,
            key: &key,
        };
        let began = Instant::now();
        let object = storage.put(&owner, value, self.max).await.map_err(|error| match error {
            ObjectError::TooLarge(_) => {
                let message =
                    format!("the XCom \"{key}\": {error}; write it to a file or object store and push its address");
                ApiError::new(ErrorCode::TooLarge, message)
            }
            error => ApiError::invalid(format!("the XCom \"{key}\" could not be stored (xcom.storage_url): {error}")),
        })?;
        tracing::debug!(url = object.url, bytes = object.size, took = ?began.elapsed(), "stored a large XCom");
        Ok(XComValue { key, value: Value::Null, object: Some(object), mapped_length })
    }

    /// The values by map index, wherever they are kept.
    ///
    /// # Errors
    /// A stored one is missing, was changed or cannot be read, or they are too large together.
    pub(crate) async fn load(&self, xcoms: Vec<v1::XCom>) -> Result<Vec<(i32, Value)>, ApiError> {
        let stored = xcoms.iter().filter_map(|xcom| xcom.object.as_ref());
        let (count, bytes) = stored.fold((0_u64, 0_u64), |(count, bytes), object| (count + 1, bytes + object.size));
        if count > 1 && bytes > self.max {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!(
                    "{count} XComs have {bytes} bytes together, more than the {} that xcom.max_bytes allows to be read \
                     at once; read them one by one, by map index",
                    self.max
                ),
            ));
        }
        let mut values = Vec::with_capacity(xcoms.len());
        for xcom in xcoms {
            let value = match xcom.object {
                None => json("xcom", &xcom.value_json)?,
                Some(object) => self.read(&xcom.task_id, &xcom.key, object.into()).await?,
            };
            values.push((xcom.map_index, value));
        }
        Ok(values)
    }

    async fn read(&self, task_id: &str, key: &str, object: XComObject) -> Result<Value, ApiError> {
        let Some(storage) = &self.storage else {
            return Err(ApiError::invalid(format!(
                "the XCom \"{key}\" of {task_id} is kept in {}, and this worker's xcom.storage_url is not set",
                object.url
            )));
        };
        storage.get(&object).await.map_err(|error| {
            ApiError::invalid(format!("the value of the XCom \"{key}\" of {task_id} cannot be had: {error}"))
        })
    }
}

/// Whether a value has at most `max` bytes as JSON; stops counting there.
fn fits(value: &Value, max: u64) -> bool {
    struct Room(u64);

    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    if let Value::String(text) = value
        && text.len() as u64 >= max
    {
        return false;
    }
    serde_json::to_writer(Room(max), value).is_ok()
}

fn too_large(key: &str, max: u64) -> ApiError {
    ApiError::new(
        ErrorCode::TooLarge,
        format!(
            "the XCom \"{key}\" has more than {max} bytes as JSON (xcom.inline_max_bytes), and there is no place for large \
             ones: set xcom.storage_url to a folder (file:///...) or bucket (s3://...) that all workers share; or write it to \
             a file or object store and push its address"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_replaced_meanwhile_stays_held() {
        let mut state = State::default();
        let value = |key: &str, value: i64| XComValue {
            key: key.to_owned(),
            value: value.into(),
            object: None,
            mapped_length: None,
        };
        state.put(value("a", 1));
        state.put(value("b", 2));
        let sent = state.held.clone();
        state.put(value("a", 3));
        state.written(&sent);
        let held: Vec<_> = state.held.iter().map(|(_, xcom)| (xcom.key.as_str(), &xcom.value)).collect();
        assert_eq!(held, [("a", &Value::from(3))]);
    }

    #[test]
    fn the_limit_counts_the_json_text() {
        assert!(fits(&"abc".into(), 5));
        assert!(!fits(&"abcd".into(), 5));
        assert!(!fits(&"\n\n".into(), 5));
        assert!(fits(&serde_json::json!([1, 2]), 5));
        assert!(!fits(&serde_json::json!([1, 22]), 5));
        assert!(too_large("k", 5).message.contains("xcom.storage_url"));
    }
}
