//! Progress where there is no terminal: one line a change.

use std::collections::HashMap;

use tradewind_proto::v1;
use tradewind_types::Timestamp;

use super::{Display, view};
use crate::output;

/// Prints each task instance whenever its state or attempt changed.
#[derive(Default)]
pub(super) struct Plain {
    shown: HashMap<String, (String, u32)>,
}

impl Plain {
    /// A display of what changes after this.
    pub(super) fn after(before: &[v1::TaskInstance]) -> Self {
        Self { shown: before.iter().map(|ti| (ti.id.clone(), (ti.state.clone(), ti.attempt))).collect() }
    }

    fn changes(&mut self, snapshot: &v1::GetRunResponse, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        for ti in &snapshot.task_instances {
            let state = (ti.state.clone(), ti.attempt);
            // What has not begun is no news.
            let is_news = ti.state != "no_status" || self.shown.contains_key(&ti.id);
            if is_news && self.shown.get(&ti.id) != Some(&state) {
                lines.push(format!("{} {}", now.strftime("%H:%M:%S"), view::plain_line(ti, now)));
            }
            self.shown.insert(ti.id.clone(), state);
        }
        lines
    }
}

impl Display for Plain {
    fn show(&mut self, snapshot: &v1::GetRunResponse, now: Timestamp) {
        for line in self.changes(snapshot, now) {
            output::note(&line);
        }
    }

    fn is_animated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_told() {
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let task = |id: &str, state: &str, attempt| v1::TaskInstance {
            id: id.to_owned(),
            task_id: id.to_owned(),
            map_index: -1,
            state: state.to_owned(),
            attempt,
            try_number: attempt,
            ..Default::default()
        };
        let of = |rows| v1::GetRunResponse { run: None, task_instances: rows };
        let mut plain = Plain::default();
        assert!(plain.changes(&of(vec![task("a", "no_status", 0), task("b", "no_status", 0)]), now).is_empty());
        let told = plain.changes(&of(vec![task("a", "running", 1), task("b", "no_status", 0)]), now);
        assert_eq!(told, ["00:00:10 a running (try 1)"]);
        assert!(plain.changes(&of(vec![task("a", "running", 1), task("b", "no_status", 0)]), now).is_empty());
        assert_eq!(plain.changes(&of(vec![task("a", "running", 2)]), now).len(), 1, "a new attempt is news");
    }
}
