//! The log lines of one attempt that are still to be sent: bounded, without I/O.

use std::collections::VecDeque;

/// Largest batch of one call.
pub(crate) const BATCH_BYTES: usize = 256 << 10;
/// Most bytes that wait; what comes beyond is lost, with a mark.
pub(crate) const BUFFER_BYTES: usize = 4 << 20;

/// Most bytes of the end of a log that is too long.
pub(crate) const TAIL_BYTES: usize = 32 << 10;

/// A batch on its way. It is the same until it is acknowledged, since its call may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Byte offset in the attempt's log.
    pub(crate) offset: u64,
    /// Whole lines.
    pub(crate) data: Vec<u8>,
}

/// Lines in order, from where the log stands.
#[derive(Debug, Default)]
pub(crate) struct LogBuffer {
    waiting: Vec<u8>,
    sent: u64,
    batch: Option<Batch>,
    lost: u64,
}

impl LogBuffer {
    /// Whether a line of this length has room.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        // A line that alone is larger than all has room in an empty buffer: it is one line.
        self.waiting.is_empty() || self.waiting.len() + bytes < BUFFER_BYTES
    }

    /// Takes a line with its line end. After lines were lost, a mark goes before it.
    pub(crate) fn push(&mut self, line: &[u8], mark: impl FnOnce(u64) -> Vec<u8>) {
        if self.lost > 0 {
            self.waiting.extend(mark(std::mem::take(&mut self.lost)));
        }
        self.waiting.extend_from_slice(line);
    }

    /// Counts a line that had no room.
    pub(crate) fn lose(&mut self) {
        self.lost += 1;
    }

    /// Puts the mark of lost lines at the end, if there are any that have none.
    pub(crate) fn close(&mut self, mark: impl FnOnce(u64) -> Vec<u8>) {
        if self.lost > 0 {
            self.push(b"", mark);
        }
    }

    /// Whether a full batch waits.
    pub(crate) fn is_batch_ready(&self) -> bool {
        self.waiting.len() >= BATCH_BYTES
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.batch.is_none()
    }

    /// The batch to send: the one on its way, or the next one, cut at a line end.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.batch.is_none() && !self.waiting.is_empty() {
            let end = if self.waiting.len() <= BATCH_BYTES {
                self.waiting.len()
            } else {
                // Cut after the last whole line; a single longer line goes alone.
                let window = &self.waiting[..BATCH_BYTES];
                match window.iter().rposition(|byte| *byte == b'\n') {
                    Some(at) => at + 1,
                    None => self.waiting.iter().position(|byte| *byte == b'\n').map_or(self.waiting.len(), |at| at + 1),
                }
            };
            let rest = self.waiting.split_off(end);
            self.batch = Some(Batch { offset: self.sent, data: std::mem::replace(&mut self.waiting, rest) });
        }
        self.batch.clone()
    }

    /// The batch on its way has arrived.
    pub(crate) fn acknowledge(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.sent = batch.offset + batch.data.len() as u64;
        }
    }

    /// Forgets what is not acknowledged, and hands it over: what comes next begins where the log stands.
    pub(crate) fn rewind(&mut self) -> Vec<u8> {
        let mut rest = self.batch.take().map(|batch| batch.data).unwrap_or_default();
        rest.append(&mut self.waiting);
        self.lost = 0;
        rest
    }

    /// Forgets everything: nobody takes the log any more.
    pub(crate) fn discard(&mut self) {
        self.waiting = Vec::new();
        self.batch = None;
        self.lost = 0;
    }
}

/// The last lines of a log that became too long: what a task says at its end is what people look for.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    left_out: u64,
}

impl Tail {
    /// Takes a line with its line end; older ones go for it.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.lines.push_back(line.to_vec());
        self.bytes += line.len();
        while self.bytes > TAIL_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    /// How many lines are left out, and those that are not.
    pub(crate) fn take(&mut self) -> (u64, Vec<u8>) {
        let tail = std::mem::take(self);
        (tail.left_out, tail.lines.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(lost: u64) -> Vec<u8> {
        format!("lost {lost}\n").into_bytes()
    }

    #[test]
    fn a_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        for n in 0..10_000 {
            tail.push(format!("{n:09}\n").as_bytes());
        }
        let (left_out, lines) = tail.take();
        assert_eq!(lines.len() / 10 + usize::try_from(left_out).unwrap(), 10_000);
        assert!(lines.len() <= TAIL_BYTES && lines.len() > TAIL_BYTES - 20);
        assert!(lines.ends_with(b"000009999\n"));
        tail.push(&vec![b'x'; 2 * TAIL_BYTES]);
        assert_eq!(tail.take(), (1, Vec::new()));
    }

    #[test]
    fn what_was_refused_is_handed_over() {
        let mut buffer = LogBuffer::default();
        buffer.push(b"one\n", mark);
        buffer.next_batch().unwrap();
        buffer.acknowledge();
        buffer.push(b"two\n", mark);
        buffer.next_batch().unwrap();
        buffer.push(b"three\n", mark);
        assert_eq!(buffer.rewind(), b"two\nthree\n");
        buffer.push(b"end\n", mark);
        assert_eq!(buffer.next_batch(), Some(Batch { offset: 4, data: b"end\n".to_vec() }));
    }

    #[test]
    fn a_batch_stays_the_same_until_it_is_acknowledged() {
        let mut buffer = LogBuffer::default();
        assert_eq!(buffer.next_batch(), None);
        buffer.push(b"one\n", mark);
        let first = buffer.next_batch().unwrap();
        buffer.push(b"two\n", mark);
        assert_eq!(buffer.next_batch().unwrap(), first);
        buffer.acknowledge();
        let second = buffer.next_batch().unwrap();
        assert_eq!((second.offset, second.data.as_slice()), (4, b"two\n".as_slice()));
        buffer.acknowledge();
        assert!(buffer.is_done());
    }

    #[test]
    fn batches_end_at_lines() {
        let mut buffer = LogBuffer::default();
        let line = [vec![b'x'; BATCH_BYTES / 3], vec![b'\n']].concat();
        for _ in 0..4 {
            buffer.push(&line, mark);
        }
        assert!(buffer.is_batch_ready());
        let first = buffer.next_batch().unwrap();
        assert_eq!(first.data.len(), 2 * line.len());
        buffer.acknowledge();
        assert_eq!(buffer.next_batch().unwrap().offset, 2 * line.len() as u64);

        let mut buffer = LogBuffer::default();
        let long = [vec![b'y'; 2 * BATCH_BYTES], vec![b'\n']].concat();
        buffer.push(&long, mark);
        buffer.push(b"z\n", mark);
        assert_eq!(buffer.next_batch().unwrap().data, long);
    }

    #[test]
    fn lost_lines_are_counted_where_they_are_missing() {
        let mut buffer = LogBuffer::default();
        buffer.push(&vec![b'x'; BUFFER_BYTES - 10], mark);
        assert!(!buffer.has_room(10));
        buffer.lose();
        buffer.lose();
        buffer.push(b"next\n", mark);
        buffer.lose();
        buffer.close(mark);
        buffer.close(mark);
        let text = String::from_utf8(buffer.waiting).unwrap();
        assert!(text.ends_with("lost 2\nnext\nlost 1\n"), "{}", &text[text.len() - 40..]);
    }
}
