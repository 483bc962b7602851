//! How long a finished run stays in memory: a moment for repeated reports and for who asks, longer while a later run
//! depends on it.

use tradewind_types::RunType;

use crate::{Engine, engine::plus};

impl Engine {
    /// Drops finished runs whose time in memory is up.
    pub(crate) fn forget_finished(&mut self) {
        while let Some(&(until, run_no)) = self.finished.front()
            && until <= self.now
        {
            self.finished.pop_front();
            let Some(&position) = self.run_at.get(&run_no) else {
                continue;
            };
            if self.runs[position].row.state.is_finished() && !self.is_past_of_others(position) {
                self.forget_run(position);
            }
        }
    }

    /// Whether a later run may still ask how its tasks ended.
    fn is_past_of_others(&mut self, position: u32) -> bool {
        let run = &self.runs[position];
        let dag = &self.dags[run.dag as usize];
        let Some(date) = run.row.logical_date else {
            return false;
        };
        if !dag.past {
            return false;
        }
        let manual = run.row.run_type == RunType::Manual;
        let later = (std::ops::Bound::Excluded(date), std::ops::Bound::Unbounded);
        let (mut next_to_it, mut hidden) = (true, manual);
        for (_, run) in dag.dates.range(later) {
            let Some(next) = *run else { continue };
            let next = &self.runs[next];
            let asks = if next.graph.version.spec.catchup { !hidden } else { next_to_it };
            if asks && !next.row.state.is_finished() {
                hidden = false;
                break;
            }
            next_to_it = false;
            hidden |= next.row.run_type != RunType::Manual;
            if hidden {
                break;
            }
        }
        if hidden && !next_to_it {
            return false;
        }
        // Ask again later.
        let keep = self.retention();
        let run_no = self.runs[position].row.run_no;
        self.finished.push_back((plus(self.now, keep), run_no));
        true
    }

    pub(crate) fn forget_run(&mut self, position: u32) {
        let Some(run) = self.runs.remove(position) else {
            return;
        };
        for ti in run.tis.iter().filter(|ti| !ti.absent) {
            self.tis.remove(&ti.row.id);
            self.by_state[ti.row.state as usize] -= 1;
        }
        self.run_at.remove(&run.row.run_no);
        let dag = &mut self.dags[run.dag as usize];
        dag.run_ids.remove(&run.row.run_id);
        if let Some(date) = run.row.logical_date {
            // The schedule may still come to a date that a manual run took.
            let ahead = dag.last.is_none_or(|last| date > last.start);
            if ahead {
                dag.dates.insert(date, None);
            } else {
                dag.dates.remove(&date);
            }
        }
    }
}
