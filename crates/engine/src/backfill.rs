//! Backfills: runs for a range of past dates, started under a limit of their own (Airflow `models/backfill.py`, semantics
//! E8).

use std::{collections::BTreeSet, sync::Arc};

use tradewind_types::{
    ApiError, AuditEvent, Backfill, BackfillItem, BackfillRef, DagId, DagRun, Reprocess, RunNo, RunState, RunType,
    Timestamp,
};

use crate::{
    BackfillAction, BackfillRequest, Effects, Engine, Reply,
    graph::{Graph, index},
    memory::At,
    runs::run_id,
    timetable::DagRunInfo,
};

/// A backfill that is not completed.
#[derive(Debug)]
pub(crate) struct BackfillState {
    pub(crate) row: Backfill,
    /// Its queued runs: place, number, position.
    pub(crate) queued: BTreeSet<(u32, u64, u32)>,
    /// How many of its runs run.
    pub(crate) running: u32,
}

/// More dates than this in one backfill are a mistake.
const MAX_DATES: usize = 10_000;

impl Engine {
    pub(crate) fn create_backfill(
        &mut self,
        request: BackfillRequest,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let dag_at = self.dag_position(&request.dag_id)?;
        let graph = Arc::clone(&self.dags[dag_at as usize].graph);
        self.check_backfill(&request, dag_at, &graph)?;
        let mut dates = match request.dates {
            Some(ref dates) => dates.clone(),
            None => self.backfill_dates(&graph, request.from, request.to),
        };
        if dates.len() > MAX_DATES {
            return Err(ApiError::invalid(format!(
                "the range has {} runs; a backfill has at most {MAX_DATES}, split it",
                dates.len()
            )));
        }
        if dates.is_empty() {
            return Err(ApiError::invalid(format!(
                "the schedule of \"{}\" has no completed run between {} and {}",
                request.dag_id, request.from, request.to
            )));
        }
        if request.backwards {
            dates.reverse();
        }
        let no = if request.dry_run { 0 } else { self.next_backfill_no };
        let row = Backfill {
            no,
            dag_id: request.dag_id.clone(),
            from: request.from,
            to: request.to,
            max_active_runs: request.max_active_runs.max(1),
            reprocess: request.reprocess,
            backwards: request.backwards,
            conf: if request.conf.is_null() { serde_json::json!({}) } else { request.conf },
            is_paused: false,
            created_at: self.now,
            completed_at: None,
            by: request.by.clone(),
        };
        if request.dry_run {
            let items = dates.iter().enumerate().map(|(place, info)| self.plan(dag_at, &row, place, info)).collect();
            return Ok(Reply::Backfill(Box::new(row), items));
        }
        self.next_backfill_no += 1;
        effects.rows.audit.push(AuditEvent {
            at: self.now,
            event: "backfill.create".to_owned(),
            by: request.by,
            dag_id: Some(request.dag_id),
            run_id: None,
            task_id: None,
            detail: Some(format!("backfill {no}: {} to {}", row.from, row.to)),
        });
        effects.rows.backfills.insert(no, row.clone());
        self.backfills.insert(no, BackfillState { row: row.clone(), queued: BTreeSet::new(), running: 0 });
        let mut items = Vec::new();
        for (place, info) in dates.iter().enumerate() {
            let mut item = self.plan(dag_at, &row, place, info);
            if item.skipped.is_none() {
                let run_no = self.backfill_run(dag_at, &row, item.ordinal, info, &graph, effects);
                item.run_no = Some(run_no);
            }
            effects.rows.backfill_items.push(item.clone());
            items.push(item);
        }
        self.look_at_dag(dag_at);
        self.check_backfill_done(no, effects);
        self.settle(effects);
        Ok(Reply::Backfill(Box::new(row), items))
    }

