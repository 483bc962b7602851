//! Cases for queues.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tradewind_types::{AttemptKey, Hint, QueueName, TiId};
use uuid::Uuid;

use crate::{Queue, QueueDepth};

/// Long enough that a case fails rather than hangs.
const LONG: Duration = Duration::from_secs(20);

fn key(n: u128) -> AttemptKey {
    AttemptKey { ti: TiId(Uuid::from_u128(n)), attempt: 1 }
}

fn hint(queue: &str, n: u128, score: i64) -> Hint {
    Hint { queue: queue.into(), key: key(n), score }
}

fn names(queues: &[&str]) -> Vec<QueueName> {
    queues.iter().map(|queue| QueueName::from(*queue)).collect()
}

async fn pop(queue: &dyn Queue, queues: &[&str], max: usize, wait: Duration) -> Vec<u128> {
    queue.pop(&names(queues), max, wait).await.unwrap().into_iter().map(|(_, key)| key.ti.0.as_u128()).collect()
}

async fn now(queue: &dyn Queue, queues: &[&str], max: usize) -> Vec<u128> {
    pop(queue, queues, max, Duration::ZERO).await
}

/// Scores rank, whatever the order of pushing.
pub async fn the_lowest_score_comes_first(queue: &dyn Queue) {
    queue.push(&[hint("q", 1, 30), hint("q", 2, -10), hint("q", 3, 20)]).await.unwrap();
    queue.push(&[hint("q", 4, 25)]).await.unwrap();
    assert_eq!(now(queue, &["q"], 2).await, [2, 3]);
    assert_eq!(now(queue, &["q"], 9).await, [4, 1]);
    assert_eq!(now(queue, &["q"], 9).await, []);
}

/// Pushing a hint that is there changes nothing, not even its score. Another attempt is another hint.
pub async fn a_hint_is_there_once(queue: &dyn Queue) {
    queue.push(&[hint("q", 1, 10), hint("q", 2, 20), hint("q", 2, 5)]).await.unwrap();
    queue.push(&[hint("q", 2, 1)]).await.unwrap();
    let mut second = hint("q", 1, 15);
    second.key.attempt = 2;
    queue.push(&[second.clone()]).await.unwrap();
    let popped = queue.pop(&names(&["q"]), 9, LONG).await.unwrap();
    let keys: Vec<AttemptKey> = popped.into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, [key(1), second.key, key(2)]);
    // What was popped may be pushed again.
    queue.push(&[hint("q", 1, 10)]).await.unwrap();
    assert_eq!(now(queue, &["q"], 9).await, [1]);
}

/// The limit counts, and nothing is taken for a limit of zero or for no queue.
pub async fn a_pop_takes_at_most_what_it_asks_for(queue: &dyn Queue) {
    let hints: Vec<Hint> = (0..10).map(|n| hint("q", n, i64::try_from(n).unwrap())).collect();
    queue.push(&hints).await.unwrap();
    assert_eq!(pop(queue, &["q"], 0, LONG).await, []);
    assert_eq!(pop(queue, &[], 5, LONG).await, []);
    assert_eq!(pop(queue, &["q"], 3, LONG).await, [0, 1, 2]);
    assert_eq!(pop(queue, &["q"], 100, LONG).await.len(), 7);
}

/// One pop takes from one queue: the first, in the given order, that has hints.
pub async fn queues_are_tried_in_the_given_order(queue: &dyn Queue) {
    queue.push(&[hint("a", 1, 9), hint("b", 2, 1), hint("c", 3, 5)]).await.unwrap();
    let popped = queue.pop(&names(&["c", "b"]), 9, LONG).await.unwrap();
    assert_eq!(popped, [(QueueName::from("c"), key(3))]);
    assert_eq!(now(queue, &["none", "a", "b"], 9).await, [1]);
    assert_eq!(now(queue, &["a", "b"], 9).await, [2]);
}

