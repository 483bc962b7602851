//! `tradewind tasks`.

mod clear;
mod human;
mod list;
mod log_lines;
mod logs;
mod mark;
mod render;
mod states;
mod test;
mod why;

pub use clear::{HowToClear, WhichRuns, clear_runs};
pub(crate) use human::{answer_by_option, asked};
pub(crate) use logs::print_attempt;

use clap::{Args, Subcommand};
use tradewind_proto::v1;

use crate::{
    client::Client,
    context::Context,
    entry::client_command,
    errors::{CliError, Exit, Outcome},
    output::OutputArgs,
    suggest,
};

/// The commands of `tradewind tasks`.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List the tasks of a DAG.
    List {
        /// The DAG.
        dag_id: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the state of a task instance (in Airflow's order: DAG TASK RUN).
    State(states::StateArgs),
    /// List the task instances of a run.
    #[command(after_help = "Example:\n  tradewind tasks states-for-dag-run hello latest")]
    StatesForDagRun(states::RunStatesArgs),
    /// Say why a task instance is not running, or what it does.
    #[command(after_help = "Example:\n  tradewind tasks why hello latest greet")]
    Why {
        #[command(flatten)]
        task: TaskArgs,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The same in Airflow's words and order: DAG TASK RUN.
    #[command(after_help = "Example:\n  tradewind tasks failed-deps hello greet latest")]
    FailedDeps(why::FailedDepsArgs),
    /// Print the log of a task instance.
    #[command(after_help = "Examples:
  tradewind tasks logs hello latest greet -f
  tradewind tasks logs hello latest greet --try 1 -o json")]
    Logs(logs::LogsArgs),
    /// List the tries of a task instance.
    Tries {
        #[command(flatten)]
        task: TaskArgs,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the rendered template fields of a task instance (in Airflow's order: DAG TASK RUN).
    Render(render::RenderArgs),
    /// Clear task instances, so that they run again.
    #[command(after_help = "Examples:
  tradewind tasks clear hello --run-id latest --only-failed -y
  tradewind tasks clear hello --run-id latest -t '^load' --downstream
  tradewind tasks clear hello --run-id latest -t '^load$' --map-index 3 --future --dry-run
  tradewind tasks clear hello -s 2026-01-01 -e 2026-01-31")]
    Clear(clear::ClearArgs),
    /// Mark a task instance as success, failed or skipped.
    Mark(mark::MarkArgs),
    /// List questions that tasks ask people (human in the loop).
    #[command(after_help = "Options marked * are chosen when nobody answers in time.")]
    Questions(human::QuestionsArgs),
    /// Answer a question of a task.
    #[command(after_help = "Examples:
  tradewind tasks answer deploy latest approve --choose Approve
  tradewind tasks answer survey latest ask --choose red blue --param note='both are fine'")]
    Answer(human::AnswerArgs),
    /// Run one task in this process, with its log here; nothing else is needed or touched.
    #[command(after_help = "What the task depends on is ignored: upstream tasks did not run and left no XComs.

Example:
  tradewind tasks test hello greet 2026-01-31")]
    Test(test::TestArgs),
}

/// Names a task instance.
#[derive(Clone, Debug, Args)]
pub struct TaskArgs {
    /// The DAG.
    dag_id: String,
    /// The run: its id, its logical date, or `latest`.
    run: String,
    /// The task.
    task_id: String,
    /// The map index of the task instance.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
}

impl TaskArgs {
    fn wire(&self) -> v1::TaskInstanceRef {
        v1::TaskInstanceRef {
            dag_id: self.dag_id.clone(),
            run_id: self.run.clone(),
            task_id: self.task_id.clone(),
            map_index: self.map_index,
        }
    }
}

/// Adds to a "not found" what was probably meant.
async fn explained(client: &Client, error: CliError, task: &v1::TaskInstanceRef) -> CliError {
    if error.exit == Exit::NotFound
        && let Some(indexes) = map_indexes(client, task).await
    {
        return error.with_hint(format!("{} is mapped: choose one of {indexes} with --map-index", task.task_id));
    }
    suggest::near_names(client, error, &task.dag_id, Some(&task.task_id), Some(&task.run_id)).await
}

/// The map indexes that a task has in a run where it has not the one that is named: `0 to 7`.
async fn map_indexes(client: &Client, task: &v1::TaskInstanceRef) -> Option<String> {
    let request = v1::GetRunRequest { dag_id: task.dag_id.clone(), run_id: task.run_id.clone() };
    // Without an answer the error stands as it is.
    let answer = client.read(async |mut admin| admin.get_run(request.clone()).await).await.ok()?;
    let indexes: Vec<i32> =
        answer.task_instances.iter().filter(|ti| ti.task_id == task.task_id).map(|ti| ti.map_index).collect();
    let (least, most) = (*indexes.iter().min()?, *indexes.iter().max()?);
    (least >= 0 && !indexes.contains(&task.map_index)).then(|| format!("{least} to {most}"))
}

/// The task instance that a reference names, with its run.
///
/// # Errors
/// No scheduler answers, or there is no such DAG, run or task; then with the one that was probably meant.
async fn instance(client: &Client, task: &v1::TaskInstanceRef) -> Result<(v1::DagRun, v1::TaskInstance), CliError> {
    let request = v1::GetRunRequest { dag_id: task.dag_id.clone(), run_id: task.run_id.clone() };
    let answer = match client.read(async |mut admin| admin.get_run(request.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(explained(client, error, task).await),
    };
    let run = answer.run.ok_or_else(|| CliError::new(Exit::Internal, "the scheduler answered without the run"))?;
    let found =
        answer.task_instances.into_iter().find(|ti| ti.task_id == task.task_id && ti.map_index == task.map_index);
    match found {
        Some(ti) => Ok((run, ti)),
        None => {
            let index = if task.map_index >= 0 { format!(" with map index {}", task.map_index) } else { String::new() };
            let error = CliError::new(
                Exit::NotFound,
                format!("the run {} of {} has no task \"{}\"{index}", run.run_id, run.dag_id, task.task_id),
            );
            Err(explained(client, error, task).await)
        }
    }
}

/// Runs a command of `tradewind tasks`.
///
/// # Errors
/// No scheduler answers, something does not exist, a value is wrong.
pub fn run(context: &Context, command: TasksCommand) -> Outcome {
    match command {
        // Has threads and a system of its own.
        TasksCommand::Test(args) => test::run(context, args),
        TasksCommand::List { dag_id, output } => {
            with_client(context, async |client| list::run(client, &dag_id, output).await)
        }
        TasksCommand::State(args) => with_client(context, async |client| states::state(client, args).await),
        TasksCommand::StatesForDagRun(args) => {
            with_client(context, async |client| states::run_states(client, args).await)
        }
        TasksCommand::Why { task, output } => {
            with_client(context, async |client| why::run(client, &task, output).await)
        }
        TasksCommand::FailedDeps(args) => with_client(context, async |client| why::failed_deps(client, args).await),
        TasksCommand::Logs(args) => with_client(context, async |client| logs::run(client, args).await),
        TasksCommand::Tries { task, output } => {
            with_client(context, async |client| states::tries(client, &task, output).await)
        }
        TasksCommand::Render(args) => with_client(context, async |client| render::run(client, args).await),
        TasksCommand::Clear(args) => with_client(context, async |client| clear::run(client, args).await),
        TasksCommand::Mark(args) => with_client(context, async |client| mark::run(client, args).await),
        TasksCommand::Questions(args) => with_client(context, async |client| human::questions(client, args).await),
        TasksCommand::Answer(args) => with_client(context, async |client| human::answer(client, args).await),
    }
}

fn with_client(context: &Context, command: impl AsyncFnOnce(&Client) -> Outcome) -> Outcome {
    client_command(async {
        let client = context.client()?;
        command(&client).await
    })
}
