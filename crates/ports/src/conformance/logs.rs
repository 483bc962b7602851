//! Cases for logs.

use tradewind_types::{AttemptKey, RunNo, TiId, UNMAPPED};

use crate::{LogChunk, LogStore, StoreError};

const RUN: RunNo = RunNo(7);

fn key(task: &str, attempt: u32) -> AttemptKey {
    AttemptKey { ti: TiId::derive(RUN, &task.into(), UNMAPPED), attempt }
}

fn chunk(offset: usize, data: &[u8]) -> LogChunk {
    LogChunk { offset: offset as u64, data: data.to_vec() }
}

async fn append(logs: &dyn LogStore, key: AttemptKey, offset: usize, data: &[u8]) {
    logs.append_log(RUN, key, &chunk(offset, data)).await.unwrap();
}

async fn all(logs: &dyn LogStore, key: AttemptKey) -> Vec<u8> {
    logs.read_log(key, 0, usize::MAX).await.unwrap()
}

/// Chunks come back as one run of bytes, from any offset, up to any length.
pub async fn chunks_are_read_back(logs: &dyn LogStore) {
    let key = key("a", 1);
    assert_eq!(all(logs, key).await, b"");
    let parts: [&[u8]; 4] = [b"{\"event\": \"one\"}\n", "ü✓\0\u{1f980}\n".as_bytes(), b"\xff\xfe\n", b"last\n"];
    let mut whole = Vec::new();
    for part in parts {
        append(logs, key, whole.len(), part).await;
        whole.extend_from_slice(part);
        assert_eq!(all(logs, key).await, whole);
    }
    for offset in 0..=whole.len() + 2 {
        for max in [0, 1, 5, 18, 1000] {
            let expected: Vec<u8> = whole.iter().skip(offset).take(max).copied().collect();
            let found = logs.read_log(key, offset as u64, max).await.unwrap();
            assert_eq!(found, expected, "{max} bytes from {offset}");
        }
    }
    assert_eq!(logs.read_log(key, u64::MAX, 10).await.unwrap(), b"");
}

/// What was stored already is not stored again, whole or in part.
pub async fn a_repeated_append_changes_nothing(logs: &dyn LogStore) {
    let key = key("a", 1);
    append(logs, key, 0, b"one\n").await;
    append(logs, key, 4, b"two\n").await;
    for (offset, data) in [(0, &b"one\n"[..]), (4, b"two\n"), (0, b"one\ntwo\n"), (2, b"e\n"), (8, b"")] {
        append(logs, key, offset, data).await;
        assert_eq!(all(logs, key).await, b"one\ntwo\n");
    }
}

/// A chunk that begins before the end and goes beyond it adds what is new.
pub async fn an_overlapping_append_adds_the_rest(logs: &dyn LogStore) {
    let key = key("a", 1);
    append(logs, key, 0, b"one\n").await;
    append(logs, key, 0, b"one\ntwo\n").await;
    append(logs, key, 4, b"two\nthree\n").await;
    assert_eq!(all(logs, key).await, b"one\ntwo\nthree\n");
    assert_eq!(logs.read_log(key, 5, 6).await.unwrap(), b"wo\nthr");
}

/// A hole is never made.
pub async fn a_gap_is_refused(logs: &dyn LogStore) {
    let key = key("a", 1);
    for offset in [1, 1_000_000] {
        let refused = logs.append_log(RUN, key, &chunk(offset, b"late\n")).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(all(logs, key).await, b"");
    append(logs, key, 0, b"one\n").await;
    let refused = logs.append_log(RUN, key, &chunk(5, b"late\n")).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(all(logs, key).await, b"one\n");
}

/// Attempts are apart, and listed by number.
pub async fn attempts_are_listed_in_order(logs: &dyn LogStore) {
    let ti = key("a", 0).ti;
    assert_eq!(logs.log_attempts(ti).await.unwrap(), [0; 0]);
    for attempt in [10, 2, 1] {
        append(logs, key("a", attempt), 0, attempt.to_string().as_bytes()).await;
    }
    append(logs, key("b", 3), 0, b"other").await;
    assert_eq!(logs.log_attempts(ti).await.unwrap(), [1, 2, 10]);
    assert_eq!(all(logs, key("a", 10)).await, b"10");
    assert_eq!(all(logs, key("a", 3)).await, b"");
}

/// A worker that repeats an append while the first is still under way.
pub async fn equal_appends_at_once_are_kept_once(logs: &dyn LogStore) {
    let key = key("a", 1);
    let mut whole = Vec::new();
    for round in 0..20 {
        let line = format!("line {round}\n");
        let both = chunk(whole.len(), format!("{line}{line}").as_bytes());
        let one = chunk(whole.len(), line.as_bytes());
        let (a, b, c) = tokio::join!(
            logs.append_log(RUN, key, &one),
            logs.append_log(RUN, key, &both),
            logs.append_log(RUN, key, &one),
        );
        a.and(b).and(c).unwrap();
        whole.extend_from_slice(&both.data);
        assert_eq!(all(logs, key).await, whole);
    }
}

/// Megabytes, read in parts as a client does.
pub async fn large_logs_are_read_in_parts(logs: &dyn LogStore) {
    let key = key("a", 1);
    let mut whole = Vec::new();
    for i in 0..40_u32 {
        let part = vec![b'a' + u8::try_from(i % 26).unwrap(); 64 * 1024 + i as usize];
        append(logs, key, whole.len(), &part).await;
        whole.extend_from_slice(&part);
    }
    let mut found = Vec::new();
    loop {
        let part = logs.read_log(key, found.len() as u64, 100_000).await.unwrap();
        if part.is_empty() {
            break;
        }
        found.extend(part);
    }
    assert!(found == whole);
}
