//! `tradewind tasks test`: one task in this process.

use clap::Args;

use crate::{
    commands::dags::test::{TestedSystem, request, run_tested, tested_task},
    context::Context,
    errors::Outcome,
};

/// The arguments of `tradewind tasks test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The DAG.
    dag_id: String,
    /// The task.
    task_id: String,
    /// The logical date [default: now].
    #[arg(value_name = "LOGICAL_DATE")]
    logical_date: Option<String>,
    /// The run's conf, a JSON object: params of the task.
    #[arg(short = 't', long = "task-params", visible_alias = "conf", value_name = "JSON")]
    conf: Option<String>,
    #[command(flatten)]
    system: TestedSystem,
}

/// Tests a task: the exit code is 0 when it succeeded, 1 when it failed.
///
/// # Errors
/// There is no such DAG or task in the folder, a value is wrong, or a part of the system cannot start.
pub fn run(context: &Context, args: TestArgs) -> Outcome {
    let TestArgs { dag_id, task_id, logical_date, conf, system } = args;
    let request = request(dag_id, logical_date.as_deref(), conf.as_deref())?;
    run_tested(context, request, system, |spec, date| tested_task(spec, date, &task_id))
}
