//! `tradewind dags`.

mod check;
mod clear;
pub mod details;
mod diff;
mod import_errors;
mod list;
mod pause;
mod report;
mod runs;
mod show;
pub mod test;
mod trigger;

use clap::Subcommand;

pub(crate) use list::fetch as list_dags;
pub(crate) use runs::{fetch as list_runs, get as get_run};
pub use trigger::{TriggeredArgs, json_object, triggered};

use crate::{client::Client, context::Context, entry::client_command, errors::Outcome, output::OutputArgs};

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
    /// Show a DAG's tasks and how they depend on each other.
    #[command(after_help = "Examples:
  tradewind dags show hello
  tradewind dags show hello -o mermaid
  tradewind dags show hello -o dot | dot -Tsvg > hello.svg")]
    Show(show::ShowArgs),
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
    #[command(after_help = "Examples:
  tradewind dags list-import-errors --traceback
  tradewind dags list-import-errors --local dags      without a scheduler; the exit code is 1 when there are errors")]
    ListImportErrors(import_errors::ImportErrorsArgs),
    /// Load DAG files in this process and report every problem at once, with its place and how to mend it.
    #[command(
        after_help = "The exit code is 0 without errors, 1 with errors (--strict: or warnings), 2 for a wrong command line.

Examples:
  tradewind dags check
  tradewind dags check dags/etl.py dags/reports --strict
  tradewind dags check dags --offline -o sarif > dags.sarif"
    )]
    Check(check::CheckArgs),
    /// Compare two DAG folders, or git revisions of one, by meaning: DAGs, tasks, edges, arguments, schedules, next runs.
    #[command(after_help = "Examples:
  tradewind dags diff HEAD
  tradewind dags diff main..feature --folder dags -o json
  tradewind dags diff old/dags new/dags --exit-code")]
    Diff(diff::DiffArgs),
    /// Load the DAG folder in this process and say what each file gave and how long it took.
    Report(report::ReportArgs),
    /// Clear runs, so that they run again.
    #[command(after_help = "Examples:
  tradewind dags clear hello --run-id latest --only-failed -y
  tradewind dags clear hello -s 2026-01-01 -e 2026-01-31 --dry-run")]
    Clear(clear::ClearArgs),
    /// Print the state of a run.
    State(runs::StateArgs),
    /// Print when a DAG runs next.
    #[command(after_help = "Example:\n  tradewind dags next-execution hello -n 3")]
    NextExecution(runs::NextArgs),
    /// Run a DAG once in this process, with its logs here; nothing else is needed or touched.
    #[command(
        after_help = "Variables and connections come from AIRFLOW_VAR_* and AIRFLOW_CONN_*; pools have no limit, retries no delay.

Example:
  tradewind dags test hello 2026-01-31 -c '{\"who\": \"world\"}'"
    )]
    Test(test::TestArgs),
    /// Mark a run as success or failed.
    MarkRun(runs::MarkRunArgs),
}

/// Runs a command of `tradewind dags`.
///
/// # Errors
/// No scheduler answers, something does not exist, a value is wrong.
pub fn run(context: &Context, command: DagsCommand) -> Outcome {
    match command {
        DagsCommand::List(args) => with_client(context, async |client| list::run(client, args).await),
        DagsCommand::Details { dag_id, output } => {
            with_client(context, async |client| details::run(client, &dag_id, output).await)
        }
        DagsCommand::Show(args) => with_client(context, async |client| show::run(client, args).await),
        DagsCommand::Check(args) => client_command(check::run(context, args)),
        DagsCommand::Diff(args) => client_command(diff::run(context, args)),
        DagsCommand::Report(args) => client_command(report::run(context, args)),
        DagsCommand::Clear(args) => with_client(context, async |client| clear::run(client, args).await),
        DagsCommand::Trigger(args) => with_client(context, async |client| trigger::run(client, args).await),
        DagsCommand::Pause(args) => with_client(context, async |client| pause::run(client, args, true).await),
        DagsCommand::Unpause(args) => with_client(context, async |client| pause::run(client, args, false).await),
        DagsCommand::ListRuns(args) => with_client(context, async |client| runs::list(client, args).await),
        DagsCommand::ListImportErrors(args) => {
            if let Some(place) = &args.local {
                return client_command(import_errors::local(context, place, &args));
            }
            with_client(context, async |client| import_errors::run(client, &args).await)
        }
        DagsCommand::State(args) => with_client(context, async |client| runs::state(client, args).await),
        DagsCommand::NextExecution(args) => with_client(context, async |client| runs::next(client, args).await),
        DagsCommand::MarkRun(args) => with_client(context, async |client| runs::mark(client, args).await),
        // Has threads and a system of its own.
        DagsCommand::Test(args) => test::run(context, args),
    }
}

fn with_client(context: &Context, command: impl AsyncFnOnce(&Client) -> Outcome) -> Outcome {
    client_command(async {
        let client = context.client()?;
        command(&client).await
    })
}
