//! I13 to I17: mapping, assets, callbacks, waits, backfills; checked on the rows that a commit changed.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_types::{
    AssetCondition, AssetRef, Backfill, Callback, CallbackKind, DagId, DagRow, DagRun, HumanInput, Resume, RunNo,
    RunState, TaskId, TaskInstance, TiId, WriteSet,
};

use crate::{leader::options, world::World};

/// What the checks remember from commit to commit.
#[derive(Default)]
pub(crate) struct Books {
    /// The events of triggers that resumed their task instance: instance, and the attempt that the event names.
    fired: BTreeSet<(TiId, u64)>,
    /// When instances were admitted in the pool with a rate, and under which term.
    pub(super) starts: Vec<(tradewind_types::Timestamp, u64)>,
}

/// The rows that a commit replaces, as far as these checks compare them.
pub(crate) struct Old {
    dags: BTreeMap<DagId, DagRow>,
    runs: BTreeMap<RunNo, DagRun>,
    callbacks: BTreeMap<TiId, Callback>,
    backfills: BTreeMap<u64, Backfill>,
    human_inputs: BTreeMap<TiId, HumanInput>,
    /// The asset events of the commit, with the DAGs that must hear of them.
    heard: Vec<(u64, DagId)>,
}

impl World {
    pub(super) fn old_rows(&self, rows: &WriteSet) -> Old {
        let store = &self.store;
        let heard = rows.asset_events.iter().flat_map(|event| {
            let concerned = store.dags.values().filter(|dag| {
                let timetable = &store.versions[&(dag.dag_id.clone(), dag.version.clone())].spec.timetable;
                let condition = timetable.asset_condition();
                !dag.is_paused && !dag.is_stale && condition.is_some_and(|condition| self.concerns(condition, event))
            });
            concerned.map(|dag| (event.no, dag.dag_id.clone()))
        });
        Old {
            dags: store.dags.clone(),
            runs: rows.runs.keys().filter_map(|no| Some((*no, store.runs.get(no)?.clone()))).collect(),
            callbacks: rows.callbacks.keys().filter_map(|id| Some((*id, store.callbacks.get(id)?.clone()))).collect(),
            backfills: store.backfills.clone(),
            human_inputs: rows
                .human_inputs
                .keys()
                .filter_map(|id| Some((*id, store.human_inputs.get(id)?.clone())))
                .collect(),
            heard: heard.collect(),
        }
    }

    fn concerns(&self, condition: &AssetCondition, event: &tradewind_types::AssetEvent) -> bool {
        condition.assets().into_iter().any(|named| match named {
            AssetRef::Asset(key) => *key == event.asset,
            AssetRef::Name { name } => *name == event.asset.name,
            AssetRef::Uri { uri } => *uri == event.asset.uri,
            AssetRef::Alias { name } => {
                event.aliases.contains(name) || self.store.asset_aliases.contains(&(name.clone(), event.asset.clone()))
            }
        })
    }

    pub(super) fn check_further(&mut self, old: &Old, tis: &[TaskInstance], rows: &WriteSet) -> Result<(), String> {
        self.check_mapped(rows)?;
        self.check_assets(old, rows)?;
        self.check_callbacks(old, rows)?;
        self.check_waits(old, tis, rows)?;
        self.check_backfills(old, rows)
    }

