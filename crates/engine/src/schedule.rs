//! Runs that the schedule creates.

use std::sync::Arc;

use tradewind_types::{DagRun, RunNo, RunState, RunType, Timestamp};

use crate::{
    Engine,
    memory::{Due, LastRun},
    runs::run_id,
    timetable::DagRunInfo,
};

impl Engine {
    /// Works out the DAG's next scheduled run, anew where time has moved on.
    pub(crate) fn next_info(&mut self, dag_at: u32) -> Option<DagRunInfo> {
        let now = self.now;
        let dag = &mut self.dags[dag_at as usize];
        if let Some(known) = dag.next
            && known.is_none_or(|info| info.run_after > now)
        {
            return known;
        }
        let graph = &dag.graph;
        let last = dag.last.map(|last| (last.start, last.end));
        let next = graph.schedule.next_run(last, now, graph.version.spec.catchup, graph.earliest, graph.latest);
        dag.next = Some(next);
        next
    }

    /// Creates the DAG's next scheduled run if it is due; else sets the timer for it.
    pub(crate) fn create_due(&mut self, dag_at: u32) -> bool {
        let dag = &self.dags[dag_at as usize];
        if dag.row.is_paused || dag.row.is_stale || dag.active >= dag.max_active_runs() {
            return false;
        }
        let Some(info) = self.next_info(dag_at) else {
            return false;
        };
        if info.run_after > self.now {
            if self.dags[dag_at as usize].timer != Some(info.run_after) {
                self.dags[dag_at as usize].timer = Some(info.run_after);
                self.set_timer(info.run_after, Due::Schedule { dag: dag_at });
            }
            return false;
        }
        let dag = &mut self.dags[dag_at as usize];
        dag.next = None;
        dag.timer = None;
        dag.last = Some(LastRun { start: info.interval_start, end: info.interval_end });
        let id = run_id(RunType::Scheduled, info.run_after, None);
        let taken = dag.run_ids.contains_key(&id) || dag.dates.contains_key(&info.logical_date);
        // Dates that only the schedule could still reach need not be remembered once it passed them.
        let passed: Vec<Timestamp> =
            dag.dates.range(..info.logical_date).filter_map(|(date, run)| run.is_none().then_some(*date)).collect();
        for date in passed {
            dag.dates.remove(&date);
        }
        if taken {
            // A run for this date exists; as Airflow, go on to the next.
            return true;
        }
        let graph = Arc::clone(&dag.graph);
        let row = DagRun {
            run_no: RunNo(self.next_run_no),
            dag_id: dag.row.dag_id.clone(),
            run_id: id,
            run_type: RunType::Scheduled,
            state: RunState::Queued,
            version: graph.version.hash.clone(),
            logical_date: Some(info.logical_date),
            data_interval_start: Some(info.interval_start),
            data_interval_end: Some(info.interval_end),
            run_after: info.run_after,
            conf: serde_json::Value::Object(serde_json::Map::new()),
            queued_at: self.now,
            start_date: None,
            end_date: None,
            clear_number: 0,
            triggered_by: Some("schedule".to_owned()),
            note: None,
        };
        self.create_run(dag_at, row, graph, Vec::new(), false);
        true
    }
}
