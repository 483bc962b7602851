//! `tradewind tasks mark`.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use tradewind_proto::v1;
use tradewind_types::{DagSpec, Timestamp};

use super::{TaskArgs, explained, instance, states, states::TaskInstanceRecord};
use crate::{
    client::Client,
    commands::dags::{details, list_runs},
    errors::{CliError, Exit, Outcome},
    output::OutputArgs,
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

impl FinalTaskState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The arguments of `tradewind tasks mark`.
#[derive(Debug, Args)]
pub struct MarkArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// The new state.
    state: FinalTaskState,
    /// Also what lies upstream of it.
    #[arg(short, long)]
    upstream: bool,
    /// Also what lies downstream of it.
    #[arg(short, long)]
    downstream: bool,
    /// Also in the runs before this one.
    #[arg(long)]
    past: bool,
    /// Also in the runs after this one.
    #[arg(long)]
    future: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Marks a task instance, and others that it is asked for, one after the other.
///
/// # Errors
/// No leader answers, or there is no such task instance.
pub async fn run(client: &Client, args: MarkArgs) -> Outcome {
    let state = args.state.as_str();
    let task = args.task.wire();
    let now = Timestamp::now();
    let several = args.upstream || args.downstream || args.past || args.future;
    let marked = if several { relatives_of(client, &task, &args).await? } else { vec![task] };
    let mut changed = Vec::new();
    for task in marked {
        changed.extend(mark(client, &task, state).await?);
    }
    let mut seen = BTreeSet::new();
    changed.retain(|ti| seen.insert(ti.id.clone()));
    let rows = changed.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)).collect();
    states::print_of_runs(args.output.output, rows)?;
    Ok(Exit::Success)
}

async fn mark(client: &Client, task: &v1::TaskInstanceRef, state: &str) -> Result<Vec<v1::TaskInstance>, CliError> {
    let request = v1::MarkTaskRequest { task: Some(task.clone()), state: state.to_owned() };
    match client.write(async |mut admin| admin.mark_task(request.clone()).await).await {
        Ok(answer) => Ok(answer.task_instances),
        Err(error) => Err(explained(client, error, task).await),
    }
}

/// The task instances that are marked: the task with its relatives, and all of them in other runs.
async fn relatives_of(
    client: &Client,
    task: &v1::TaskInstanceRef,
    args: &MarkArgs,
) -> Result<Vec<v1::TaskInstanceRef>, CliError> {
    let (run, _) = instance(client, task).await?;
    let spec = details::spec(client, &task.dag_id).await?;
    let tasks = relatives(&spec, &task.task_id, args.upstream, args.downstream);
    let mut runs = vec![run.run_id.clone()];
    if args.past || args.future {
        let date = run.logical_date.ok_or_else(|| {
            CliError::usage(format!("{} has no logical date, so that no run is before or after it", run.run_id))
        })?;
        let request = v1::ListRunsRequest {
            dag_id: Some(task.dag_id.clone()),
            from: (!args.past).then_some(date),
            to: (!args.future).then_some(date),
            ..Default::default()
        };
        let (found, _) = list_runs(client, &request, 0).await?;
        runs.extend(found.into_iter().filter(|row| row.logical_date.is_some()).map(|row| row.run_id));
    }
    let mut refs = BTreeSet::new();
    for run_id in runs {
        let request = v1::GetRunRequest { dag_id: task.dag_id.clone(), run_id };
        let answer = client.read(async |mut admin| admin.get_run(request.clone()).await).await?;
        for ti in answer.task_instances {
            // Of the task itself only the instance that is named; of the others all.
            let is_own = ti.task_id == task.task_id && ti.map_index == task.map_index;
            if is_own || (ti.task_id != task.task_id && tasks.contains(&ti.task_id)) {
                let place = spec.task_index(&ti.task_id).unwrap_or(usize::MAX);
                refs.insert((ti.run_id, place, ti.task_id, ti.map_index));
            }
        }
    }
    let wire = |(run_id, _, task_id, map_index)| v1::TaskInstanceRef {
        dag_id: task.dag_id.clone(),
        run_id,
        task_id,
        map_index,
    };
    // Downstream first: marking a task decides anew about what failed below it.
    Ok(refs.into_iter().rev().map(wire).collect())
}

/// The task with all that lies upstream or downstream of it.
fn relatives(spec: &DagSpec, task_id: &str, upstream: bool, downstream: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::from([task_id.to_owned()]);
    let mut grow = |is_next: &dyn Fn(&tradewind_types::TaskSpec, &str) -> Vec<String>| {
        let mut open = vec![task_id.to_owned()];
        while let Some(current) = open.pop() {
            for task in &spec.tasks {
                for next in is_next(task, &current) {
                    if found.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
        }
    };
    if upstream {
        grow(&|task, current| {
            let is_it = task.task_id.as_str() == current;
            if is_it { task.upstream.iter().map(ToString::to_string).collect() } else { Vec::new() }
        });
    }
    if downstream {
        grow(&|task, current| {
            let follows = task.upstream.iter().any(|id| id.as_str() == current);
            if follows { vec![task.task_id.to_string()] } else { Vec::new() }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn relatives_are_everything_above_and_below() {
        let task =
            |id: &str, upstream: &[&str]| json!({"task_id": id, "upstream": upstream, "operator": {"type": "empty"}});
        let spec: DagSpec = serde_json::from_value(json!({
            "dag_id": "d", "source": {"kind": "yaml", "rel_path": "d.yaml"},
            "tasks": [task("a", &[]), task("b", &["a"]), task("c", &["b"]), task("d", &["b"]), task("x", &[])],
        }))
        .unwrap();
        let of = |task_id, up, down| relatives(&spec, task_id, up, down).into_iter().collect::<Vec<_>>().join("");
        assert_eq!(of("b", false, false), "b");
        assert_eq!(of("c", true, false), "abc");
        assert_eq!(of("b", false, true), "bcd");
        assert_eq!(of("b", true, true), "abcd", "not what is downstream of what is upstream");
        assert_eq!(of("x", true, true), "x");
    }
}