    /// I13: one instance for each index, without a gap.
    fn check_mapped(&mut self, rows: &WriteSet) -> Result<(), String> {
        let new = rows.task_instances.values().filter(|changed| changed.is_new && changed.row.map_index >= 0).count();
        self.stats.mapped += u32::try_from(new).unwrap_or(u32::MAX);
        let touched: BTreeSet<RunNo> = rows.task_instances.values().map(|changed| changed.row.run_no).collect();
        let mut indexes: BTreeMap<(RunNo, &TaskId), Vec<i32>> = BTreeMap::new();
        for ti in self.store.tis.values().filter(|ti| touched.contains(&ti.run_no)) {
            indexes.entry((ti.run_no, &ti.task_id)).or_default().push(ti.map_index);
        }
        for ((run_no, task_id), mut found) in indexes {
            found.sort_unstable();
            let run = &self.store.runs[&run_no];
            let task = self.store.spec_of(run).task(task_id.as_str());
            let mapped = task.is_some_and(|task| task.expand.is_some() || task.mapped_group.is_some());
            let counted = found.iter().enumerate().all(|(place, index)| usize::try_from(*index) == Ok(place));
            if found != [-1] && !(mapped && counted) {
                return Err(format!("I13: {}/{task_id} has the map indexes {found:?}", run.run_id));
            }
            if found.len() > options().max_map_length as usize {
                return Err(format!("I13: {}/{task_id} has {} instances", run.run_id, found.len()));
            }
        }
        Ok(())
    }

    /// I14: no event of a listening DAG is lost, none is consumed twice by one DAG.
    fn check_assets(&mut self, old: &Old, rows: &WriteSet) -> Result<(), String> {
        let store = &self.store;
        let mut consumed: BTreeSet<(&DagId, u64)> = BTreeSet::new();
        for (run_no, event) in &store.consumed_events {
            let run = &store.runs[run_no];
            if !consumed.insert((&run.dag_id, *event)) {
                return Err(format!("I14: {} consumed the asset event {event} twice", run.dag_id));
            }
            if !store.asset_events.contains_key(event) {
                return Err(format!("I14: {} consumed the asset event {event}, which is not stored", run.run_id));
            }
        }
        for (dag_id, dag) in &store.dags {
            if let Some(twice) = dag.pending_assets.iter().find(|update| consumed.contains(&(dag_id, update.event))) {
                return Err(format!("I14: {dag_id} still waits with the consumed asset event {}", twice.event));
            }
        }
        let kept = |dag_id: &DagId, event: u64| {
            let pending = |dag: &DagRow| dag.pending_assets.iter().any(|update| update.event == event);
            store.dags.get(dag_id).is_some_and(pending) || consumed.contains(&(dag_id, event))
        };
        for (dag_id, dag) in &old.dags {
            if let Some(lost) = dag.pending_assets.iter().find(|update| !kept(dag_id, update.event)) {
                return Err(format!("I14: {dag_id} lost the asset event {}", lost.event));
            }
        }
        for (event, dag_id) in &old.heard {
            let (was, is) = (&old.dags[dag_id], &store.dags[dag_id]);
            let same = was.version == is.version && !is.is_paused && !is.is_stale;
            if same && !kept(dag_id, *event) {
                return Err(format!("I14: {dag_id} did not hear of the asset event {event}"));
            }
        }
        let events = u32::try_from(rows.consumed_events.len()).unwrap_or(u32::MAX);
        self.stats.consumed_events += events;
        Ok(())
    }

    /// I15: what is over stays over, what must be called back is.
    fn check_callbacks(&mut self, old: &Old, rows: &WriteSet) -> Result<(), String> {
        for (id, new) in &rows.callbacks {
            self.stats.callbacks += u32::from(new.state.is_finished());
            let Some(old) = old.callbacks.get(id) else { continue };
            if old.state.is_finished() {
                return Err(format!("I15: callback {id} was {}, now {}", old.state, new.state));
            }
            if new.attempt < old.attempt {
                return Err(format!("I15: callback {id}: the attempt went back"));
            }
        }
        for (no, changed) in &rows.runs {
            let run = &changed.row;
            let was = old.runs.get(no).map(|run| run.state);
            if !run.state.is_finished() || was.is_none_or(RunState::is_finished) {
                continue;
            }
            // A person's word is no outcome.
            let by_hand = rows.audit.iter().any(|line| {
                line.dag_id.as_ref() == Some(&run.dag_id)
                    && (line.event == "run.mark" && line.run_id.as_ref() == Some(&run.run_id)
                        || line.event == "backfill.cancel")
            });
            let spec = self.store.spec_of(run);
            let kind = match run.state {
                RunState::Success if spec.on_success_callback => CallbackKind::DagSuccess,
                RunState::Failed if spec.on_failure_callback => CallbackKind::DagFailure,
                _ => continue,
            };
            let made = |row: &Callback| row.run_no == *no && row.kind == kind && Some(row.created_at) == run.end_date;
            if !by_hand && !self.store.callbacks.values().any(made) {
                return Err(format!("I15: {} is {} without its {kind} callback", run.run_id, run.state));
            }
        }
        Ok(())
    }