/// A push wakes a pop that waits for its queue, whichever of its queues that is.
pub async fn a_push_ends_a_waiting_pop(queue: &dyn Queue) {
    for round in 0..20 {
        let before = Instant::now();
        let pushing = async {
            tokio::task::yield_now().await;
            queue.push(&[hint("other", 99, 0)]).await.unwrap();
            queue.push(&[hint("b", round, 0)]).await.unwrap();
        };
        let (popped, ()) = tokio::join!(pop(queue, &["a", "b"], 1, LONG), pushing);
        assert_eq!(popped, [round]);
        assert!(before.elapsed() < LONG / 2);
    }
}

/// Nothing comes, and the pop says so about when it should.
pub async fn a_pop_ends_when_its_time_is_over(queue: &dyn Queue) {
    queue.push(&[hint("other", 1, 0)]).await.unwrap();
    for wait in [0, 1, 30, 200].map(Duration::from_millis) {
        let before = Instant::now();
        assert_eq!(pop(queue, &["q"], 1, wait).await, []);
        let took = before.elapsed();
        assert!(took >= wait.mul_f64(0.9) && took < wait + LONG / 2, "{took:?}");
    }
    // The timed-out pops do not eat what comes later.
    queue.push(&[hint("q", 2, 0)]).await.unwrap();
    assert_eq!(pop(queue, &["q"], 1, LONG).await, [2]);
}

/// Several pops wait at once; each gets its hint.
pub async fn every_waiting_pop_is_served(queue: &dyn Queue) {
    let waiting = async {
        let (a, b, c) =
            tokio::join!(pop(queue, &["q"], 1, LONG), pop(queue, &["x", "q"], 1, LONG), pop(queue, &["q"], 1, LONG),);
        [a, b, c].concat().into_iter().collect::<BTreeSet<u128>>()
    };
    let pushing = async {
        for n in 1..=3 {
            queue.push(&[hint("q", n, i64::try_from(n).unwrap())]).await.unwrap();
        }
    };
    let (popped, ()) = tokio::join!(waiting, pushing);
    assert_eq!(popped, [1, 2, 3].into());
}

/// Eight pops at once share a thousand hints; none is handed out twice, none is lost.
pub async fn each_hint_is_popped_once(queue: &dyn Queue) {
    const COUNT: u128 = 1_000;
    let pushing = async {
        for batch in 0..10 {
            let hints: Vec<Hint> =
                (batch * 100..batch * 100 + 100).map(|n| hint(if n % 2 == 0 { "a" } else { "b" }, n, 0)).collect();
            queue.push(&hints).await.unwrap();
        }
    };
    let popping = || async {
        let mut found = Vec::new();
        loop {
            let some = pop(queue, &["a", "b"], 7, Duration::from_millis(500)).await;
            if some.is_empty() {
                return found;
            }
            found.extend(some);
        }
    };
    let ((), a, b, c, d, e, f, g, h) =
        tokio::join!(pushing, popping(), popping(), popping(), popping(), popping(), popping(), popping(), popping(),);
    let all = [a, b, c, d, e, f, g, h].concat();
    assert_eq!(all.len(), usize::try_from(COUNT).unwrap());
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (0..COUNT).collect());
}

/// A pop that was given up does not take hints any more, once the queue knows.
pub async fn a_cancelled_pop_leaves_later_hints(queue: &dyn Queue) {
    for _ in 0..5 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), queue.pop(&names(&["q"]), 1, LONG)).await;
        assert!(given_up.is_err());
    }
    // A queue behind a network may lose a hint to a pop that it does not know to be over; the repair sweep pushes again.
    let mut tries = 0;
    loop {
        queue.push(&[hint("q", 1, 0)]).await.unwrap();
        let popped = pop(queue, &["q"], 1, Duration::from_millis(200)).await;
        if popped == [1] {
            break;
        }
        tries += 1;
        assert!(tries <= 10, "the hint never came");
    }
    queue.push(&[hint("q", 2, 0)]).await.unwrap();
    assert_eq!(pop(queue, &["q"], 1, LONG).await, [2]);
}

