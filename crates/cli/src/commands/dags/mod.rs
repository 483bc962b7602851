//! `tradewind dags`.

pub mod details;
mod import_errors;
mod list;
mod pause;
mod runs;
mod trigger;

use clap::Subcommand;

pub(crate) use runs::fetch as list_runs;

use crate::{context::Context, errors::Outcome, output::OutputArgs};

/// The commands of `tradewind dags`.
#[derive(Debug, Subcommand)]
pub enum DagsCommand {
    /// List the DAGs.
    #[command(after_help = "Example:\n  tradewind dags list --active -o json")]
    List(list::ListArgs),
    /// Show a DAG: schedule, limits, source, tasks.
    Details {
        /// The DAG.
        dag_id: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start a run.
    #[command(after_help = "Examples:
  tradewind dags trigger hello
  tradewind dags trigger hello --wait -c '{\"who\": \"world\"}'
  tradewind dags trigger hello -r my_run -l 2026-01-31")]
    Trigger(trigger::TriggerArgs),
    /// Pause a DAG: no new runs, and its runs start no new tasks.
    Pause(pause::PauseArgs),
    /// Unpause a DAG.
    Unpause(pause::PauseArgs),
    /// List runs, newest first.
    #[command(after_help = "Example:\n  tradewind dags list-runs hello --state failed -s 2026-01-01")]
    ListRuns(runs::ListRunsArgs),
    /// List DAG files that could not be loaded, and why.
    ListImportErrors(import_errors::ImportErrorsArgs),
    /// Print the state of a run.
    State(runs::StateArgs),
    /// Print when a DAG runs next.
    #[command(after_help = "Example:\n  tradewind dags next-execution hello -n 3")]
    NextExecution(runs::NextArgs),
    /// Mark a run as success or failed.
    MarkRun(runs::MarkRunArgs),
}

/// Runs a command of `tradewind dags`.
///
/// # Errors
/// No scheduler answers, something does not exist, a value is wrong.
pub async fn run(context: &Context, command: DagsCommand) -> Outcome {
    let client = context.client()?;
    match command {
        DagsCommand::List(args) => list::run(&client, args).await,
        DagsCommand::Details { dag_id, output } => details::run(&client, &dag_id, output).await,
        DagsCommand::Trigger(args) => trigger::run(&client, args).await,
        DagsCommand::Pause(args) => pause::run(&client, args, true).await,
        DagsCommand::Unpause(args) => pause::run(&client, args, false).await,
        DagsCommand::ListRuns(args) => runs::list(&client, args).await,
        DagsCommand::ListImportErrors(args) => import_errors::run(&client, args).await,
        DagsCommand::State(args) => runs::state(&client, args).await,
        DagsCommand::NextExecution(args) => runs::next(&client, args).await,
        DagsCommand::MarkRun(args) => runs::mark(&client, args).await,
    }
}
