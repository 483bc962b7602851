//! Triggers: thousands of them in one Python process and one event loop.
//!
//! A trigger that holds the loop up ends the process (`python/tradewind_guest/trigger_watchdog.py`): the culprit is told,
//! the others are lost, and their owner starts them again in another process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tradewind_secrets::Masker;

use crate::api::{GuestEnv, GuestError, LogLine, StopReason, TaskControl, TaskHost, TaskLaunch};
use crate::channels::job_channels;
use crate::control::{Control, Job, JobEvent, lock, os_error};
use crate::logs::{Source, hide, read_stream};
use crate::requests::{Reply, answer};
use crate::startup::{ti_context, ti_value};
use crate::task::{WorkingFolder, bytecode_dir, changed, reply_frame};
use crate::wire::{self, Request};

/// How long the log of a trigger that has ended is waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// Lines of one trigger that wait for its host; what comes beyond is lost.
const LOG_LINES: usize = 1024;
/// How often a process is asked whether its loop still turns, and how much later than the watchdog inside we act.
const PING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// What a process for triggers is started with.
#[derive(Debug, Clone)]
pub struct TriggerProcessSettings {
    /// Folder, name and content address of the bundle whose modules its triggers may import; none for installed classes.
    pub bundle: Option<(PathBuf, String, String)>,
    /// Extra environment.
    pub env: Vec<(String, String)>,
    /// A loop that is held up for longer is mentioned in the culprit's log.
    pub block_warning: Duration,
    /// A loop that is held up for longer costs the process.
    pub block_limit: Duration,
}

impl Default for TriggerProcessSettings {
    fn default() -> Self {
        Self {
            bundle: None,
            env: Vec::new(),
            block_warning: Duration::from_secs(1),
            block_limit: Duration::from_secs(30),
        }
    }
}

/// One trigger.
#[derive(Debug, Clone)]
pub struct TriggerLaunch {
    /// The task instance that waits for it, with its run.
    pub about: TaskLaunch,
    /// Its class path.
    pub class: String,
    /// Its arguments, in the guest's serialization.
    pub kwargs: Value,
    /// When the wait fails; told to the trigger, kept by others.
    pub timeout_at: Option<Timestamp>,
    /// Whether its templated fields are still to be rendered: the task starts in it, without a worker before.
    pub template: bool,
}

/// How a trigger ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TriggerEnd {
    /// It gave an event.
    Fired {
        /// It, in the guest's serialization.
        event: Value,
    },
    /// It ended its task instance.
    Ended {
        /// `success`, `failed` or `skipped`.
        state: String,
        /// XComs of the task instance.
        xcoms: Vec<(String, Value)>,
    },
    /// It failed.
    Failed {
        /// What the task is told.
        error: String,
        /// Why, in a line.
        summary: String,
        /// The lines of the traceback.
        traceback: Vec<String>,
        /// False when it could not even be made: its class or arguments are not to be had here.
        made: bool,
    },
    /// It was stopped.
    Stopped(StopReason),
    /// Its process is gone.
    Lost {
        /// Why.
        reason: String,
        /// Whether this trigger is to blame.
        culprit: bool,
    },
}

/// A Python process that runs triggers. Dropping it kills the process.
#[derive(Debug)]
pub struct TriggerProcess {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

struct Shared {
    triggers: Mutex<HashMap<u64, Entry>>,
    frames: mpsc::UnboundedSender<Vec<u8>>,
    next: AtomicU64,
    alive: AtomicBool,
    /// The trigger that held the loop up for too long.
    culprit: Mutex<Option<u64>>,
    /// The last answer to a ping.
    pong: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("triggers", &lock(&self.triggers).len()).finish_non_exhaustive()
    }
}

struct Entry {
    host: Arc<dyn TaskHost>,
    masker: Masker,
    end: Option<oneshot::Sender<TriggerEnd>>,
    log: Option<mpsc::Sender<LogLine>>,
}