    fn check_backfill(&self, request: &BackfillRequest, dag_at: u32, graph: &Graph) -> Result<(), ApiError> {
        let dag_id = &request.dag_id;
        let spec = &graph.version.spec;
        if self.dags[dag_at as usize].row.is_stale {
            return Err(ApiError::conflict(format!("the DAG \"{dag_id}\" is gone; put its file back to backfill it")));
        }
        if request.from > request.to {
            return Err(ApiError::invalid(format!(
                "the range ends ({}) before it starts ({})",
                request.to, request.from
            )));
        }
        if request.from >= self.now {
            return Err(ApiError::invalid("a backfill is for past dates; the range starts in the future".to_owned()));
        }
        if !spec.timetable.is_periodic() {
            return Err(ApiError::invalid(format!(
                "the DAG \"{dag_id}\" has no periodic schedule, so there are no dates to backfill; trigger runs instead"
            )));
        }
        if graph.past && request.backwards {
            return Err(ApiError::invalid(format!(
                "\"{dag_id}\" has tasks that depend on the past; it cannot be run backwards"
            )));
        }
        if graph.past && request.reprocess == Reprocess::None {
            return Err(ApiError::invalid(format!(
                "\"{dag_id}\" has tasks that depend on the past; choose the reprocess behavior failed or completed"
            )));
        }
        let open = |other: &&BackfillState| other.row.dag_id == *dag_id && other.row.completed_at.is_none();
        let other = self.backfills.values().find(open);
        if let (Some(other), false) = (other, request.dry_run) {
            return Err(ApiError::conflict(format!(
                "backfill {} of \"{dag_id}\" ({} to {}) is not over; wait for it or cancel it",
                other.row.no, other.row.from, other.row.to
            )));
        }
        Ok(())
    }

    /// The dates of a range, as the schedule with catchup gives them; only intervals that are over.
    fn backfill_dates(&self, graph: &Graph, from: Timestamp, to: Timestamp) -> Vec<DagRunInfo> {
        let mut found = Vec::new();
        let mut last = None;
        while let Some(info) = graph.schedule.next_run(last, self.now, true, Some(from), Some(to)) {
            let interval = (info.interval_start, info.interval_end);
            if last == Some(interval) || info.interval_end >= self.now || found.len() > MAX_DATES {
                break;
            }
            last = Some(interval);
            if info.logical_date > to {
                break;
            }
            found.push(info);
        }
        found
    }

    /// What a backfill would do about one date.
    fn plan(&self, dag_at: u32, backfill: &Backfill, place: usize, info: &DagRunInfo) -> BackfillItem {
        let dag = &self.dags[dag_at as usize];
        let skipped = match dag.dates.get(&info.logical_date) {
            None => None,
            Some(None) => Some("already exists"),
            Some(Some(position)) => {
                let state = self.runs[*position].row.state;
                match (backfill.reprocess, state) {
                    (_, RunState::Queued | RunState::Running) => Some("in flight"),
                    (Reprocess::None, _) | (Reprocess::Failed, RunState::Success) => Some("already exists"),
                    _ => None,
                }
            }
        };
        BackfillItem {
            backfill: backfill.no,
            ordinal: index(place) + 1,
            logical_date: info.logical_date,
            run_no: None,
            skipped: skipped.map(str::to_owned),
        }
    }

    /// Makes the run of one date, or runs the one that exists again.
    fn backfill_run(
        &mut self,
        dag_at: u32,
        backfill: &Backfill,
        ordinal: u32,
        info: &DagRunInfo,
        graph: &Arc<Graph>,
        effects: &mut Effects,
    ) -> RunNo {
        let of = BackfillRef { no: backfill.no, ordinal };
        if let Some(Some(position)) = self.dags[dag_at as usize].dates.get(&info.logical_date).copied() {
            let row = Arc::make_mut(&mut self.runs[position].row);
            row.run_type = RunType::Backfill;
            row.backfill = Some(of);
            row.conf.clone_from(&backfill.conf);
            let run_no = row.run_no;
            self.fill_in(position);
            let run = &self.runs[position];
            let all: Vec<At> =
                (0..index(run.tis.len())).filter(|&ti| !run.ti(ti).absent).map(|ti| At { run: position, ti }).collect();
            self.clear_instances(position, &all, effects);
            return run_no;
        }
        let dag = &self.dags[dag_at as usize];
        let mut id = run_id(RunType::Backfill, info.run_after, None);
        if dag.run_ids.contains_key(&id) {
            id = run_id(RunType::Backfill, info.run_after, Some(&format!("b{}", backfill.no)));
        }
        let row = DagRun {
            run_no: RunNo(self.next_run_no),
            dag_id: backfill.dag_id.clone(),
            run_id: id,
            run_type: RunType::Backfill,
            state: RunState::Queued,
            version: graph.version.hash.clone(),
            logical_date: Some(info.logical_date),
            data_interval_start: Some(info.interval_start),
            data_interval_end: Some(info.interval_end),
            run_after: info.run_after,
            conf: backfill.conf.clone(),
            queued_at: self.now,
            start_date: None,
            end_date: None,
            clear_number: 0,
            triggered_by: Some("backfill".to_owned()),
            note: None,
            backfill: Some(of),
            missed_deadlines: 0,
        };
        let run_no = row.run_no;
        self.create_run(dag_at, row, Arc::clone(graph), Vec::new(), false);
        run_no
    }

