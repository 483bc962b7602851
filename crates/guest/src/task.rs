//! One attempt, from the fork to its last log line.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tradewind_secrets::Masker;

use crate::api::{
    GuestEnv, GuestError, LogLevel, LogLine, ProcessExit, ResourceUsage, Stop, StopReason, TaskControl, TaskExit,
    TaskHost, TaskLaunch, TaskOutcome,
};
use crate::channels::{JobChannels, job_channels, output_pipe, send_with_fd};
use crate::control::{Control, Job, JobEvent, Killer, lock, os_error};
use crate::logs::{LastError, LogPump, Source, read_stream, remark};
use crate::memory::OutOfMemory;
use crate::report::Report;
use crate::requests::{Reply, answer};
use crate::startup::startup_details;
use crate::wire;

/// How long the streams of an ended process are read on, when something that it left behind holds them open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) async fn run(
    zygote: &Control,
    env: &GuestEnv,
    task: TaskLaunch,
    host: Arc<dyn TaskHost>,
    control: TaskControl,
) -> Result<TaskExit, GuestError> {
    let folder = WorkingFolder::prepare(env, task.working_dir.as_deref())?;
    let prelude =
        wire::json_frame(&prelude(env, &task, folder.path())).map_err(os_error("encode the task's environment"))?;
    let startup = wire::response(0, Some(&startup_details(&task)), None)
        .map_err(|error| GuestError::Os { action: "encode the task's start", source: std::io::Error::other(error) })?;
    let (channels, ends) = job_channels().map_err(os_error("make the task's channels"))?;
    let job = zygote.fork("task", ends).await?;
    let attempt = Attempt::new(&*host, true);
    let ended = attempt.run(job, channels, [prelude, startup].concat(), control.stop).await;
    folder.remove().await;
    let ended = ended?;

    let Report { outcome, skipped_downstream, rendered_map_index } =
        attempt.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let reported = outcome.is_some();
    let outcome = match outcome {
        Some(outcome) => with_message(outcome, ended.last_error.get()),
        None => TaskOutcome::Failed {
            retry: task.should_retry,
            retry_delay: None,
            message: Some(ended.lost_report.clone()),
        },
    };
    Ok(TaskExit {
        outcome,
        skipped_downstream,
        rendered_map_index,
        exit: ended.exit,
        reported,
        stopped: ended.stopped,
        usage: ended.usage,
    })
}

fn with_message(outcome: TaskOutcome, message: Option<String>) -> TaskOutcome {
    match outcome {
        TaskOutcome::Failed { retry, retry_delay, message: None } => {
            TaskOutcome::Failed { retry, retry_delay, message }
        }
        other => other,
    }
}

/// What every child that runs user code of a bundle is told first.
pub(crate) fn prelude(env: &GuestEnv, task: &TaskLaunch, working_dir: &std::path::Path) -> Value {
    json!({
        "env": task.env.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "bundle_name": task.bundle_name,
        "bundle_dir": task.bundle_dir,
        "working_dir": working_dir,
        "bytecode_dir": bytecode_dir(env, &task.bundle_version),
    })
}

/// Where the bytecode of a bundle is kept. Only one that is named by its content can keep any: Python tells versions apart
/// by whole seconds.
pub(crate) fn bytecode_dir(env: &GuestEnv, bundle_version: &str) -> Option<std::path::PathBuf> {
    (!bundle_version.is_empty()).then(|| env.home.join("bytecode").join(bundle_version.replace(['/', '.'], "_")))
}

/// One attempt's shared state.
pub(crate) struct Attempt<'a> {
    host: &'a dyn TaskHost,
    masker: Masker,
    report: Mutex<Report>,
    /// Whether the process is to say how it went; else its exit code does.
    reports: bool,
    /// A breach of the protocol: the task is killed for it.
    violation: Mutex<Option<String>>,
    abort: Notify,
    /// Before the process began.
    out_of_memory: OutOfMemory,
}

pub(crate) struct Ended {
    pub(crate) exit: ProcessExit,
    usage: ResourceUsage,
    pub(crate) stopped: Option<StopReason>,
    pub(crate) last_error: LastError,
    pub(crate) lost_report: String,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(host: &'a dyn TaskHost, reports: bool) -> Self {
        Self {
            host,
            masker: Masker::default(),
            report: Mutex::default(),
            reports,
            violation: Mutex::default(),
            abort: Notify::new(),
            out_of_memory: OutOfMemory::count(),
        }
    }

