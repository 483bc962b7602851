//! A child process with its group: streamed output, and an end that leaves nothing behind.

use std::{process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{LogLevel, OperatorIo, StopSignal, lines::LineSplitter};

/// How long output may still come from processes that were killed.
const OUTPUT_AFTER_KILL: Duration = Duration::from_secs(1);
/// How often a stopping group is looked at.
const GROUP_POLL: Duration = Duration::from_millis(20);

/// How a child process ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself. With the last line of its standard output, or that line's length when it is over the limit.
    Exit(ExitStatus, Result<String, usize>),
    /// Because it was stopped.
    Stopped,
}

/// Runs `command` in a process group of its own and streams its output to the log. `last_limit` bounds the last line.
/// When it has ended, whatever it left in its group is killed; when it is stopped, also its strays in other groups
/// (found by the marker in their environment).
///
/// # Errors
/// It could not be started.
pub(crate) async fn run(
    mut command: Command,
    marker: &(String, String),
    stop: &StopSignal,
    io: &dyn OperatorIo,
    last_limit: usize,
) -> std::io::Result<Ended> {
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = Group::of(&child, io);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut output = Box::pin(async {
        let (last, _) = tokio::join!(
            stream(stdout, LogLevel::Info, "task.stdout", io, last_limit),
            stream(stderr, LogLevel::Info, "task.stderr", io, 0),
        );
        last
    });

    let finished = async {
        // As Airflow's: the output is read to its end, even when a background process holds it open.
        let last = (&mut output).await;
        child.wait().await.map(|status| (status, last))
    };
    let stopped = tokio::select! {
        finished = finished => {
            let (status, last) = finished?;
            group.kill();
            return Ok(Ended::Exit(status, last));
        }
        grace = stop.requested() => grace,
    };

    let kill = async {
        group.end(&mut child, stopped, stop).await;
        kill_strays(marker.clone()).await;
        // Reaps it; a killed process cannot refuse.
        let _ = child.wait().await;
    };
    // The output is read on meanwhile: a full pipe would keep a handler of SIGTERM from finishing.
    let mut killed = std::pin::pin!(kill);
    tokio::select! {
        () = &mut killed => {
            let _ = tokio::time::timeout(OUTPUT_AFTER_KILL, output).await;
        }
        _ = &mut output => killed.await,
    }
    Ok(Ended::Stopped)
}

/// A process group that dies with this value.
struct Group<'a> {
    pid: Option<Pid>,
    io: &'a dyn OperatorIo,
}

impl<'a> Group<'a> {
    fn of(child: &Child, io: &'a dyn OperatorIo) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = child.id() {
            io.process_started(pid);
        }
        Self { pid, io }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It may be gone already.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn is_empty(&self) -> bool {
        self.pid.is_none_or(|pid| test_kill_process_group(pid).is_err())
    }

    /// SIGTERM, then SIGKILL when the grace is over or everything in the group has ended.
    async fn end(&self, child: &mut Child, mut grace: Duration, stop: &StopSignal) {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        let mut reaped = false;
        while asked.elapsed() < grace {
            tokio::select! {
                shorter = stop.shortened(grace) => grace = shorter,
                _ = child.wait(), if !reaped => reaped = true,
                () = sleep(GROUP_POLL.min(grace.saturating_sub(asked.elapsed()))) => {}
            }
            if reaped && self.is_empty() {
                return;
            }
        }
        self.kill();
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        self.kill();
        if let Some(pid) = self.pid {
            self.io.process_ended(pid.as_raw_nonzero().get().unsigned_abs());
        }
    }
}

async fn stream(
    from: Option<impl AsyncRead + Unpin>,
    level: LogLevel,
    logger: &'static str,
    io: &dyn OperatorIo,
    last_limit: usize,
) -> Result<String, usize> {
    let mut splitter = LineSplitter::new(last_limit);
    if let Some(mut from) = from {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match from.read(&mut buffer).await {
                Ok(read) if read > 0 => {
                    let lines = splitter.push(&buffer[..read]);
                    if !lines.is_empty() {
                        io.log(level, logger, lines).await;
                    }
                }
                // The end, or a pipe that cannot be read any more.
                _ => break,
            }
        }
    }
    let (rest, last) = splitter.finish();
    if let Some(rest) = rest {
        io.log(level, logger, vec![rest]).await;
    }
    last
}

async fn kill_strays((name, value): (String, String)) {
    let killed = tokio::task::spawn_blocking(move || kill_marked(&name, &value)).await.unwrap_or_default();
    if killed > 0 {
        tracing::info!(killed, "killed processes that a stopped task had moved to other groups");
    }
}

/// Kills every process whose environment has the variable `name` with this `value`, until none is left or the last
/// round killed none. Answers how many were killed. Blocks.
pub fn kill_marked(name: &str, value: &str) -> usize {
    let entry = format!("{name}={value}");
    let mut killed = 0;
    // A process that is being looked for can start another one meanwhile.
    for _ in 0..20 {
        let found = marked(entry.as_bytes());
        if found.is_empty() {
            break;
        }
        for pid in found {
            if kill_process(pid, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
        // The time that a killed process needs to disappear.
        std::thread::sleep(Duration::from_millis(5));
    }
    killed
}

fn marked(entry: &[u8]) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            Pid::from_raw(pid)
        })
        .filter(|pid| {
            // A dead process that waits to be reaped has an empty environment.
            std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == entry))
        })
        .collect()
}
