//! What people do in the simulation: they publish and pause DAGs, trigger, clear, mark, answer, update assets, backfill,
//! resize pools.

use jiff::SignedDuration;
use tradewind_engine::{BackfillAction, BackfillRequest, ClearRequest, Event, Trigger};
use tradewind_types::{
    DagId, HumanInput, Pool, PoolName, Reprocess, RunState, RunType, TaskInstance, TaskState, TiId, Timetable,
};

use crate::{
    dags::{self, ASSETS, POOLS},
    timetables,
    world::World,
};

impl World {
    /// What people ask of leader `at` now.
    pub(crate) fn wishes(&mut self, at: usize) -> Vec<Event> {
        let mut events = Vec::new();
        if at != 0 && self.rng.chance(800) {
            return events;
        }
        if self.faults() && self.leaders[at].engine.dags().count() < self.dag_count {
            for number in 0..self.dag_count {
                events.push(self.publish(number));
            }
        }
        if !self.faults() {
            return self.mend(at);
        }
        let dag_id = DagId::from(format!("dag{}", self.rng.index(self.dag_count)));
        match self.rng.below(120) {
            0..=9 => events.push(self.trigger(dag_id)),
            10 => {
                let number = self.rng.index(self.dag_count);
                events.push(self.publish(number));
            }
            11 => events.push(Event::SetPaused { dag_id, paused: self.rng.chance(500), by: by() }),
            12 => {
                let slots = i64::try_from(self.rng.below(5)).unwrap_or(0);
                events.extend(self.resize(slots));
            }
            13..=16 => events.extend(self.some_instance(at).map(|ti| self.clear(&ti))),
            17 => events.extend(self.some_instance(at).map(|ti| self.mark_task(&ti))),
            18 => {
                let state = self.rng.pick(&[RunState::Success, RunState::Failed]);
                let mark = |ti: TaskInstance| Event::MarkRun { dag_id: ti.dag_id, run_id: ti.run_id, state, by: by() };
                events.extend(self.some_instance(at).map(mark));
            }
            19..=21 => {
                let asset = dags::asset(self.rng.pick(&ASSETS));
                events.push(Event::UpdateAsset { asset, extra: serde_json::json!({}), by: by() });
            }
            22..=27 => {
                let waiting = self.unanswered();
                if !waiting.is_empty() {
                    let question = self.rng.index(waiting.len());
                    events.push(answer(waiting[question].clone()));
                }
            }
            28..=30 => events.extend(self.backfill(at, dag_id)),
            31..=32 => {
                let open: Vec<u64> = self.open_backfills().collect();
                if !open.is_empty() {
                    let action =
                        self.rng.pick(&[BackfillAction::Pause, BackfillAction::Unpause, BackfillAction::Cancel]);
                    events.push(Event::SetBackfill { no: self.rng.pick(&open), action, by: by() });
                }
            }
            _ => {}
        }
        events
    }

    /// What must be done so that the world can come to an end.
    fn mend(&self, at: usize) -> Vec<Event> {
        // What is paused must go on, or it never ends.
        let paused = self.leaders[at].engine.dags().filter(|row| row.is_paused);
        let mut events: Vec<Event> =
            paused.map(|row| Event::SetPaused { dag_id: row.dag_id.clone(), paused: false, by: by() }).collect();
        // Until they are stored: the leader that is asked may be an old one.
        if self.store.pools[POOLS[1]].slots != 4 {
            events.extend(self.resize(4));
        }
        // No more scheduled runs.
        let dags = self.store.dags.values().filter(|row| !row.is_stale);
        events.extend(dags.map(|row| Event::DagGone { dag_id: row.dag_id.clone() }));
        events.extend(self.unanswered().into_iter().map(answer));
        let paused = self.open_backfills().filter(|no| self.store.backfills[no].is_paused);
        events.extend(paused.map(|no| Event::SetBackfill { no, action: BackfillAction::Unpause, by: by() }));
        events
    }

    fn open_backfills(&self) -> impl Iterator<Item = u64> {
        self.store.backfills.values().filter(|row| row.completed_at.is_none()).map(|row| row.no)
    }

    fn publish(&mut self, number: usize) -> Event {
        Event::DagPublished { version: dags::random(&mut self.rng, number, self.now), paused_by_default: false }
    }

