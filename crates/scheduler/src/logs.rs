//! Serving logs: reading one attempt, following it until it is over.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tonic::Status;
use tradewind_proto::{status, v1};
use tradewind_types::{ApiError, AttemptKey, TaskInstance, TaskState, TiId};

use crate::core::{Core, store_error};

/// Bytes read and sent at once.
const PART: usize = 256 * 1024;

/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Which attempt of a task instance a request means: a given attempt, the last attempt of a given try, or the last.
pub(crate) async fn choose_attempt(
    core: &Core,
    ti: &TaskInstance,
    attempt: u32,
    try_number: u32,
) -> Result<u32, ApiError> {
    if attempt > 0 {
        return Ok(attempt);
    }
    if try_number == 0 || try_number == ti.try_number {
        return Ok(ti.attempt);
    }
    let tries = core.store.tries(ti.id).await.map_err(store_error)?;
    tries.iter().filter(|row| row.try_number == try_number).map(|row| row.attempt).max().ok_or_else(|| {
        ApiError::not_found(format!(
            "{} has no try {try_number} in this run; its last is {}",
            ti.task_id, ti.try_number
        ))
    })
}

/// Sends the log of an attempt from `offset`; with `follow` until the attempt is over and everything was sent.
pub(crate) async fn send_log(
    core: Arc<Core>,
    key: AttemptKey,
    mut offset: u64,
    follow: bool,
    sender: mpsc::Sender<Result<v1::LogData, Status>>,
) {
    loop {
        // Asked before the read: what is appended until the attempt ends is seen by the read after.
        let over = !follow || attempt_is_over(&core, key.ti, key.attempt).await;
        loop {
            let data = match core.logs.read_log(key, offset, PART).await {
                Ok(data) => data,
                Err(error) => {
                    // The caller may have gone.
                    let _ = sender.send(Err(status(store_error(error)))).await;
                    return;
                }
            };
            if data.is_empty() {
                break;
            }
            offset += data.len() as u64;
            if sender.send(Ok(v1::LogData { attempt: key.attempt, data })).await.is_err() {
                return;
            }
        }
        if over || sender.is_closed() {
            return;
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

async fn attempt_is_over(core: &Core, ti: TiId, attempt: u32) -> bool {
    match core.store.task_instance(ti).await {
        Ok(Some(row)) => {
            // A trigger's attempt lasts as long as the wait.
            let waits = matches!(row.state, TaskState::Deferred | TaskState::AwaitingInput);
            row.attempt != attempt || !(row.state.is_executing() || waits)
        }
        Ok(None) => true,
        Err(error) => {
            tracing::debug!(%error, "cannot tell whether the attempt is over");
            false
        }
    }
}