    /// Talks to the process and collects its output until it has ended.
    pub(crate) async fn run(
        &self,
        mut job: Job,
        channels: JobChannels,
        first_words: Vec<u8>,
        stop: watch::Receiver<Option<Stop>>,
    ) -> Result<Ended, GuestError> {
        let pump = LogPump::new();
        let (remarks, last_error) = (pump.sender(), pump.last_error());
        let (forked, is_forked) = oneshot::channel();
        let (early, is_reported) = oneshot::channel();
        let why = last_error.clone();

        let io = {
            let remarks = pump.sender();
            let (stdout, stderr, logs) = (pump.sender(), pump.sender(), pump.sender());
            async move {
                let talk = async {
                    // Nothing is said before the fork is known: until then the attempt has not begun.
                    if is_forked.await.is_ok() {
                        self.converse(channels.requests, first_words, early, remarks).await;
                    }
                };
                tokio::join!(
                    talk,
                    read_stream(Source::Stdout, channels.stdout, stdout),
                    read_stream(Source::Stderr, channels.stderr, stderr),
                    read_stream(Source::Json, channels.logs, logs),
                );
            }
        };
        let work = async {
            let (mut io, mut supervision) = (pin!(io), pin!(self.supervise(&mut job, stop, forked)));
            let mut io_done = false;
            let end = loop {
                tokio::select! {
                    end = &mut supervision => break end,
                    () = &mut io, if !io_done => io_done = true,
                }
            };
            if !io_done && tokio::time::timeout(DRAIN_TIMEOUT, io).await.is_err() {
                let text = "something that the task left behind still holds its output open; the rest is not read";
                let _ = remarks.send(remark(LogLevel::Warning, text)).await;
            }
            let (exit, usage, stopped) = end?;
            let lost_report = self.explain_loss(exit, usage, &last_error);
            if self.reports && lock(&self.report).outcome.is_none() {
                let _ = remarks.send(remark(LogLevel::Error, lost_report.clone())).await;
            }
            drop(remarks);
            Ok(Ended { exit, usage, stopped, last_error, lost_report })
        };
        let notice = async {
            if let Ok((mut outcome, skipped)) = is_reported.await {
                if matches!(outcome, TaskOutcome::Failed { message: None, .. }) {
                    outcome = with_message(outcome, why.wait().await);
                }
                self.host.outcome_reported(&outcome, &skipped).await;
            }
        };
        let (ended, (), ()) = tokio::join!(work, pump.deliver(self.host, &self.masker), notice);
        ended
    }

