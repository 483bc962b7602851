//! The in-process queue.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tradewind_ports::{Queue, QueueDepth, QueueError};
use tradewind_types::{AttemptKey, Hint, QueueName};
use uuid::Uuid;

/// A hint that was taken, with its score, so that it can be put back.
type Taken = (QueueName, i64, AttemptKey);

/// Hints in memory. Waiting pops are served at once and in the order in which they came.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<QueueName, Hints>,
    waiters: VecDeque<Waiter>,
    next_waiter: u64,
    generation: Option<Uuid>,
}

#[derive(Debug, Default)]
struct Hints {
    by_score: BTreeSet<(i64, AttemptKey)>,
    scores: HashMap<AttemptKey, i64>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    queues: Vec<QueueName>,
    max: usize,
    answer: oneshot::Sender<Vec<Taken>>,
}

impl Hints {
    fn insert(&mut self, score: i64, key: AttemptKey) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.scores.entry(key) {
            entry.insert(score);
            self.by_score.insert((score, key));
        }
    }

    fn remove(&mut self, key: AttemptKey) {
        if let Some(score) = self.scores.remove(&key) {
            self.by_score.remove(&(score, key));
        }
    }

    fn pop_first(&mut self) -> Option<(i64, AttemptKey)> {
        let first = self.by_score.pop_first()?;
        self.scores.remove(&first.1);
        Some(first)
    }
}

impl State {
    fn take(&mut self, queues: &[QueueName], max: usize) -> Vec<Taken> {
        for queue in queues {
            let Some(hints) = self.queues.get_mut(queue) else {
                continue;
            };
            let mut taken = Vec::new();
            while taken.len() < max
                && let Some((score, key)) = hints.pop_first()
            {
                taken.push((queue.clone(), score, key));
            }
            if hints.scores.is_empty() {
                self.queues.remove(queue);
            }
            if !taken.is_empty() {
                return taken;
            }
        }
        Vec::new()
    }

    fn insert(&mut self, queue: &QueueName, score: i64, key: AttemptKey) {
        self.queues.entry(queue.clone()).or_default().insert(score, key);
    }

    /// Hands hints to the pops that wait for them, oldest first.
    fn serve(&mut self) {
        let mut waiting = VecDeque::with_capacity(self.waiters.len());
        while let Some(waiter) = self.waiters.pop_front() {
            let taken = self.take(&waiter.queues, waiter.max);
            if taken.is_empty() {
                waiting.push_back(waiter);
            } else if let Err(unwanted) = waiter.answer.send(taken) {
                for (queue, score, key) in unwanted {
                    self.insert(&queue, score, key);
                }
            }
        }
        self.waiters = waiting;
    }
}

/// A pop that waits. However it ends, nothing that it was handed is lost.
struct Waiting<'a> {
    queue: &'a MemoryQueue,
    id: u64,
    answer: oneshot::Receiver<Vec<Taken>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.waiters.retain(|waiter| waiter.id != self.id);
        if let Ok(unwanted) = self.answer.try_recv() {
            for (queue, score, key) in unwanted {
                state.insert(&queue, score, key);
            }
            state.serve();
        }
    }
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(taken: Vec<Taken>) -> Vec<(QueueName, AttemptKey)> {
    taken.into_iter().map(|(queue, _, key)| (queue, key)).collect()
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, hints: &[Hint]) -> Result<(), QueueError> {
        let mut state = self.lock();
        for hint in hints {
            state.insert(&hint.queue, hint.score, hint.key);
        }
        state.serve();
        Ok(())
    }

    async fn remove(&self, keys: &[(QueueName, AttemptKey)]) -> Result<(), QueueError> {
        let mut state = self.lock();
        for (queue, key) in keys {
            if let Some(hints) = state.queues.get_mut(queue) {
                hints.remove(*key);
                if hints.scores.is_empty() {
                    state.queues.remove(queue);
                }
            }
        }
        Ok(())
    }

    async fn pop(
        &self,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<(QueueName, AttemptKey)>, QueueError> {
        if max == 0 || queues.is_empty() {
            return Ok(Vec::new());
        }
        let mut waiting = {
            let mut state = self.lock();
            let taken = state.take(queues, max);
            if !taken.is_empty() || wait.is_zero() {
                return Ok(named(taken));
            }
            let id = state.next_waiter;
            state.next_waiter += 1;
            let (answer, answered) = oneshot::channel();
            state.waiters.push_back(Waiter { id, queues: queues.to_vec(), max, answer });
            Waiting { queue: self, id, answer: answered }
        };
        match tokio::time::timeout(wait, &mut waiting.answer).await {
            Ok(Ok(taken)) => Ok(named(taken)),
            // The sender is dropped only with the queue itself.
            Ok(Err(_)) => Ok(Vec::new()),
            Err(_) => {
                // Whatever came in the last instant is still ours.
                let last = waiting.answer.try_recv().unwrap_or_default();
                Ok(named(last))
            }
        }
    }

    async fn contains(&self, queue: &QueueName, keys: &[AttemptKey]) -> Result<Vec<bool>, QueueError> {
        let state = self.lock();
        let hints = state.queues.get(queue);
        Ok(keys.iter().map(|key| hints.is_some_and(|hints| hints.scores.contains_key(key))).collect())
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        let state = self.lock();
        Ok(queues
            .iter()
            .map(|queue| QueueDepth {
                queue: queue.clone(),
                hints: state.queues.get(queue).map_or(0, |hints| hints.scores.len() as u64),
            })
            .collect())
    }

    async fn generation(&self) -> Result<Option<Uuid>, QueueError> {
        Ok(self.lock().generation)
    }

    async fn set_generation(&self, generation: Uuid) -> Result<(), QueueError> {
        self.lock().generation = Some(generation);
        Ok(())
    }

    async fn ping(&self) -> Result<Duration, QueueError> {
        Ok(Duration::ZERO)
    }
}
