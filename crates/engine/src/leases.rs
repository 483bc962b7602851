//! Leases of attempts: how they run out, and what becomes of what a lost worker ran.

use tradewind_types::{TaskState, WorkerName};

use crate::{
    Effects, Engine,
    engine::plus,
    memory::{At, Due},
};

impl Engine {
    pub(crate) fn renew(&mut self, at: At) {
        let until = plus(self.now, self.options.lease);
        self.runs[at.run].ti_mut(at.ti).lease_until = until;
    }

    /// A lease timer came up: it moves on if the lease was renewed, else the attempt is lost.
    pub(crate) fn lease_due(&mut self, at: At, attempt: u32, effects: &mut Effects) {
        let ti = self.runs[at.run].ti(at.ti);
        if !ti.is_held() || ti.row.attempt != attempt {
            return;
        }
        let until = ti.lease_until;
        if until > self.now {
            let run_no = self.runs[at.run].row.run_no.0;
            let due = Due::Lease { run_no, ti: at.ti, attempt };
            self.set_timer(until, due);
        } else {
            self.lost(at, "its lease ran out", effects);
        }
    }

    /// A worker is gone with everything it ran.
    pub(crate) fn worker_gone(&mut self, worker: &WorkerName, effects: &mut Effects) {
        let mut gone: Vec<At> = self
            .tokens
            .values()
            .copied()
            .filter(|at| self.runs[at.run].ti(at.ti).row.worker.as_ref() == Some(worker))
            .collect();
        // The map's order is no order.
        gone.sort_by_key(|at| self.runs[at.run].rank(*at));
        for at in gone {
            self.lost(at, "it started anew", effects);
        }
        for id in self.callbacks_of(worker) {
            self.callback_lost(id, effects);
        }
    }

    /// Ends an attempt whose worker is lost: the try is used up, as Airflow does with a zombie.
    fn lost(&mut self, at: At, why: &str, effects: &mut Effects) {
        let ti = self.runs[at.run].ti_mut(at.ti);
        let worker = ti.row.worker.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        match ti.row.state {
            TaskState::Restarting => return self.finish_restart(at, effects),
            TaskState::Deferred => return self.host_lost(at, effects),
            _ => {}
        }
        ti.row.worker_losses = ti.row.worker_losses.saturating_add(1);
        let losses = ti.row.worker_losses;
        let poison = losses >= self.options.max_worker_losses;
        let mut note = format!("worker \"{worker}\" was lost: {why}");
        if poison {
            note.push_str(&format!("; {losses} workers in a row were lost with this task, so it is not tried again"));
        }
        self.fail(at, !poison, None, Some(note), effects);
        // Whatever the lost worker still says is stale.
        self.forget_token(at);
        // Its process could not run the callbacks.
        self.call_back_task(at, effects);
    }
}
