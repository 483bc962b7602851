//! How what a simulated worker runs comes to an end: tasks, triggers, callbacks.

use std::time::Duration;

use serde_json::json;
use tradewind_types::{
    AttemptOutcome, AttemptReport, HumanInput, OutletEvent, TaskSpec, TaskState, TiId, Timestamp, Trigger, UNMAPPED,
    XCOM_RETURN_KEY, XComValue,
};

use crate::{dags, worker::Kind, world::World};

impl World {
    /// The report of what worker `at` holds at `position`, whose process is over.
    pub(crate) fn outcome(&mut self, at: usize, position: usize) -> AttemptReport {
        let held = &self.workers[at].held[position];
        let (key, token, kind) = (held.key, held.token, held.kind);
        let outcome = match kind {
            Kind::Task => self.task_outcome(key.ti),
            Kind::Trigger => self.trigger_outcome(key.attempt),
            Kind::Callback => self.callback_outcome(),
        };
        let mut report = AttemptReport {
            key,
            token,
            outcome,
            xcoms: Vec::new(),
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
            ended_at: self.now,
        };
        if kind == Kind::Callback {
            return report;
        }
        report.xcoms = vec![XComValue {
            key: XCOM_RETURN_KEY.to_owned(),
            value: key.attempt.into(),
            object: None,
            mapped_length: self.rng.chance(900).then(|| u32::try_from(self.rng.below(4)).unwrap_or(0)),
        }];
        report.callbacks_due = matches!(report.outcome, AttemptOutcome::Failed { .. }) && self.rng.chance(200);
        if report.outcome == AttemptOutcome::Success {
            if self.rng.chance(150) {
                let below = self.downstream_of(key.ti);
                report.skip = below.into_iter().filter(|_| self.rng.chance(500)).map(|task| (task, UNMAPPED)).collect();
            }
            report.asset_events = self.updates_of(key.ti);
        }
        report
    }

    fn task_outcome(&mut self, ti: TiId) -> AttemptOutcome {
        match self.rng.below(24) {
            0..=2 => AttemptOutcome::Failed { retry: self.rng.chance(800), delay: None },
            3 => AttemptOutcome::Skipped,
            4 => AttemptOutcome::Reschedule { at: self.later(20_000) },
            5 if self.faults() => AttemptOutcome::Released,
            6..=8 => self.wait(),
            // Only a hosted trigger reports this: a worker that does so by mistake fails the task.
            9 if self.rng.chance(50) => AttemptOutcome::TriggerFired { event: json!(ti) },
            _ => AttemptOutcome::Success,
        }
    }

    /// A task hands itself over to something.
    fn wait(&mut self) -> AttemptOutcome {
        let trigger = match self.rng.below(6) {
            0 => Trigger::Input,
            1 | 2 => {
                let end = self.rng.chance(300).then(|| self.rng.pick(&[TaskState::Success, TaskState::Failed]));
                // Some moments are past.
                let at = if self.rng.chance(200) { self.now } else { self.later(30_000) };
                Trigger::At { at, event: json!("moment"), end }
            }
            _ => Trigger::Hosted { class: "sim.Trigger".to_owned(), kwargs: json!({}) },
        };
        let timeout = self.rng.chance(400).then(|| Duration::from_millis(self.rng.below(30_000)));
        AttemptOutcome::Deferred { trigger, timeout, next_method: "go_on".to_owned(), next_kwargs: json!({}) }
    }

    /// Each event of a hosted trigger names its attempt, so that the same one is known again.
    fn trigger_outcome(&mut self, attempt: u32) -> AttemptOutcome {
        match self.rng.below(10) {
            0 => AttemptOutcome::TriggerEnded {
                state: self.rng.pick(&[TaskState::Success, TaskState::Failed, TaskState::Skipped]),
            },
            1 => AttemptOutcome::TriggerFailed { error: "Trigger failure".to_owned(), traceback: Vec::new() },
            2 if self.faults() => AttemptOutcome::Released,
            _ => AttemptOutcome::TriggerFired { event: json!({ "fired": attempt }) },
        }
    }

    fn callback_outcome(&mut self) -> AttemptOutcome {
        match self.rng.below(10) {
            0 => AttemptOutcome::Failed { retry: false, delay: None },
            1 if self.faults() => AttemptOutcome::Released,
            _ => AttemptOutcome::Success,
        }
    }

    fn task_of(&self, ti: TiId) -> Option<&TaskSpec> {
        let row = self.store.tis.get(&ti)?;
        self.store.spec_of(self.store.runs.get(&row.run_no)?).task(row.task_id.as_str())
    }

    fn updates_of(&mut self, ti: TiId) -> Vec<OutletEvent> {
        if self.task_of(ti).is_none_or(|task| task.outlets.is_empty()) {
            return Vec::new();
        }
        let count = self.rng.index(3);
        (0..count)
            .map(|_| OutletEvent {
                asset: dags::asset(self.rng.pick(&dags::ASSETS)),
                extra: json!({}),
                aliases: if self.rng.chance(300) { vec![dags::ALIAS.to_owned()] } else { Vec::new() },
            })
            .collect()
    }

    /// What a task asks a person. The engine fills in whose question it is.
    pub(crate) fn question(&mut self) -> HumanInput {
        HumanInput {
            ti: TiId(uuid::Uuid::nil()),
            dag_id: "".into(),
            run_id: "".into(),
            task_id: "".into(),
            map_index: UNMAPPED,
            subject: "Ship it?".to_owned(),
            body: None,
            options: vec!["yes".to_owned(), "no".to_owned()],
            defaults: self.rng.chance(500).then(|| vec!["no".to_owned()]),
            multiple: false,
            params: json!({}),
            assignees: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            responded_at: None,
            responded_by: None,
            chosen_options: None,
            params_input: serde_json::Value::Null,
        }
    }
}
