//! Keeps the queue in step with the truth: pushes hints after commits, notices a wiped queue by its generation key, and
//! re-pushes what is queued but not in the queue. Losing the whole queue costs a second, never a task.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Engine;
use tradewind_ports::{Queue, QueueError};
use tradewind_types::{Hint, QueueName, Timestamp};
use uuid::Uuid;

use crate::{core::Core, term::HintChange};

/// Hints compared or pushed in one call.
const BATCH: usize = 1_000;

/// Passes hint changes to the queue, in order. What does not get through is left to the repair sweep.
pub(crate) async fn push_hints(queue: Arc<dyn Queue>, mut changes: mpsc::UnboundedReceiver<HintChange>) {
    while let Some(change) = changes.recv().await {
        let result = match &change {
            HintChange::Push(hints) => queue.push(hints).await,
            HintChange::Remove(keys) => queue.remove(keys).await,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "hints did not reach the queue; the repair sweep will push them");
        }
    }
}

/// Compares the queue with the engine until the term is over.
pub(crate) async fn repair_queue(core: Arc<Core>, over: CancellationToken) {
    let generation = Uuid::now_v7();
    let mut was_away = false;
    loop {
        match sweep(&core, generation).await {
            Ok(pushed) => {
                if was_away {
                    tracing::info!(pushed, "the queue answers again");
                } else if pushed > 0 {
                    tracing::info!(pushed, "hints were missing in the queue and were pushed again");
                }
                was_away = false;
            }
            Err(error) => {
                if !was_away {
                    tracing::warn!(%error, "the queue is away; workers claim from the scheduler meanwhile");
                }
                was_away = true;
            }
        }
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(core.settings.repair_interval) => {}
        }
    }
}

/// The best hints of each queue, up to `window`, without those that were queued less than `min_age` ago.
fn due_hints(engine: &Engine, window: usize, min_age: Duration, now: Timestamp) -> Vec<Hint> {
    let old_enough = |hint: &Hint| {
        let queued_at = engine.task_instance(hint.key.ti).and_then(|ti| ti.queued_at);
        queued_at.is_none_or(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default() >= min_age)
    };
    let mut hints = Vec::new();
    for status in engine.queue_status() {
        hints.extend(engine.queued_hints(&status.queue).into_iter().take(window).filter(old_enough));
    }
    hints
}

/// One comparison. Answers how many hints were pushed.
async fn sweep(core: &Core, generation: Uuid) -> Result<usize, QueueError> {
    let rebuilt = core.queue.generation().await? == Some(generation);
    let window = core.settings.queue_window;
    // A hint may be popped and its claim under way: younger ones are left alone, unless the queue is new.
    let min_age = if rebuilt { core.settings.repair_interval.max(Duration::from_millis(500)) } else { Duration::ZERO };
    let Ok(hints) = core.query(move |engine, now| due_hints(engine, window, min_age, now)).await else {
        // The term has just ended.
        return Ok(0);
    };
    let mut by_queue: HashMap<QueueName, Vec<Hint>> = HashMap::new();
    for hint in hints {
        by_queue.entry(hint.queue.clone()).or_default().push(hint);
    }
    let mut pushed = 0;
    for (queue, hints) in by_queue {
        for part in hints.chunks(BATCH) {
            let keys: Vec<_> = part.iter().map(|hint| hint.key).collect();
            let there = core.queue.contains(&queue, &keys).await?;
            let missing: Vec<Hint> =
                part.iter().zip(there).filter(|(_, there)| !there).map(|(hint, _)| hint.clone()).collect();
            if !missing.is_empty() {
                core.queue.push(&missing).await?;
                pushed += missing.len();
            }
        }
    }
    if !rebuilt {
        core.queue.set_generation(generation).await?;
    }
    Ok(pushed)
}
