//! Splits a byte stream into lines of bounded length.

/// A longer line is broken, at white space where there is some near the end: a secret has none, so it stays whole and
/// can be masked.
const MAX_LINE: usize = 64 << 10;
/// How far back a break looks for white space.
const BREAK_WINDOW: usize = 8 << 10;

/// Collects bytes and hands out whole lines.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    rest: Vec<u8>,
    /// The last whole line, however long, up to `last_limit`.
    last: LastLine,
}

/// The last line of a stream, for the `return_value` of `bash`.
#[derive(Debug, Default)]
struct LastLine {
    current: Vec<u8>,
    done: Option<Vec<u8>>,
    limit: usize,
}

impl LineSplitter {
    /// Keeps up to `limit` bytes of the last line.
    pub(crate) fn new(limit: usize) -> Self {
        Self { rest: Vec::new(), last: LastLine { limit, ..LastLine::default() } }
    }

    /// Takes a chunk and gives back the lines that are complete now.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut parts = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.rest.extend_from_slice(part);
            self.last.extend(part);
            while self.rest.len() > MAX_LINE {
                let cut = break_at(&self.rest);
                lines.push(text(&self.rest[..cut]));
                self.rest.drain(..cut);
            }
            if parts.peek().is_some() {
                lines.push(text(&self.rest));
                self.rest.clear();
                self.last.end();
            }
        }
        lines
    }

    /// Ends the stream: the rest without a line end, and the last line of all, without white space at its end. The
    /// last line is an error with its known length when it is over the limit.
    pub(crate) fn finish(mut self) -> (Option<String>, Result<String, usize>) {
        let rest = (!self.rest.is_empty()).then(|| text(&self.rest));
        if !self.last.current.is_empty() {
            self.last.end();
        }
        let last = self.last.done.unwrap_or_default();
        if last.len() > self.last.limit {
            return (rest, Err(last.len()));
        }
        let mut last = text(&last);
        last.truncate(last.trim_end().len());
        (rest, Ok(last))
    }
}

impl LastLine {
    fn extend(&mut self, bytes: &[u8]) {
        // One byte over the limit is enough to know that it is over.
        let room = (self.limit + 1).saturating_sub(self.current.len());
        self.current.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self) {
        self.done = Some(std::mem::take(&mut self.current));
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

fn break_at(bytes: &[u8]) -> usize {
    let from = MAX_LINE - BREAK_WINDOW;
    if let Some(at) = bytes[from..MAX_LINE].iter().rposition(u8::is_ascii_whitespace) {
        return from + at + 1;
    }
    // No white space: at least tear no UTF-8 character.
    (from..=MAX_LINE).rev().find(|at| bytes.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80)).unwrap_or(MAX_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_chunks_are() {
        let mut splitter = LineSplitter::new(100);
        assert_eq!(splitter.push(b"one\ntw"), ["one"]);
        assert_eq!(splitter.push(b"o\r\n\nthree"), ["two", ""]);
        let (rest, last) = splitter.finish();
        assert_eq!(rest.as_deref(), Some("three"));
        assert_eq!(last.as_deref(), Ok("three"));
    }

    #[test]
    fn the_last_line_is_the_last_ended_one_and_may_be_empty() {
        let mut splitter = LineSplitter::new(100);
        splitter.push(b"value \n");
        assert_eq!(splitter.finish().1.as_deref(), Ok("value"));
        let mut splitter = LineSplitter::new(100);
        splitter.push(b"value\n\n");
        assert_eq!(splitter.finish().1.as_deref(), Ok(""));
        assert_eq!(LineSplitter::new(100).finish().1.as_deref(), Ok(""));
    }

    #[test]
    fn a_last_line_over_the_limit_is_told_apart() {
        let mut splitter = LineSplitter::new(4);
        splitter.push(b"12345\n");
        assert!(splitter.finish().1.is_err());
        let mut splitter = LineSplitter::new(4);
        splitter.push(b"12345\n1234\n");
        assert_eq!(splitter.finish().1.as_deref(), Ok("1234"));
    }

    #[test]
    fn an_endless_line_is_broken_at_white_space() {
        let mut splitter = LineSplitter::new(4);
        let mut long = vec![b'x'; MAX_LINE - 10];
        long.extend_from_slice(b" secret-that-must-stay-whole");
        let lines = splitter.push(&long);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("x "));
        assert_eq!(splitter.finish().0.as_deref(), Some("secret-that-must-stay-whole"));
    }

    #[test]
    fn a_break_tears_no_character() {
        let mut splitter = LineSplitter::new(4);
        let long = "é".repeat(MAX_LINE);
        let lines = splitter.push(format!("a{long}").as_bytes());
        assert!(lines.iter().all(|line| !line.contains('\u{fffd}')));
    }
}
