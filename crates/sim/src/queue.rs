//! The queue of the simulation: it keeps hints in order, and loses, repeats and delays them.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_types::{AttemptKey, Hint, QueueName, Timestamp};

#[derive(Default)]
pub(crate) struct Queue {
    hints: BTreeMap<QueueName, BTreeSet<(i64, AttemptKey)>>,
    /// Hints that come later, some of them again.
    late: Vec<(Timestamp, Hint)>,
}

impl Queue {
    pub(crate) fn push(&mut self, hint: Hint) {
        self.hints.entry(hint.queue).or_default().insert((hint.score, hint.key));
    }

    pub(crate) fn push_late(&mut self, at: Timestamp, hint: Hint) {
        self.late.push((at, hint));
    }

    pub(crate) fn forget(&mut self, queue: &QueueName, key: AttemptKey) {
        if let Some(hints) = self.hints.get_mut(queue) {
            hints.retain(|(_, other)| *other != key);
        }
    }

    pub(crate) fn pop(&mut self, queues: &[QueueName]) -> Option<AttemptKey> {
        queues.iter().find_map(|queue| {
            let (_, key) = self.hints.get_mut(queue)?.pop_first()?;
            Some(key)
        })
    }

    pub(crate) fn contains(&self, hint: &Hint) -> bool {
        self.hints.get(&hint.queue).is_some_and(|hints| hints.contains(&(hint.score, hint.key)))
    }

    pub(crate) fn wipe(&mut self) {
        self.hints.clear();
    }

    pub(crate) fn deliver_late(&mut self, now: Timestamp) {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = later;
        for (_, hint) in due {
            self.push(hint);
        }
    }
}
