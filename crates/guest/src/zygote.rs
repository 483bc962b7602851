//! A warm Python process that runs tasks.

use std::sync::Arc;

use crate::api::{GuestEnv, GuestError, TaskControl, TaskExit, TaskHost, TaskLaunch};
use crate::callback::{self, CallbackExit, CallbackLaunch};
use crate::control::Control;
use crate::task;
use crate::triggers::{self, TriggerProcess, TriggerProcessSettings};
use crate::warm::WarmFiles;

/// A warm Python process: it has imported the SDK once and forks a process for each task.
///
/// When it dies, the tasks that it runs are killed with it and end as [`crate::ProcessExit::ZygoteLost`]; start
/// another one for those to come. Dropping it kills it and its tasks.
#[derive(Debug)]
pub struct Zygote {
    env: GuestEnv,
    warm: WarmFiles,
    control: Arc<Control>,
}

impl Zygote {
    /// Starts the interpreter and waits until it is ready (about a second on a warm disk).
    pub async fn start(env: GuestEnv) -> Result<Self, GuestError> {
        let control = Arc::new(Control::start(&env).await?);
        Ok(Self { warm: WarmFiles::new(env.warm_dags), env, control })
    }

    /// False once the process is known to be gone.
    pub fn is_alive(&self) -> bool {
        self.control.is_alive()
    }

    /// Process id of the zygote.
    pub fn pid(&self) -> u32 {
        self.control.pid()
    }

    /// Runs one attempt to its end. An error means that the attempt has not begun. Dropping the future kills the task.
    pub async fn run(
        &self,
        task: TaskLaunch,
        host: Arc<dyn TaskHost>,
        control: TaskControl,
    ) -> Result<TaskExit, GuestError> {
        let Some(warm) = self.warm.find(&self.control, &self.env, &task).await else {
            return task::run(&self.control, &self.env, task, host, control).await;
        };
        match task::run(&warm, &self.env, task.clone(), Arc::clone(&host), control.clone()).await {
            Err(GuestError::ZygoteLost(reason)) => {
                tracing::warn!(file = task.dag_rel_path, reason, "a warm DAG file was lost before its task began");
                task::run(&self.control, &self.env, task, host, control).await
            }
            done => done,
        }
    }

    /// Process ids of the DAG files that are kept loaded, by path.
    pub fn warm_files(&self) -> Vec<(String, u32)> {
        self.warm.pids()
    }

    /// Runs a callback to its end. An error means that it has not begun. Dropping the future kills it.
    ///
    /// # Errors
    /// The zygote is gone, or the system refuses a process.
    pub async fn run_callback(
        &self,
        callback: CallbackLaunch,
        host: Arc<dyn TaskHost>,
        control: TaskControl,
    ) -> Result<CallbackExit, GuestError> {
        callback::run(&self.control, &self.env, callback, host, control).await
    }

    /// Starts a process for triggers. It ends when its handle is dropped.
    ///
    /// # Errors
    /// The zygote is gone, or the system refuses a process.
    pub async fn start_triggers(&self, settings: TriggerProcessSettings) -> Result<TriggerProcess, GuestError> {
        triggers::start(&self.control, &self.env, settings).await
    }

    /// Ends the process. Tasks that still run are killed.
    pub async fn shutdown(self) {
        drop(self.warm);
        self.control.stop().await;
    }
}

/// Keeps processes of the same user, and so user code, from reading this process's memory and environment.
///
/// For the start of every process that holds secrets and runs guests. The cost: its own `/proc` entries then belong to
/// root, and it leaves no core dump.
pub fn hide_from_guests() -> std::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
