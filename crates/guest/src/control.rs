//! The zygote process and the orders to it.
//!
//! One task reads its events and hands them to the jobs they belong to. When the zygote is gone, every job's event
//! stream ends: that is how they learn of it.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::api::{GuestEnv, GuestError, ResourceUsage};
use crate::channels::{ControlSocket, GuestEnds};
use crate::strays;

/// How long the SDK may take to load, on a slow disk with a cold cache.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a zygote may take to end after it was told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How many of its last output lines a failed start quotes.
const START_OUTPUT_LINES: usize = 30;
/// Variables of our environment that user code may see without being configured.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"];

/// Starts Python without a trace of us in its module path but the package itself.
const BOOTSTRAP: &str = "import sys; sys.path[0] = sys.argv[1]; from tradewind_guest.zygote import main; main()";

/// What happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JobEvent {
    Forked { pid: u32 },
    ForkFailed { error: String },
    Exited { code: Option<i32>, signal: Option<i32>, usage: ResourceUsage },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Ready { pid: u32, python: String, sdk: String },
    Forked { id: u64, pid: u32 },
    ForkFailed { id: u64, error: String },
    Exited { id: u64, code: Option<i32>, signal: Option<i32>, user: f64, system: f64, max_rss: u64 },
    Warm { pid: u32 },
    Refused { why: String },
}

/// How a zygote that was forked to keep a DAG file loaded begins.
#[derive(Debug)]
pub(crate) enum FileZygote {
    /// It forks tasks of the file.
    Warm(Control),
    /// The file cannot be kept loaded; here is why.
    Refused(String),
}

/// What a zygote's process is to us.
enum Origin {
    /// Started by us; the marker is in the environment of all that it starts.
    Started(Child, String),
    /// Forked by another zygote.
    Forked(Job),
}

type Jobs = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<JobEvent>>>>;

/// A running zygote.
#[derive(Debug)]
pub(crate) struct Control {
    socket: Arc<ControlSocket>,
    jobs: Jobs,
    alive: Arc<AtomicBool>,
    /// Counted together with the zygotes that this one forks: their orphans come to it.
    next_job: Arc<AtomicU64>,
    pid: u32,
}