pub(crate) async fn start(
    zygote: &Control,
    env: &GuestEnv,
    settings: TriggerProcessSettings,
) -> Result<TriggerProcess, GuestError> {
    let folder = WorkingFolder::prepare(env, None)?;
    let (dir, name, version) = settings.bundle.unwrap_or_default();
    let prelude = json!({
        "env": settings.env.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "bundle_name": if name.is_empty() { "dags" } else { &name },
        "bundle_dir": (!version.is_empty() || !dir.as_os_str().is_empty()).then_some(dir),
        "bytecode_dir": bytecode_dir(env, &version),
        "working_dir": folder.path(),
        "block_warn_secs": settings.block_warning.as_secs_f64(),
        "block_limit_secs": settings.block_limit.as_secs_f64(),
    });
    let prelude = wire::json_frame(&prelude).map_err(os_error("encode the start of a trigger process"))?;
    let (channels, ends) = job_channels().map_err(os_error("make the channels of a trigger process"))?;
    let job = zygote.fork("triggers", ends).await?;

    let (frames, mut to_write) = mpsc::unbounded_channel::<Vec<u8>>();
    let _ = frames.send(prelude);
    let shared = Arc::new(Shared {
        triggers: Mutex::default(),
        frames,
        next: AtomicU64::new(1),
        alive: AtomicBool::new(true),
        culprit: Mutex::default(),
        pong: AtomicU64::new(0),
    });
    let (reader, mut writer) = channels.requests.into_split();
    let state = Arc::clone(&shared);
    let supervisor = tokio::spawn(async move {
        let (lines, log) = mpsc::channel(LOG_LINES);
        let logs = async {
            tokio::join!(
                read_stream(Source::Json, channels.logs, lines),
                route(&state, log),
                forward("stdout", channels.stdout),
                forward("stderr", channels.stderr),
            );
        };
        let write = async {
            while let Some(frame) = to_write.recv().await {
                if wire::write_all(&mut writer, &frame).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await
        };
        let talk = async {
            tokio::select! {
                reason = converse(&state, reader) => reason,
                () = write => String::new(),
            }
        };
        let reason = watch(&state, job, talk, logs, settings.block_limit + PING.1).await;
        state.alive.store(false, Ordering::Release);
        let culprit = *lock(&state.culprit);
        for (number, entry) in lock(&state.triggers).iter_mut() {
            if let Some(end) = entry.end.take() {
                let culprit = culprit == Some(*number);
                let _ = end.send(TriggerEnd::Lost { reason: reason.clone(), culprit });
            }
            entry.log = None;
        }
        folder.remove().await;
    });
    Ok(TriggerProcess { shared, supervisor })
}

/// Runs the parts of a process until it has ended; says why it did.
async fn watch(
    state: &Shared,
    mut job: Job,
    talk: impl Future<Output = String>,
    logs: impl Future<Output = ()>,
    patience: Duration,
) -> String {
    let killer = job.killer();
    let (mut talk, mut logs) = (std::pin::pin!(talk), std::pin::pin!(logs));
    let (mut talking, mut logging) = (true, true);
    let mut breach = None;
    let mut ping = tokio::time::interval(PING.0);
    let (mut asked, mut answered) = (0, tokio::time::Instant::now());
    let exit = loop {
        tokio::select! {
            event = job.event() => match event {
                Some(JobEvent::Forked { .. }) => {}
                Some(JobEvent::Exited { code, signal, .. }) => break Some((code, signal)),
                Some(JobEvent::ForkFailed { error }) => return format!("it could not be forked: {error}"),
                None => break None,
            },
            reason = &mut talk, if talking => {
                talking = false;
                if !reason.is_empty() {
                    breach = Some(reason);
                    killer.kill().await;
                }
            }
            () = &mut logs, if logging => logging = false,
            _ = ping.tick() => {
                if state.pong.load(Ordering::Acquire) == asked {
                    answered = tokio::time::Instant::now();
                    asked += 1;
                    state.order(&json!({"type": "Ping", "number": asked}));
                } else if answered.elapsed() > patience {
                    // Not even its watchdog can act: something holds the interpreter itself.
                    breach = Some("its interpreter was held up by native code".to_owned());
                    killer.kill().await;
                }
            }
        }
    };
    if logging {
        // Its last words say who is to blame.
        let _ = tokio::time::timeout(LOG_PATIENCE, logs).await;
    }
    match (breach, exit) {
        (Some(breach), _) => breach,
        (None, None) => "the Python zygote died, and its triggers with it".to_owned(),
        (None, Some(_)) if lock(&state.culprit).is_some() => "a trigger held up its event loop for too long".to_owned(),
        (None, Some((_, Some(signal)))) => format!("it was ended by signal {signal}"),
        (None, Some((code, None))) => format!("it ended with exit code {}", code.unwrap_or(-1)),
    }
}

/// Reads what the process says and asks until it closes the channel. Answers a breach of the protocol, if there is one.
async fn converse(state: &Arc<Shared>, mut from: OwnedReadHalf) -> String {
    // Dropped with this future.
    let mut answers = tokio::task::JoinSet::new();
    loop {
        let mut request = match wire::read_request(&mut from, wire::LARGEST_REQUEST).await {
            Ok(Some(request)) => request,
            Ok(None) => return String::new(),
            Err(error) => return format!("it broke the protocol: {error}"),
        };
        if request.id == 0 {
            state.take(&request);
            continue;
        }
        let asks = request.trigger.and_then(|number| {
            lock(&state.triggers).get(&number).map(|entry| (Arc::clone(&entry.host), entry.masker.clone()))
        });
        let state = Arc::clone(state);
        answers.spawn(async move {
            let reply = match asks {
                Some((host, masker)) => answer(&*host, &masker, &request.kind, &mut request.body).await,
                None => Reply::Error(json!({
                    "type": "ErrorResponse",
                    "error": "GENERIC_ERROR",
                    "detail": {"message": format!("{}: the trigger that asks is over", request.kind)},
                })),
            };
            if let Ok(frame) = reply_frame(&request, &reply) {
                let _ = state.frames.send(frame);
            }
        });
        while answers.try_join_next().is_some() {}
    }
}

impl Shared {
    fn order(&self, order: &Value) {
        match wire::response(0, Some(order), None) {
            Ok(frame) => drop(self.frames.send(frame)),
            Err(error) => tracing::error!(%error, "an order to the trigger process cannot be sent"),
        }
    }

    /// Takes in what became of a trigger.
    fn take(&self, said: &Request) {
        let number = said.body.get("number").and_then(Value::as_u64).unwrap_or_default();
        match said.kind.as_str() {
            "Pong" => self.pong.store(number, Ordering::Release),
            "TriggerDone" => {
                let end = lock(&self.triggers).get_mut(&number).and_then(|entry| entry.end.take());
                if let (Some(end), Some(how)) = (end, trigger_end(&said.body)) {
                    let _ = end.send(how);
                }
            }
            other => tracing::warn!(kind = other, "the trigger process says something unknown"),
        }
    }
}

/// `None` for a cancelled one: whoever cancelled it knows why.
fn trigger_end(body: &Map<String, Value>) -> Option<TriggerEnd> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let value = |field: &str| body.get(field).cloned().unwrap_or(Value::Null);
    Some(match text("outcome").as_str() {
        "event" => TriggerEnd::Fired { event: value("event") },
        "ended" => {
            let xcoms = value("xcoms").as_object().cloned().unwrap_or_default();
            TriggerEnd::Ended { state: text("state"), xcoms: xcoms.into_iter().collect() }
        }
        "failed" => TriggerEnd::Failed {
            error: text("error"),
            summary: text("summary"),
            traceback: value("traceback")
                .as_array()
                .map(|lines| lines.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            made: text("stage") != "load",
        },
        _ => return None,
    })
}

/// Gives each line to the trigger that it belongs to.
async fn route(state: &Shared, mut lines: mpsc::Receiver<LogLine>) {
    while let Some(mut line) = lines.recv().await {
        let number = line.fields.remove("trigger_id").and_then(|number| number.as_u64());
        let ends = line.logger == "tradewind.triggers" && line.fields.remove("end").is_some();
        if line.fields.remove("blocked").is_some() {
            *lock(&state.culprit) = number;
        }
        let mut triggers = lock(&state.triggers);
        let Some(entry) = number.and_then(|number| triggers.get_mut(&number)) else {
            tracing::debug!(target: "tradewind_guest::triggers", logger = line.logger, "{}", line.message);
            continue;
        };
        if ends {
            entry.log = None;
        } else if let Some(log) = &entry.log {
            hide(&entry.masker, &mut line);
            // One trigger that logs more than its host takes must not hold up the others.
            let _ = log.try_send(line);
        }
    }
}

async fn forward(name: &'static str, from: impl tokio::io::AsyncRead + Unpin) {
    let (lines, mut printed) = mpsc::channel(16);
    let show = async {
        while let Some(line) = printed.recv().await {
            let line: LogLine = line;
            tracing::debug!(target: "tradewind_guest::triggers", name, "{}", line.message);
        }
    };
    tokio::join!(read_stream(Source::Stdout, from, lines), show);
}

impl TriggerProcess {
    /// False once the process is known to be gone.
    pub fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// How many triggers it runs.
    pub fn load(&self) -> usize {
        lock(&self.shared.triggers).len()
    }

    /// Runs one trigger to its end. Dropping the future cancels it.
    pub async fn run(&self, launch: TriggerLaunch, host: Arc<dyn TaskHost>, control: TaskControl) -> TriggerEnd {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (end, mut ended) = oneshot::channel();
        let (log, lines) = mpsc::channel(LOG_LINES);
        let entry = Entry { host: Arc::clone(&host), masker: Masker::default(), end: Some(end), log: Some(log) };
        lock(&self.shared.triggers).insert(number, entry);
        let guard = Running { shared: &self.shared, number, over: false };
        // Checked after the insertion: whoever clears the flag looks at the table after that.
        if !self.is_alive() {
            return TriggerEnd::Lost { reason: "it ended".to_owned(), culprit: false };
        }
        self.shared.order(&order(number, &launch));
        let mut stop = control.stop;
        let wait = async {
            let stopped = tokio::select! {
                end = &mut ended => return end.unwrap_or_else(|_| gone()),
                stop = changed(&mut stop, None) => stop,
            };
            let kill = stopped.reason == StopReason::Cancelled;
            self.shared.order(&json!({"type": "CancelTrigger", "number": number, "kill": kill}));
            // It may have fired meanwhile; else it is over when it has cleaned up.
            match tokio::time::timeout(stopped.grace, ended).await {
                Ok(Ok(end)) if stopped.reason == StopReason::Shutdown => end,
                _ => TriggerEnd::Stopped(stopped.reason),
            }
        };
        let deliver = deliver(&*host, lines);
        let mut deliver = std::pin::pin!(deliver);
        let mut delivered = false;
        let mut wait = std::pin::pin!(wait);
        let end = loop {
            tokio::select! {
                end = &mut wait => break end,
                () = &mut deliver, if !delivered => delivered = true,
            }
        };
        if !delivered {
            let _ = tokio::time::timeout(LOG_PATIENCE, deliver).await;
        }
        guard.done();
        end
    }
}

fn gone() -> TriggerEnd {
    TriggerEnd::Lost { reason: "its supervisor ended".to_owned(), culprit: false }
}

async fn deliver(host: &dyn TaskHost, mut lines: mpsc::Receiver<LogLine>) {
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, 256).await > 0 {
        host.log(std::mem::take(&mut batch)).await;
    }
}

fn order(number: u64, launch: &TriggerLaunch) -> Value {
    let about = &launch.about;
    let name = format!(
        "{}/{}/{}/{}/{} (ID {number})",
        about.dag_id, about.run_id, about.task_id, about.map_index, about.try_number
    );
    json!({
        "type": "RunTrigger",
        "number": number,
        "name": name,
        "classpath": launch.class,
        "kwargs": launch.kwargs,
        "ti": ti_value(about),
        "timeout_after": launch.timeout_at,
        "template": launch.template.then(|| {
            json!({"dag_rel_path": about.dag_rel_path, "ti_context": ti_context(about, "running")})
        }),
    })
}

/// Cancels the trigger of a future that is dropped.
struct Running<'a> {
    shared: &'a Shared,
    number: u64,
    over: bool,
}

impl Running<'_> {
    fn done(mut self) {
        self.over = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.shared.triggers).remove(&self.number);
        if !self.over {
            self.shared.order(&json!({"type": "CancelTrigger", "number": self.number, "kill": false}));
        }
    }
}

impl Drop for TriggerProcess {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}
