//! Watching a run: its progress live in the terminal, or as plain lines.

mod live;
mod plain;
mod view;

use std::time::Duration;

use tonic::{Status, Streaming};
use tradewind_proto::{api_error, v1};
use tradewind_types::Timestamp;

use crate::{
    client::Client,
    errors::{CliError, Exit},
    output::{self, Tone, paint},
};

/// Between a stream that broke and its re-opening.
pub const REOPEN_PAUSE: Duration = Duration::from_millis(200);
/// How often the live view is drawn while nothing changes: elapsed times go on.
const FRAME: Duration = Duration::from_millis(100);

/// Something that shows snapshots of a run.
trait Display {
    /// Shows the run as it is at `now`.
    fn show(&mut self, snapshot: &v1::GetRunResponse, now: Timestamp);
    /// Whether it wants to be shown again while nothing changes.
    fn is_animated(&self) -> bool;
    /// Ends the display; what it shows stays.
    fn finish(&mut self) {}
}

/// Watches a run until it is over, showing its tasks on standard error, and answers how it ended. Ctrl-C stops the
/// watching, not the run.
///
/// # Errors
/// No scheduler answers for longer than a failover takes, or the person stopped watching.
pub async fn run(client: &Client, dag_id: &str, run_id: &str) -> Result<v1::DagRun, CliError> {
    let mut display: Box<dyn Display> = match output::terminal_size() {
        Some(_) if output::stderr_is_terminal() => Box::new(live::Live::default()),
        _ => Box::new(plain::Plain::default()),
    };
    let mut last: Option<v1::GetRunResponse> = None;
    let watched = watch(client, dag_id, run_id, |event| {
        let now = Timestamp::now();
        match event {
            Event::Snapshot(snapshot) => {
                display.show(&snapshot, now);
                last = Some(*snapshot);
            }
            Event::Frame => {
                if let Some(snapshot) = last.as_ref().filter(|_| display.is_animated()) {
                    display.show(snapshot, now);
                }
            }
        }
        false
    });
    let result = tokio::select! {
        result = watched => result,
        interrupted = tokio::signal::ctrl_c() => Err(match interrupted {
            Ok(()) => CliError::new(Exit::Interrupted, format!("stopped watching; {run_id} goes on"))
                .with_hint(format!("see `tradewind tasks states-for-dag-run {dag_id} {run_id}`")),
            Err(error) => error.into(),
        }),
    };
    display.finish();
    result?;
    last.and_then(|last| last.run)
        .ok_or_else(|| CliError::new(Exit::Internal, "the scheduler ended the watching without the run"))
}

/// Watches a run until it is over, telling changes since `before` in plain lines and each snapshot to `on_snapshot`; answers
/// how it ended.
///
/// # Errors
/// No scheduler answers for longer than a failover takes.
pub async fn plainly(
    client: &Client,
    dag_id: &str,
    run_id: &str,
    before: &[v1::TaskInstance],
    mut on_snapshot: impl FnMut(&v1::GetRunResponse),
) -> Result<v1::DagRun, CliError> {
    let mut display = plain::Plain::after(before);
    let mut last = None;
    watch(client, dag_id, run_id, |event| {
        if let Event::Snapshot(snapshot) = event {
            display.show(&snapshot, Timestamp::now());
            on_snapshot(&snapshot);
            last = snapshot.run;
        }
        false
    })
    .await?;
    last.ok_or_else(|| CliError::new(Exit::Internal, "the scheduler ended the watching without the run"))
}

/// Watches a run until `enough` says so of a snapshot, or the run is over; answers the last snapshot.
///
/// # Errors
/// No scheduler answers for longer than a failover takes.
pub async fn until(
    client: &Client,
    dag_id: &str,
    run_id: &str,
    enough: impl Fn(&v1::GetRunResponse) -> bool,
) -> Result<v1::GetRunResponse, CliError> {
    let mut last = None;
    watch(client, dag_id, run_id, |event| match event {
        Event::Snapshot(snapshot) => {
            let done = enough(&snapshot);
            last = Some(*snapshot);
            done
        }
        Event::Frame => false,
    })
    .await?;
    last.ok_or_else(|| CliError::new(Exit::Internal, "the scheduler ended the watching without the run"))
}

enum Event {
    Snapshot(Box<v1::GetRunResponse>),
    Frame,
}

/// Calls `on_event` with each snapshot and each frame until it answers true or the run is over.
async fn watch(
    client: &Client,
    dag_id: &str,
    run_id: &str,
    mut on_event: impl FnMut(Event) -> bool,
) -> Result<(), CliError> {
    let request = v1::GetRunRequest { dag_id: dag_id.to_owned(), run_id: run_id.to_owned() };
    loop {
        let stream = client.read(async |mut admin| admin.watch_run(request.clone()).await).await?;
        match drain(stream, &mut on_event).await {
            Ok(()) => return Ok(()),
            Err(status) if is_passing(&status) => tokio::time::sleep(REOPEN_PAUSE).await,
            Err(status) => return Err(api_error(&status).into()),
        }
    }
}

/// Reads a stream to its end, or until `on_event` answers true.
async fn drain(
    mut stream: Streaming<v1::GetRunResponse>,
    on_event: &mut impl FnMut(Event) -> bool,
) -> Result<(), Status> {
    let mut over = false;
    loop {
        // `message` keeps what it has read when a frame comes first.
        match tokio::time::timeout(FRAME, stream.message()).await {
            Ok(Ok(Some(snapshot))) => {
                over = snapshot.run.as_ref().is_some_and(|run| is_over(&run.state));
                if on_event(Event::Snapshot(Box::new(snapshot))) {
                    return Ok(());
                }
            }
            Ok(Ok(None)) if over => return Ok(()),
            // A scheduler that shuts down ends its streams.
            Ok(Ok(None)) => return Err(Status::unavailable("the scheduler ended the stream")),
            Ok(Err(status)) => return Err(status),
            Err(_) => {
                on_event(Event::Frame);
            }
        }
    }
}

/// Whether a broken stream may be opened again.
pub fn is_passing(status: &Status) -> bool {
    api_error(status).code.is_retryable()
}

fn is_over(state: &str) -> bool {
    matches!(state, "success" | "failed")
}

/// One line about how a run ended.
pub fn verdict(run: &v1::DagRun) -> String {
    let took = run
        .start_date
        .zip(run.end_date)
        .map_or_else(String::new, |(start, end)| format!(" in {}", output::duration(output::since(start, end))));
    let note = run.note.as_deref().map_or_else(String::new, |note| format!(": {note}"));
    format!(
        "{} {} {}: {}{took}{note}",
        paint(output::state_tone(&run.state), output::state_symbol(&run.state)),
        run.dag_id,
        paint(Tone::Dim, &run.run_id),
        paint(output::state_tone(&run.state), &run.state),
    )
}