/// Removing takes a hint out of its queue and no other.
pub async fn removed_hints_do_not_come(queue: &dyn Queue) {
    queue.push(&[hint("a", 1, 1), hint("a", 2, 2), hint("b", 1, 1), hint("b", 2, 2)]).await.unwrap();
    let gone = [
        (QueueName::from("a"), key(1)),
        (QueueName::from("b"), key(2)),
        (QueueName::from("a"), key(9)),
        (QueueName::from("none"), key(1)),
    ];
    for _ in 0..2 {
        queue.remove(&gone).await.unwrap();
    }
    queue.remove(&[]).await.unwrap();
    assert_eq!(now(queue, &["a"], 9).await, [2]);
    assert_eq!(now(queue, &["b"], 9).await, [1]);
}

/// The repair sweep asks which hints are there; operators ask how many.
pub async fn depths_and_membership_are_told(queue: &dyn Queue) {
    queue.push(&[hint("a", 1, 1), hint("a", 2, 2), hint("b", 3, 1)]).await.unwrap();
    let asked: Vec<AttemptKey> = (1..=1_200).map(key).collect();
    let found = queue.contains(&"a".into(), &asked).await.unwrap();
    assert_eq!(found.len(), asked.len());
    assert_eq!(found[..3], [true, true, false]);
    assert!(found[2..].iter().all(|there| !there));
    assert_eq!(queue.contains(&"none".into(), &asked[..1]).await.unwrap(), [false]);
    assert_eq!(queue.contains(&"a".into(), &[]).await.unwrap(), [false; 0]);
    let depths = queue.depths(&names(&["b", "none", "a"])).await.unwrap();
    let expected: Vec<QueueDepth> =
        [("b", 1), ("none", 0), ("a", 2)].map(|(queue, hints)| QueueDepth { queue: queue.into(), hints }).into();
    assert_eq!(depths, expected);
    assert_eq!(queue.depths(&[]).await.unwrap(), []);
}

/// A fresh queue has no generation; the last one set is kept.
pub async fn the_generation_is_kept(queue: &dyn Queue) {
    assert_eq!(queue.generation().await.unwrap(), None);
    for generation in [Uuid::from_u128(1), Uuid::from_u128(2)] {
        queue.set_generation(generation).await.unwrap();
        assert_eq!(queue.generation().await.unwrap(), Some(generation));
    }
}

/// Ten thousand hints in one push, as after a rebuild.
pub async fn large_pushes_are_kept(queue: &dyn Queue) {
    let hints: Vec<Hint> = (0..10_000_u128).map(|n| hint("q", n, 10_000 - i64::try_from(n).unwrap())).collect();
    queue.push(&[]).await.unwrap();
    queue.push(&hints).await.unwrap();
    queue.push(&hints).await.unwrap();
    let depth = queue.depths(&names(&["q"])).await.unwrap();
    assert_eq!(depth[0].hints, 10_000);
    let popped = now(queue, &["q"], 20_000).await;
    assert_eq!(popped, (0..10_000).rev().collect::<Vec<u128>>());
}

/// Scores are exact up to 2^53, both ways.
pub async fn extreme_scores_keep_their_order(queue: &dyn Queue) {
    const LIMIT: i64 = 1 << 53;
    queue
        .push(&[
            hint("q", 1, LIMIT),
            hint("q", 2, LIMIT - 1),
            hint("q", 3, -LIMIT),
            hint("q", 4, 1 - LIMIT),
            hint("q", 5, 0),
        ])
        .await
        .unwrap();
    assert_eq!(now(queue, &["q"], 9).await, [3, 4, 5, 2, 1]);
}

/// A ping answers.
pub async fn ping_answers(queue: &dyn Queue) {
    queue.ping().await.unwrap();
}