impl Control {
    /// Starts the interpreter and waits until the SDK is loaded.
    pub(crate) async fn start(env: &GuestEnv) -> Result<Self, GuestError> {
        let failed = |reason: String| GuestError::Start { python: env.python.display().to_string(), reason };
        tokio::fs::create_dir_all(&env.home)
            .await
            .map_err(|source| GuestError::Os { action: "create the guest's home folder", source })?;
        let marker = Uuid::new_v4().simple().to_string();
        let (socket, theirs) =
            ControlSocket::pair().map_err(|source| GuestError::Os { action: "make the control channel", source })?;
        let mut child = command(env, &marker, theirs).spawn().map_err(|error| failed(error.to_string()))?;
        let output = forward_output(&mut child);

        let ready = tokio::time::timeout(START_TIMEOUT, socket.receive()).await;
        let packet = match ready {
            Ok(Ok(Some(packet))) => packet,
            Ok(Ok(None)) => {
                let status = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
                return Err(failed(format!("it ended ({status}) while it loaded the SDK{}", output.tail().await)));
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => {
                let _ = child.kill().await;
                let limit = START_TIMEOUT.as_secs();
                return Err(failed(format!("the SDK was not loaded after {limit} s{}", output.tail().await)));
            }
        };
        let Ok(Event::Ready { pid, python, sdk }) = serde_json::from_slice(&packet) else {
            return Err(failed(format!("unexpected first words: {}", String::from_utf8_lossy(&packet))));
        };
        tracing::info!(pid, python, sdk, "python zygote is ready");

        Ok(Self::of(socket, pid, Arc::new(AtomicU64::new(1)), Origin::Started(child, marker)))
    }

    fn of(socket: ControlSocket, pid: u32, next_job: Arc<AtomicU64>, origin: Origin) -> Self {
        let control = Self {
            socket: Arc::new(socket),
            jobs: Jobs::default(),
            alive: Arc::new(AtomicBool::new(true)),
            next_job,
            pid,
        };
        tokio::spawn(dispatch(
            Arc::clone(&control.socket),
            Arc::clone(&control.jobs),
            Arc::clone(&control.alive),
            origin,
        ));
        control
    }

    /// Forks a zygote that loads a DAG file and keeps it. Dropping the future ends the process.
    pub(crate) async fn fork_zygote(&self, prelude: &serde_json::Value) -> Result<FileZygote, GuestError> {
        let (socket, theirs) = ControlSocket::pair().map_err(os_error("make a control channel"))?;
        let mut job = self.fork("warm", GuestEnds::of_zygote(theirs)).await?;
        let lost = |error: io::Error| GuestError::ZygoteLost(error.to_string());
        socket.send(prelude.to_string().as_bytes(), &[]).await.map_err(lost)?;
        let first = tokio::select! {
            packet = socket.receive() => packet.map_err(lost)?,
            error = fork_failure(&mut job) => return Err(error),
        };
        match first.as_deref().map(serde_json::from_slice) {
            Some(Ok(Event::Warm { pid })) => {
                Ok(FileZygote::Warm(Self::of(socket, pid, Arc::clone(&self.next_job), Origin::Forked(job))))
            }
            Some(Ok(Event::Refused { why })) => Ok(FileZygote::Refused(why)),
            Some(_) => Ok(FileZygote::Refused("its process talks nonsense".to_owned())),
            None => Ok(FileZygote::Refused("loading it ends the process".to_owned())),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Orders a fork. The guest's ends are closed on our side when this returns.
    pub(crate) async fn fork(&self, kind: &str, ends: GuestEnds) -> Result<Job, GuestError> {
        let id = self.next_job.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        lock(&self.jobs).insert(id, sender);
        let job = Job { id, socket: Arc::clone(&self.socket), jobs: Arc::clone(&self.jobs), events, ended: false };
        // Checked after the insertion: the dispatcher clears the table after it has cleared the flag.
        if !self.is_alive() {
            return Err(GuestError::ZygoteLost("it ended".to_owned()));
        }
        let order = json!({"op": "fork", "id": id, "kind": kind}).to_string();
        self.socket
            .send(order.as_bytes(), &ends.borrow())
            .await
            .map_err(|error| GuestError::ZygoteLost(error.to_string()))?;
        Ok(job)
    }

    /// Tells the zygote to end; it kills what still runs.
    pub(crate) async fn stop(&self) {
        let _ = self.socket.send(STOP_ORDER, &[]).await;
        let ended = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The dispatcher holds the socket too, so closing our share of it would say nothing.
        let _ = self.socket.try_send(STOP_ORDER);
    }
}

/// One forked process, from the order to its end. Dropping it before that kills the process and all that it started.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    socket: Arc<ControlSocket>,
    jobs: Jobs,
    events: mpsc::UnboundedReceiver<JobEvent>,
    ended: bool,
}

impl Job {
    /// The next event; `None` when the zygote is gone.
    pub(crate) async fn event(&mut self) -> Option<JobEvent> {
        let event = self.events.recv().await;
        if matches!(event, None | Some(JobEvent::Exited { .. } | JobEvent::ForkFailed { .. })) {
            self.ended = true;
        }
        event
    }

    /// A handle that can signal the process while the job is borrowed elsewhere.
    pub(crate) fn killer(&self) -> Killer {
        Killer { id: self.id, socket: Arc::clone(&self.socket) }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        lock(&self.jobs).remove(&self.id);
        if !self.ended {
            let order = kill_order(self.id, SIGKILL, true);
            if self.socket.try_send(order.as_bytes()).is_err() {
                tracing::warn!(job = self.id, "could not order the death of an abandoned guest process");
            }
        }
    }
}

const STOP_ORDER: &[u8] = br#"{"op": "stop"}"#;
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Signals one job.
#[derive(Debug, Clone)]
pub(crate) struct Killer {
    id: u64,
    socket: Arc<ControlSocket>,
}

impl Killer {
    /// SIGTERM to the process group.
    pub(crate) async fn terminate(&self) {
        self.order(SIGTERM, false).await;
    }

    /// SIGKILL to the group and all descendants.
    pub(crate) async fn kill(&self) {
        self.order(SIGKILL, true).await;
    }

    async fn order(&self, signal: i32, tree: bool) {
        // A zygote that is gone has taken the process with it.
        let _ = self.socket.send(kill_order(self.id, signal, tree).as_bytes(), &[]).await;
    }
}

fn kill_order(id: u64, signal: i32, tree: bool) -> String {
    json!({"op": "kill", "id": id, "signal": signal, "tree": tree}).to_string()
}

fn command(env: &GuestEnv, marker: &str, control: std::os::fd::OwnedFd) -> Command {
    let mut command = Command::new(&env.python);
    command
        .args(["-c", BOOTSTRAP])
        .arg(&env.guest_package_dir)
        .arg(json!({"home": env.home}).to_string())
        .env_clear()
        .envs(
            std::env::vars_os().filter(|(name, _)| {
                name.to_str().is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
            }),
        )
        .envs(env.extra_env.iter().map(|(name, value)| (name, value)))
        .env("TRADEWIND_GUEST_ZYGOTE", marker)
        .stdin(Stdio::from(control))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal is for us: the zygote ends when we close the control channel.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// The last lines that the zygote itself printed; all of them also go to our log.
#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Output {
    async fn tail(self) -> String {
        for reader in self.readers {
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
        let lines = lock(&self.lines);
        if lines.is_empty() { String::new() } else { format!("; its last output:\n{}", lines.join("\n")) }
    }
}

fn forward_output(child: &mut Child) -> Output {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        readers.push(tokio::spawn(forward_lines(BufReader::new(stdout), Arc::clone(&lines))));
    }
    if let Some(stderr) = child.stderr.take() {
        readers.push(tokio::spawn(forward_lines(BufReader::new(stderr), Arc::clone(&lines))));
    }
    Output { lines, readers }
}

async fn forward_lines(from: impl tokio::io::AsyncBufRead + Unpin, kept: Arc<Mutex<Vec<String>>>) {
    let mut lines = from.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(target: "tradewind_guest::zygote", "{line}");
        let mut kept = lock(&kept);
        if kept.len() == START_OUTPUT_LINES {
            kept.remove(0);
        }
        kept.push(line);
    }
}

async fn dispatch(socket: Arc<ControlSocket>, jobs: Jobs, alive: Arc<AtomicBool>, origin: Origin) {
    let reason = loop {
        match socket.receive().await {
            Ok(Some(packet)) => match serde_json::from_slice::<Event>(&packet) {
                Ok(event) => deliver(&jobs, event),
                Err(error) => break format!("it does not make sense: {error}"),
            },
            Ok(None) => break "it closed the control channel".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    alive.store(false, Ordering::Release);
    let killed = match origin {
        Origin::Started(mut child, marker) => {
            let _ = child.kill().await;
            // Its children die with it; what they started in sessions of their own has to be looked for.
            tokio::task::spawn_blocking(move || strays::kill_marked(&marker)).await.unwrap_or_default()
        }
        Origin::Forked(job) => {
            // Dropping it orders its death; the zygote that forked it looks for what is left.
            drop(job);
            0
        }
    };
    let orphaned = std::mem::take(&mut *lock(&jobs)).len();
    if orphaned > 0 {
        tracing::error!(reason, orphaned, killed, "python zygote is gone, its tasks were killed");
    } else {
        tracing::debug!(reason, killed, "python zygote has ended");
    }
}

/// Resolves when the fork of a job fails or its process ends before it said anything.
async fn fork_failure(job: &mut Job) -> GuestError {
    loop {
        match job.event().await {
            Some(JobEvent::Forked { .. }) => {}
            // Its last words may still be on their way.
            Some(JobEvent::Exited { .. }) => std::future::pending().await,
            Some(JobEvent::ForkFailed { error }) => {
                return GuestError::Os { action: "fork a zygote", source: io::Error::other(error) };
            }
            None => return GuestError::ZygoteLost("it ended before it forked".to_owned()),
        }
    }
}

fn deliver(jobs: &Jobs, event: Event) {
    let (id, event) = match event {
        Event::Ready { .. } | Event::Warm { .. } | Event::Refused { .. } => return,
        Event::Forked { id, pid } => (id, JobEvent::Forked { pid }),
        Event::ForkFailed { id, error } => (id, JobEvent::ForkFailed { error }),
        Event::Exited { id, code, signal, user, system, max_rss } => {
            let usage = ResourceUsage {
                user: Duration::try_from_secs_f64(user).unwrap_or_default(),
                system: Duration::try_from_secs_f64(system).unwrap_or_default(),
                max_rss_bytes: max_rss,
            };
            (id, JobEvent::Exited { code, signal, usage })
        }
    };
    if let Some(job) = lock(jobs).get(&id) {
        // A job that is no longer waited for has been ordered to die.
        let _ = job.send(event);
    }
}

/// The data behind these locks is valid between any two statements, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An I/O error of a job's own channels.
pub(crate) fn os_error(action: &'static str) -> impl FnOnce(io::Error) -> GuestError {
    move |source| GuestError::Os { action, source }
}