    pub(crate) fn set_backfill(
        &mut self,
        no: u64,
        action: BackfillAction,
        by: String,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let now = self.now;
        let state = self
            .backfills
            .get_mut(&no)
            .filter(|state| state.row.completed_at.is_none())
            .ok_or_else(|| ApiError::conflict(format!("there is no backfill {no} that is not over")))?;
        let word = match action {
            BackfillAction::Pause => "pause",
            BackfillAction::Unpause => "unpause",
            BackfillAction::Cancel => "cancel",
        };
        state.row.is_paused = action != BackfillAction::Unpause;
        let dag_id = state.row.dag_id.clone();
        effects.rows.audit.push(AuditEvent {
            at: now,
            event: format!("backfill.{word}"),
            by: by.clone(),
            dag_id: Some(dag_id.clone()),
            run_id: None,
            task_id: None,
            detail: Some(format!("backfill {no}")),
        });
        let queued: Vec<u32> = state.queued.iter().map(|(.., position)| *position).collect();
        let row = state.row.clone();
        effects.rows.backfills.insert(no, row);
        if action == BackfillAction::Cancel {
            for position in queued {
                let note = format!("cancelled with backfill {no} by {by}");
                self.finish_run(position, RunState::Failed, Some(note), None, effects);
            }
            self.complete_backfill(no, effects);
        }
        let dag_at = self.dag_position(&dag_id)?;
        self.look_at_dag(dag_at);
        self.settle(effects);
        let row = effects.rows.backfills.get(&no).cloned();
        row.map(|row| Reply::Backfill(Box::new(row), Vec::new()))
            .ok_or_else(|| ApiError::not_found(format!("there is no backfill {no}")))
    }

    /// The next run that a backfill of the DAG may start.
    pub(crate) fn startable_backfill(&self, dag_id: &DagId) -> Option<u32> {
        self.backfills.values().filter(|state| state.row.dag_id == *dag_id).find_map(|state| {
            let free = !state.row.is_paused && state.running < state.row.max_active_runs;
            let &(.., position) = state.queued.first().filter(|_| free)?;
            (self.runs[position].starts_at() <= self.now).then_some(position)
        })
    }

    /// Keeps a backfill's counts when one of its runs changes its state.
    pub(crate) fn backfill_moves(&mut self, position: u32, from: RunState, to: RunState) {
        let row = &self.runs[position].row;
        let Some(of) = row.backfill else { return };
        let entry = (of.ordinal, row.run_no.0, position);
        let Some(state) = self.backfills.get_mut(&of.no) else { return };
        match from {
            RunState::Queued => {
                state.queued.remove(&entry);
            }
            RunState::Running => state.running -= 1,
            _ => {}
        }
        match to {
            RunState::Queued => {
                state.queued.insert(entry);
            }
            RunState::Running => state.running += 1,
            _ => {}
        }
    }

    /// Whether a run's backfill is not over: its queued runs are the backfill's, else the DAG's own.
    pub(crate) fn is_of_open_backfill(&self, position: u32) -> bool {
        let of = self.runs[position].row.backfill.and_then(|of| self.backfills.get(&of.no));
        of.is_some_and(|state| state.row.completed_at.is_none())
    }

    /// Whether a run is the first of its backfill: it depends on no past (Airflow `PrevDagrunDep`).
    pub(crate) fn is_first_of_backfill(&self, run: u32) -> bool {
        self.runs[run].row.backfill.is_some_and(|of| of.ordinal == 1)
    }

    /// A backfill whose runs are all over is completed.
    pub(crate) fn check_backfill_done(&mut self, no: u64, effects: &mut Effects) {
        let open = self.backfills.get(&no).is_some_and(|state| state.running > 0 || !state.queued.is_empty());
        if !open {
            self.complete_backfill(no, effects);
        }
    }

    fn complete_backfill(&mut self, no: u64, effects: &mut Effects) {
        let now = self.now;
        let Some(state) = self.backfills.get_mut(&no) else { return };
        if state.row.completed_at.is_none() {
            state.row.completed_at = Some(now);
            effects.rows.backfills.insert(no, state.row.clone());
        }
        // A cancelled one still counts its runs that go on.
        if state.running == 0 && state.queued.is_empty() {
            self.backfills.remove(&no);
        }
    }
}