    fn trigger(&mut self, dag_id: DagId) -> Event {
        Event::Trigger(Trigger {
            dag_id,
            run_id: None,
            run_type: RunType::Manual,
            logical_date: self.rng.chance(500).then(|| self.later(5_000)),
            run_after: None,
            conf: serde_json::Value::Null,
            by: by(),
            suffix: format!("{:x}", self.rng.next()),
        })
    }

    fn resize(&self, slots: i64) -> Option<Event> {
        let pool = self.store.pools.get(&PoolName::from(POOLS[1]))?;
        Some(Event::SetPool(Pool { slots, ..pool.clone() }))
    }

    fn clear(&mut self, ti: &TaskInstance) -> Event {
        Event::Clear(ClearRequest {
            dag_id: ti.dag_id.clone(),
            run_id: ti.run_id.clone(),
            task_ids: vec![ti.task_id.clone()],
            map_indexes: if self.rng.chance(300) { vec![ti.map_index] } else { Vec::new() },
            downstream: self.rng.chance(600),
            upstream: self.rng.chance(200),
            only_failed: self.rng.chance(200),
            only_running: self.rng.chance(100),
            dry_run: self.rng.chance(100),
            latest_version: self.rng.chance(150),
            by: by(),
        })
    }

    fn mark_task(&mut self, ti: &TaskInstance) -> Event {
        Event::MarkTask {
            dag_id: ti.dag_id.clone(),
            run_id: ti.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
            state: self.rng.pick(&[TaskState::Success, TaskState::Failed, TaskState::Skipped]),
            by: by(),
        }
    }

    fn some_instance(&mut self, at: usize) -> Option<TaskInstance> {
        let mut ids: Vec<TiId> =
            self.leaders[at].engine.runs().flat_map(|run| run.task_instances()).map(|ti| ti.id).collect();
        ids.sort();
        if ids.is_empty() {
            return None;
        }
        let id = ids[self.rng.index(ids.len())];
        self.leaders[at].engine.task_instance(id).cloned()
    }

    /// Questions that a task instance waits with for an answer.
    fn unanswered(&self) -> Vec<HumanInput> {
        let waits = |input: &&HumanInput| {
            let state = self.store.tis.get(&input.ti).map(|ti| ti.state);
            input.responded_at.is_none() && state == Some(TaskState::AwaitingInput)
        };
        self.store.human_inputs.values().filter(waits).cloned().collect()
    }

    /// A backfill of the last minutes, after the runs of its range that are over: the engine may have forgotten them.
    fn backfill(&mut self, at: usize, dag_id: DagId) -> Vec<Event> {
        let Some(dag) = self.store.dags.get(&dag_id) else { return Vec::new() };
        // Only the leader reads the store for it.
        if self.leaders[at].term != self.store.term {
            return Vec::new();
        }
        let version = &self.store.versions[&(dag_id.clone(), dag.version.clone())];
        let custom = matches!(version.spec.timetable, Timetable::Custom { .. });
        let minutes = 1 + self.rng.below(5);
        let to = self.now;
        let from = to - SignedDuration::from_secs(60 * i64::try_from(minutes).unwrap_or(1));
        let mut events: Vec<Event> = self
            .store
            .runs
            .values()
            .filter(|run| run.dag_id == dag_id && run.state.is_finished())
            .filter(|run| run.logical_date.is_some_and(|date| from <= date && date <= to))
            .map(|run| Event::LoadRun {
                run: run.clone(),
                task_instances: self.store.tis.values().filter(|ti| ti.run_no == run.run_no).cloned().collect(),
                version: std::sync::Arc::clone(&self.store.versions[&(dag_id.clone(), run.version.clone())]),
            })
            .collect();
        events.push(Event::CreateBackfill(BackfillRequest {
            dag_id,
            from,
            to,
            max_active_runs: 1 + u32::try_from(self.rng.below(3)).unwrap_or(0),
            reprocess: self.rng.pick(&[Reprocess::None, Reprocess::Failed, Reprocess::Completed]),
            backwards: self.rng.chance(300),
            conf: serde_json::Value::Null,
            dates: custom.then(|| timetables::dates(from, to)),
            dry_run: self.rng.chance(100),
            by: by(),
        }));
        events
    }
}

fn by() -> String {
    "sim".to_owned()
}

fn answer(question: HumanInput) -> Event {
    let input = HumanInput {
        responded_by: Some(by()),
        chosen_options: Some(vec!["yes".to_owned()]),
        params_input: serde_json::json!({}),
        ..question
    };
    Event::AnswerHuman { input: Box::new(input), event: serde_json::json!({ "chosen_options": ["yes"] }) }
}
