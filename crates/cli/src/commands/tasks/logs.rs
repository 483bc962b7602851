//! `tradewind tasks logs`.

use clap::Args;
use tradewind_proto::v1;

use super::{
    TaskArgs, explained, instance,
    log_lines::{RecordSplitter, render},
    states,
};
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    follow,
    output::{self, OutputArgs, Tone, paint},
};

/// The arguments of `tradewind tasks logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// The try, from 1 [default: the last].
    #[arg(long = "try", alias = "try-number", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    try_number: Option<u32>,
    /// Wait for more until the task instance is over, over all its tries.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the log of a task instance.
///
/// # Errors
/// No scheduler answers, or there is no such task instance or try.
pub async fn run(client: &Client, args: LogsArgs) -> Outcome {
    let mut task = args.task.wire();
    let (run, ti) = instance(client, &task).await?;
    // From here on the same run, whatever `latest` names meanwhile.
    task.run_id = run.run_id;
    let raw = args.output.output.is_data();
    if !args.follow || args.try_number.is_some() {
        if ti.attempt == 0 && args.try_number.is_none() {
            output::note(&format!(
                "{} has not started yet ({}); see `tradewind tasks why`, or follow with -f",
                task.task_id, ti.state
            ));
            return Ok(Exit::Success);
        }
        let which = v1::ReadLogRequest { try_number: args.try_number.unwrap_or(0), ..request(&task, args.follow) };
        let printed = print(client, which, raw).await?;
        if printed == 0 {
            output::note("The log is empty.");
        }
        return Ok(Exit::Success);
    }
    follow_tries(client, &task, ti, raw).await
}

fn request(task: &v1::TaskInstanceRef, follow: bool) -> v1::ReadLogRequest {
    v1::ReadLogRequest { task: Some(task.clone()), attempt: 0, try_number: 0, follow, offset: 0 }
}

/// Prints attempt after attempt until the task instance is over.
async fn follow_tries(client: &Client, task: &v1::TaskInstanceRef, first: v1::TaskInstance, raw: bool) -> Outcome {
    let mut shown = 0;
    let mut ti = first;
    loop {
        let started = ti.attempt > shown && ti.start_date.is_some() && ti.state != "queued";
        if started {
            if shown > 0 {
                output::note(&paint(Tone::Dim, format!("— attempt {} (try {}) —", ti.attempt, ti.try_number)));
            }
            shown = ti.attempt;
            print(client, v1::ReadLogRequest { attempt: ti.attempt, ..request(task, true) }, raw).await?;
            ti = instance(client, task).await?.1;
            continue;
        }
        if is_over(&ti) {
            if shown == 0 {
                output::note(&format!("{} is over without a log: {}", task.task_id, ti.state));
            }
            return Ok(Exit::Success);
        }
        output::note(&paint(Tone::Dim, format!("{} is {}; waiting for it to start", task.task_id, ti.state)));
        let seen = shown;
        let changed = follow::until(client, &task.dag_id, &task.run_id, |now| {
            let found =
                now.task_instances.iter().find(|row| row.task_id == task.task_id && row.map_index == task.map_index);
            found.is_none_or(|row| is_over(row) || (row.attempt > seen && row.state == "running"))
        })
        .await?;
        match changed
            .task_instances
            .into_iter()
            .find(|row| row.task_id == task.task_id && row.map_index == task.map_index)
        {
            Some(row) => ti = row,
            None => return Err(CliError::new(Exit::NotFound, format!("{} left the run", task.task_id))),
        }
    }
}

fn is_over(ti: &v1::TaskInstance) -> bool {
    matches!(ti.state.as_str(), "success" | "failed" | "skipped" | "upstream_failed" | "removed")
}

/// Prints the log of one attempt while it runs, each line with its task before it.
///
/// # Errors
/// No scheduler answers.
pub(crate) async fn print_attempt(client: &Client, ti: v1::TaskInstance) -> Result<(), CliError> {
    let name = states::name(&ti.task_id, ti.map_index);
    let task =
        v1::TaskInstanceRef { dag_id: ti.dag_id, run_id: ti.run_id, task_id: ti.task_id, map_index: ti.map_index };
    let which = v1::ReadLogRequest { attempt: ti.attempt, ..request(&task, true) };
    read(client, which, |record| {
        for line in render(record).lines() {
            output::line(format!("{} {line}", paint(Tone::Info, format!("{name} |"))))?;
        }
        Ok(())
    })
    .await
}

/// Prints one log and answers how many records it had.
async fn print(client: &Client, request: v1::ReadLogRequest, raw: bool) -> Result<u64, CliError> {
    let mut count = 0;
    read(client, request, |record| {
        count += 1;
        if raw {
            output::line(record)?
        } else {
            output::line(render(record))?
        }
        Ok(())
    })
    .await?;
    Ok(count)
}

/// Reads one log, record by record. A broken stream is taken up where it broke.
async fn read(
    client: &Client,
    mut request: v1::ReadLogRequest,
    mut show: impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut splitter = RecordSplitter::default();
    loop {
        let opened = client.read(async |mut admin| admin.read_log(request.clone()).await).await;
        let mut stream = match (opened, &request.task) {
            (Ok(stream), _) => stream,
            (Err(error), Some(task)) => return Err(explained(client, error, task).await),
            (Err(error), None) => return Err(error),
        };
        let broken = loop {
            match stream.message().await {
                Ok(Some(part)) => {
                    request.attempt = part.attempt;
                    request.offset += part.data.len() as u64;
                    for record in splitter.push(&part.data) {
                        show(&record)?;
                    }
                }
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        match broken {
            None => break,
            // Opening it again waits for a leader, and gives up when none comes.
            Some(status) if follow::is_passing(&status) => tokio::time::sleep(follow::REOPEN_PAUSE).await,
            Some(status) => return Err(tradewind_proto::api_error(&status).into()),
        }
    }
    if let Some(rest) = splitter.finish() {
        show(&rest)?;
    }
    Ok(())
}
