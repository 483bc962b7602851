//! Callbacks that no task process can run, each in a child of the zygote.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{GuestEnv, GuestError, ProcessExit, StopReason, TaskControl, TaskHost, TaskLaunch};
use crate::channels::job_channels;
use crate::control::{Control, os_error};
use crate::startup::{ti_context, ti_value};
use crate::task::{Attempt, WorkingFolder, prelude};
use crate::wire;

/// A callback to be run: of a DAG run, a task instance, or a deadline.
#[derive(Debug, Clone)]
pub struct CallbackLaunch {
    /// `dag_success`, `dag_failure`, `task_failure`, `task_retry` or `deadline`.
    pub kind: String,
    /// The run, the bundle, and the task instance that it is about; an empty task id where it is about none.
    pub about: TaskLaunch,
    /// State of the run.
    pub run_state: String,
    /// State of the task instance.
    pub ti_state: Option<String>,
    /// The context's `reason`; for a task, also what its exception says.
    pub reason: Option<String>,
    /// Of a deadline: its callback in the guest's serialization.
    pub spec: Value,
    /// Of a deadline: what the context says of it.
    pub deadline: Value,
}

/// How a callback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackExit {
    /// Why it failed; `None` when all of it returned.
    pub failure: Option<String>,
    /// The stop that was asked for while it ran, if any.
    pub stopped: Option<StopReason>,
}

pub(crate) async fn run(
    zygote: &Control,
    env: &GuestEnv,
    callback: CallbackLaunch,
    host: Arc<dyn TaskHost>,
    control: TaskControl,
) -> Result<CallbackExit, GuestError> {
    let folder = WorkingFolder::prepare(env, callback.about.working_dir.as_deref())?;
    let mut prelude = prelude(env, &callback.about, folder.path());
    prelude["dag_rel_path"] = callback.about.dag_rel_path.clone().into();
    prelude["callback"] = request(&callback);
    let prelude = wire::json_frame(&prelude).map_err(os_error("encode a callback"))?;
    let (channels, ends) = job_channels().map_err(os_error("make the callback's channels"))?;
    let job = zygote.fork("callback", ends).await?;
    let ended = Attempt::new(&*host, false).run(job, channels, prelude, control.stop).await;
    folder.remove().await;
    let ended = ended?;
    let failure = match ended.exit {
        ProcessExit::Code(0) => None,
        ProcessExit::Code(1) => Some(ended.last_error.get().unwrap_or_else(|| "the callback failed".to_owned())),
        _ => Some(ended.lost_report.replace("the task's process", "the callback's process")),
    };
    Ok(CallbackExit { failure, stopped: ended.stopped })
}

fn request(callback: &CallbackLaunch) -> Value {
    let about = &callback.about;
    let ti = (!about.task_id.is_empty()).then(|| ti_value(about));
    json!({
        "kind": callback.kind,
        "dag_id": about.dag_id,
        "run_id": about.run_id,
        "reason": callback.reason,
        "ti": ti,
        "ti_state": callback.ti_state,
        "ti_context": ti_context(about, &callback.run_state),
        "spec": callback.spec,
        "deadline": callback.deadline,
    })
}