    /// I16: the event of a trigger resumes its instance once, a question is answered once.
    fn check_waits(&mut self, old: &Old, tis: &[TaskInstance], rows: &WriteSet) -> Result<(), String> {
        let before: BTreeMap<TiId, &TaskInstance> = tis.iter().map(|ti| (ti.id, ti)).collect();
        for (id, changed) in &rows.task_instances {
            let resumed = resume_of(&changed.row);
            if resumed.is_none() || before.get(id).and_then(|ti| resume_of(ti)) == resumed {
                continue;
            }
            self.stats.resumes += 1;
            let Some(Resume::Event { event }) = resumed else { continue };
            let Some(attempt) = event.get("fired").and_then(serde_json::Value::as_u64) else { continue };
            if attempt > u64::from(changed.row.attempt) {
                return Err(format!("I16: {id} was resumed by attempt {attempt}, which did not begin"));
            }
            if !self.books.fired.insert((*id, attempt)) {
                return Err(format!("I16: the trigger event of attempt {attempt} resumed {id} twice"));
            }
        }
        for (id, new) in &rows.human_inputs {
            let Some(old) = old.human_inputs.get(id) else { continue };
            if old.responded_at.is_some() && new.created_at == old.created_at && new != old {
                return Err(format!("I16: the question of {id} was answered twice"));
            }
        }
        Ok(())
    }

    /// I17: a backfill is completed when its runs are over, and not before; its limit holds.
    fn check_backfills(&mut self, old: &Old, rows: &WriteSet) -> Result<(), String> {
        for (no, row) in &self.store.backfills {
            let mut open = 0;
            let mut running = 0;
            for run in self.store.runs.values().filter(|run| run.backfill.is_some_and(|of| of.no == *no)) {
                open += u32::from(!run.state.is_finished());
                running += u32::from(run.state == RunState::Running);
            }
            let was_open = old.backfills.get(no).is_none_or(|old| old.completed_at.is_none());
            match row.completed_at {
                None if open == 0 => return Err(format!("I17: backfill {no} has no open run and is not completed")),
                None if running > row.max_active_runs => {
                    return Err(format!("I17: {running} of {} runs of backfill {no} run", row.max_active_runs));
                }
                None => {}
                Some(_) if was_open => {
                    self.stats.backfills += 1;
                    // Cancelled with runs that go on, or a run of it was cleared since, in the same batch.
                    let by_hand = rows.audit.iter().any(|line| {
                        let opens = matches!(line.event.as_str(), "backfill.cancel" | "task.clear" | "task.mark");
                        opens && line.dag_id.as_ref() == Some(&row.dag_id)
                    });
                    if open > 0 && !by_hand {
                        return Err(format!("I17: backfill {no} is completed with {open} open runs"));
                    }
                }
                Some(_) => {}
            }
        }
        for item in &rows.backfill_items {
            if item.run_no.is_some() == item.skipped.is_some() {
                return Err(format!("I17: backfill {}, place {}: {item:?}", item.backfill, item.ordinal));
            }
        }
        Ok(())
    }
}

fn resume_of(ti: &TaskInstance) -> Option<&Resume> {
    ti.deferral.as_deref()?.resume.as_ref()
}
