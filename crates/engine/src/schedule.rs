//! Runs that the schedule creates.

use std::sync::Arc;

use tradewind_types::{ApiError, AuditEvent, DagId, DagRun, RunNo, RunState, RunType, Timestamp, Timetable};

use crate::{
    Dispatch, Effects, Engine, Reply, TimetableQuestion,
    memory::{Dag, Due, LastRun},
    runs::run_id,
    timetable::DagRunInfo,
};

impl Engine {
    /// Works out the DAG's next scheduled run, anew where time has moved on.
    pub(crate) fn next_info(&mut self, dag_at: u32, effects: &mut Effects) -> Option<DagRunInfo> {
        let now = self.now;
        let dag = &mut self.dags[dag_at as usize];
        if let Some(known) = dag.next
            && known.is_none_or(|info| info.run_after > now)
        {
            return known;
        }
        if matches!(dag.graph.version.spec.timetable, Timetable::Custom { .. }) {
            if let Some(answered) = dag.next {
                return answered;
            }
            self.ask_timetable(dag_at, effects);
            return None;
        }
        let graph = &dag.graph;
        let last = dag.last.map(|last| (last.start, last.end));
        let next = graph.schedule.next_run(last, now, graph.version.spec.catchup, graph.earliest, graph.latest);
        dag.next = Some(next);
        next
    }

    /// Creates the DAG's next scheduled run if it is due; else sets the timer for it.
    pub(crate) fn create_due(&mut self, dag_at: u32, effects: &mut Effects) -> bool {
        let dag = &self.dags[dag_at as usize];
        if dag.row.is_paused || dag.row.is_stale || dag.active >= dag.max_active_runs() {
            return false;
        }
        let Some(info) = self.next_info(dag_at, effects) else {
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
        dag.asked = false;
        dag.last = Some(LastRun { start: info.interval_start, end: info.interval_end });
        dag.row.last_scheduled = Some((info.interval_start, info.interval_end));
        let id = run_id(RunType::Scheduled, info.run_after, None);
        let taken = dag.run_ids.contains_key(&id) || dag.dates.contains_key(&info.logical_date);
        // Dates that only the schedule could still reach need not be remembered once it passed them.
        let passed: Vec<Timestamp> =
            dag.dates.range(..info.logical_date).filter_map(|(date, run)| run.is_none().then_some(*date)).collect();
        for date in passed {
            dag.dates.remove(&date);
        }
        self.touch_dag(dag_at);
        let dag = &self.dags[dag_at as usize];
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
            backfill: None,
            missed_deadlines: 0,
        };
        self.create_run(dag_at, row, graph, Vec::new(), false);
        true
    }

    /// Asks a guest for the next run of a custom timetable, once.
    fn ask_timetable(&mut self, dag_at: u32, effects: &mut Effects) {
        let now = self.now;
        let dag = &mut self.dags[dag_at as usize];
        if dag.asked {
            return;
        }
        dag.asked = true;
        // Numbers of a former leader's questions are all below: they were asked before.
        dag.question = u64::try_from(now.as_microsecond()).unwrap_or_default().max(dag.question + 1);
        let question = TimetableQuestion { question: dag.question, ..dag.next_question(now) };
        effects.dispatch.push(Dispatch::AskTimetable(Box::new(question)));
    }

    /// A guest answered. What raised is kept with the DAG, which has no next run until its file changes.
    pub(crate) fn timetable_answer(
        &mut self,
        dag_id: &DagId,
        question: u64,
        answer: Result<Option<DagRunInfo>, String>,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let dag_at = self.dag_position(dag_id)?;
        let now = self.now;
        let dag = &mut self.dags[dag_at as usize];
        if dag.question != question || !dag.asked {
            return Ok(Reply::Done);
        }
        let error = match answer {
            Ok(Some(next)) if dag.last.is_some_and(|last| next.interval_start <= last.start) => {
                dag.next = Some(None);
                Some(format!("the timetable does not move on: its next run would be for {} again", next.interval_start))
            }
            Ok(next) => {
                dag.next = Some(next);
                None
            }
            Err(error) => {
                dag.next = Some(None);
                Some(error)
            }
        };
        if dag.row.schedule_error != error {
            if let Some(error) = &error {
                effects.rows.audit.push(AuditEvent {
                    at: now,
                    event: "dag.timetable_failed".to_owned(),
                    by: "scheduler".to_owned(),
                    dag_id: Some(dag_id.clone()),
                    run_id: None,
                    task_id: None,
                    detail: Some(error.clone()),
                });
            }
            dag.row.schedule_error = error;
            self.touch_dag(dag_at);
        }
        self.look_at_dag(dag_at);
        Ok(Reply::Done)
    }
}

impl Dag {
    /// The question for the run after the last one, without a number.
    pub(crate) fn next_question(&self, now: Timestamp) -> TimetableQuestion {
        TimetableQuestion {
            dag_id: self.row.dag_id.clone(),
            version: self.row.version.clone(),
            question: 0,
            last: self.last.map(|last| (last.start, last.end)),
            now,
            catchup: self.graph.version.spec.catchup,
            earliest: self.graph.earliest,
            latest: self.graph.latest,
        }
    }
}
