//! Moving a finished run to the latest version of its DAG, so that what is cleared in it runs as the file is now (Airflow's
//! `run_on_latest_version`).

use std::sync::Arc;

use tradewind_types::{ApiError, DagSpec, Expand, TaskInstance, TaskSpec, TaskState};

use crate::{
    Effects, Engine,
    graph::{Graph, index},
    memory::At,
};

impl Engine {
    /// Moves the run and answers its new position. What the run's instances became stays; tasks that are gone are marked
    /// so, and new tasks get instances.
    ///
    /// # Errors
    /// The run is not over, or a task of it is mapped otherwise now: its instances could not be kept.
    pub(crate) fn take_latest(&mut self, position: u32, by: &str, effects: &mut Effects) -> Result<u32, ApiError> {
        let run = &self.runs[position];
        let graph = Arc::clone(&self.dags[run.dag as usize].graph);
        if graph.version.hash == run.row.version {
            return Ok(position);
        }
        let is_busy = |state: TaskState| !state.is_finished() && state != TaskState::NoStatus;
        if !run.row.state.is_finished() || run.tis.iter().any(|ti| !ti.absent && is_busy(ti.row.state)) {
            return Err(ApiError::conflict(format!(
                "the run \"{}\" is not over; only a finished run moves to the latest version of its DAG",
                run.row.run_id
            )));
        }
        if let Some(task) = mapped_otherwise(&run.graph, &graph) {
            return Err(ApiError::conflict(format!(
                "the task \"{task}\" is mapped otherwise in the latest version; start a new run"
            )));
        }
        let (dag_at, mut row) = (run.dag, (*run.row).clone());
        let rows: Vec<TaskInstance> = run.tis.iter().filter(|ti| !ti.absent).map(|ti| ti.row.clone()).collect();
        row.version = graph.version.hash.clone();
        let detail = Some(format!("version {} instead of {}", graph.version.number, run.graph.version.number));
        let (dag_id, run_id) = (row.dag_id.clone(), row.run_id.clone());
        self.audit("dag_run.latest_version", by, &dag_id, &run_id, None, detail, effects);
        self.forget_run(position);
        let (mut kept, gone): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|ti| graph.task(ti.task_id.as_str()).is_some());
        for mut ti in gone {
            ti.state = TaskState::Removed;
            effects.rows.task_instance(&ti, false);
        }
        for ti in &mut kept {
            if let Some(task) = graph.task(ti.task_id.as_str()) {
                place(ti, graph.spec(task), graph.node(task).priority);
            }
        }
        let position = self.create_run(dag_at, row, graph, kept, true);
        self.count_all(position);
        self.touch_run(position);
        for ti in 0..index(self.runs[position].tis.len()) {
            let entry = self.runs[position].ti_mut(ti);
            if !entry.absent {
                // Only an insertion writes where an instance runs.
                entry.stored = false;
                self.touch_ti(At { run: position, ti });
            }
        }
        Ok(position)
    }
}

/// What an instance runs and where follows from the version.
fn place(ti: &mut TaskInstance, spec: &TaskSpec, priority: i64) {
    spec.operator.name().clone_into(&mut ti.operator);
    ti.pool = spec.pool.clone();
    ti.pool_slots = spec.pool_slots;
    ti.queue = spec.queue.clone();
    ti.priority_weight = priority;
}

/// A task that both versions have and that is mapped over something else in the new one.
fn mapped_otherwise(old: &Graph, new: &Graph) -> Option<String> {
    let (before, after) = (&old.version.spec, &new.version.spec);
    let changed = after.tasks.iter().find(|task| {
        before.task(task.task_id.as_str()).is_some_and(|known| mapping(before, known) != mapping(after, task))
    });
    changed.map(|task| task.task_id.to_string())
}

fn mapping<'s>(dag: &'s DagSpec, task: &'s TaskSpec) -> (Option<&'s Expand>, Option<&'s String>, Option<&'s Expand>) {
    let group = task.mapped_group.as_ref();
    let around = group.and_then(|id| dag.task_groups.iter().find(|group| group.group_id == *id));
    (task.expand.as_ref(), group, around.and_then(|group| group.expand.as_ref()))
}
