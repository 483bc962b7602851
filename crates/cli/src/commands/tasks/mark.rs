//! `tradewind tasks mark`.

use clap::{Args, ValueEnum};
use tradewind_proto::v1;
use tradewind_types::Timestamp;

use super::{TaskArgs, explained, states::TaskInstanceRecord};
use crate::{
    client::Client,
    errors::{Exit, Outcome},
    output::{self, OutputArgs},
};

/// A state that a task instance can be given.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FinalTaskState {
    /// As if it had succeeded.
    Success,
    /// As if it had failed; a running one is stopped.
    Failed,
    /// As if it had been skipped.
    Skipped,
}

/// The arguments of `tradewind tasks mark`.
#[derive(Debug, Args)]
pub struct MarkArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// The new state.
    state: FinalTaskState,
    #[command(flatten)]
    output: OutputArgs,
}

/// Marks a task instance.
///
/// # Errors
/// No leader answers, or there is no such task instance.
pub async fn run(client: &Client, args: MarkArgs) -> Outcome {
    let state = match args.state {
        FinalTaskState::Success => "success",
        FinalTaskState::Failed => "failed",
        FinalTaskState::Skipped => "skipped",
    };
    let task = args.task.wire();
    let request = v1::MarkTaskRequest { task: Some(task.clone()), state: state.to_owned() };
    let answer = match client.write(async |mut admin| admin.mark_task(request.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(explained(client, error, &task).await),
    };
    let now = Timestamp::now();
    let rows: Vec<TaskInstanceRecord> =
        answer.task_instances.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)).collect();
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}