    /// Answers the task until it closes the channel.
    async fn converse(
        &self,
        mut stream: UnixStream,
        first_words: Vec<u8>,
        early: oneshot::Sender<(TaskOutcome, Vec<(String, i32)>)>,
        remarks: mpsc::Sender<LogLine>,
    ) {
        let mut early = Some(early);
        // A subprocess with an interpreter of its own can ask for one more log channel. Dropped with this future.
        let mut more_logs = JoinSet::new();
        if let Err(error) = wire::write_all(&mut stream, &first_words).await {
            self.violate(format!("write to the task: {error}"), &remarks).await;
            return;
        }
        loop {
            let mut request = match wire::read_request(&mut stream, self.host.largest_request()).await {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(error) => return self.violate(error.to_string(), &remarks).await,
            };
            if request.kind == "ResendLoggingFD" {
                match self.send_log_channel(&mut stream, request.id).await {
                    Ok(logs) => drop(more_logs.spawn(read_stream(Source::Json, logs, remarks.clone()))),
                    Err(error) => return self.violate(format!("send a log channel: {error}"), &remarks).await,
                }
                continue;
            }
            let taken = lock(&self.report).take(&request.kind, &request.body);
            let reply = match taken {
                Ok(true) => Reply::Done,
                Ok(false) => answer(self.host, &self.masker, &request.kind, &mut request.body).await,
                Err(reason) => {
                    return self.violate(format!("malformed {}: {reason}", request.kind), &remarks).await;
                }
            };
            let written = match reply_frame(&request, &reply) {
                Ok(frame) => wire::write_all(&mut stream, &frame).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = written {
                return self.violate(format!("write to the task: {error}"), &remarks).await;
            }
            let reported = {
                let report = lock(&self.report);
                report.outcome.clone().map(|outcome| (outcome, report.skipped_downstream.clone()))
            };
            if let Some((outcome, skipped)) = reported
                && let Some(early) = early.take()
            {
                let _ = early.send((outcome, skipped));
            }
        }
        while more_logs.join_next().await.is_some() {}
    }

    /// Answers `ResendLoggingFD` with the writing end of a new pipe.
    async fn send_log_channel(&self, stream: &mut UnixStream, id: u64) -> std::io::Result<pipe::Receiver> {
        let (logs, theirs) = output_pipe()?;
        // The number is that of our side; the SDK puts its own in its place.
        let body = json!({"type": "SentFDs", "fds": [0]});
        let frame = wire::response(id, Some(&body), None).map_err(std::io::Error::other)?;
        send_with_fd(stream, &frame, theirs).await?;
        Ok(logs)
    }

    async fn violate(&self, reason: String, remarks: &mpsc::Sender<LogLine>) {
        let text = format!("the task broke the protocol with its supervisor and is killed: {reason}");
        let _ = remarks.send(remark(LogLevel::Error, text)).await;
        *lock(&self.violation) = Some(reason);
        self.abort.notify_one();
    }

    /// Waits for the end of the process, and brings it about when asked to.
    async fn supervise(
        &self,
        job: &mut Job,
        mut stop: watch::Receiver<Option<Stop>>,
        forked: oneshot::Sender<()>,
    ) -> Result<(ProcessExit, ResourceUsage, Option<StopReason>), GuestError> {
        let killer = job.killer();
        let mut forked = Some(forked);
        let mut stopping: Option<Stop> = None;
        let mut kill_at: Option<Instant> = None;
        loop {
            tokio::select! {
                event = job.event() => match event {
                    Some(JobEvent::Forked { pid }) => {
                        if let Some(forked) = forked.take() {
                            let _ = forked.send(());
                        }
                        self.host.started(pid).await;
                    }
                    Some(JobEvent::ForkFailed { error }) => {
                        let source = std::io::Error::other(error);
                        return Err(GuestError::Os { action: "fork the task", source });
                    }
                    Some(JobEvent::Exited { code, signal, usage }) => {
                        let exit = signal.map_or(ProcessExit::Code(code.unwrap_or(-1)), ProcessExit::Signal);
                        return Ok((exit, usage, stopping.map(|stop| stop.reason)));
                    }
                    None if forked.is_some() => {
                        return Err(GuestError::ZygoteLost("it ended before it forked the task".to_owned()));
                    }
                    None => {
                        let stopped = stopping.map(|stop| stop.reason);
                        return Ok((ProcessExit::ZygoteLost, ResourceUsage::default(), stopped));
                    }
                },
                asked = changed(&mut stop, stopping) => {
                    // Only a grace that got shorter changes anything once the stop is under way.
                    kill_at = Some(Instant::now() + asked.grace);
                    if stopping.is_none() && !asked.grace.is_zero() {
                        killer.terminate().await;
                    }
                    stopping = Some(asked);
                }
                () = until(kill_at) => {
                    kill_at = None;
                    killer.kill().await;
                }
                () = self.abort.notified() => kill_now(&killer).await,
            }
        }
    }

    fn explain_loss(&self, exit: ProcessExit, usage: ResourceUsage, last_error: &LastError) -> String {
        if let Some(violation) = &*lock(&self.violation) {
            return format!("killed for a breach of the protocol: {violation}");
        }
        match exit {
            ProcessExit::Code(code) => {
                let cause = last_error.get().map(|error| format!("; it last logged {error}")).unwrap_or_default();
                format!("the task's process ended with exit code {code} without saying how the task went{cause}")
            }
            ProcessExit::Signal(9) => self.out_of_memory.explain(OutOfMemory::count(), usage.max_rss_bytes),
            ProcessExit::Signal(11) => {
                "the task's process was ended by signal 11: a segmentation fault in native code".to_owned()
            }
            ProcessExit::Signal(signal) => {
                format!("the task's process was ended by signal {signal}")
            }
            ProcessExit::ZygoteLost => "the Python zygote died, and the task with it".to_owned(),
        }
    }
}

/// The frame of a reply.
pub(crate) fn reply_frame(request: &wire::Request, reply: &Reply) -> Result<Vec<u8>, wire::WireError> {
    let frame = match reply {
        Reply::Done => wire::response(request.id, None, None),
        Reply::Body(body) => wire::response(request.id, Some(body), None),
        Reply::Error(error) => wire::response(request.id, None, Some(error)),
    };
    // An answer that is too large must not leave the task waiting.
    frame.or_else(|error| {
        let detail = json!({"message": format!("answer to {}: {error}", request.kind)});
        let body = json!({"type": "ErrorResponse", "error": "GENERIC_ERROR", "detail": detail});
        wire::response(request.id, None, Some(&body))
    })
}

async fn kill_now(killer: &Killer) {
    killer.kill().await;
}

/// Resolves when a stop is asked for that differs from the one under way.
pub(crate) async fn changed(stop: &mut watch::Receiver<Option<Stop>>, under_way: Option<Stop>) -> Stop {
    let asked = stop.wait_for(|asked| asked.is_some() && *asked != under_way).await.map_or(None, |asked| *asked);
    if let Some(asked) = asked {
        return asked;
    }
    // Nobody can ask any more.
    std::future::pending().await
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Where the task runs: a folder that is given, or one of its own that goes when it ends.
pub(crate) enum WorkingFolder {
    Given(std::path::PathBuf),
    Own(tempfile::TempDir),
}

impl WorkingFolder {
    pub(crate) fn prepare(env: &GuestEnv, given: Option<&std::path::Path>) -> Result<Self, GuestError> {
        if let Some(folder) = given {
            std::fs::create_dir_all(folder).map_err(os_error("create the task's working folder"))?;
            return Ok(Self::Given(folder.to_owned()));
        }
        let parent = env.home.join("work");
        std::fs::create_dir_all(&parent).map_err(os_error("create the task's working folder"))?;
        tempfile::Builder::new()
            .prefix("task-")
            .tempdir_in(parent)
            .map(Self::Own)
            .map_err(os_error("create the task's working folder"))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Given(path) => path,
            Self::Own(folder) => folder.path(),
        }
    }

    pub(crate) async fn remove(self) {
        if let Self::Own(folder) = self {
            // A task may have left a lot of files.
            let removed = tokio::task::spawn_blocking(move || folder.close()).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "could not remove the working folder of a task");
            }
        }
    }
}
