//! Progress in a terminal: lines that are drawn over again.

use std::io::Write as _;

use tradewind_proto::v1;
use tradewind_types::Timestamp;

use super::{Display, view};
use crate::output;

/// Draws a run in place.
#[derive(Default)]
pub(super) struct Live {
    /// Lines drawn last: the cursor stands below them.
    drawn: usize,
}

impl Display for Live {
    fn show(&mut self, snapshot: &v1::GetRunResponse, now: Timestamp) {
        let (columns, rows) = output::terminal_size().unwrap_or((80, 24));
        let lines = view::lines(snapshot, now, columns, rows.saturating_sub(1));
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A", self.drawn));
        }
        for line in &lines {
            // Each line is cleared to its end; one write a frame keeps it from flickering.
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        // A smaller frame leaves no rest of the last one.
        text.push_str("\u{1b}[J");
        self.drawn = lines.len();
        // Movements of the cursor must reach the terminal even when colours are off.
        let text = if has_colors() { text } else { strip_colors(&text) };
        let mut err = std::io::stderr().lock();
        // Nobody is left to be told that standard error is gone.
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    fn is_animated(&self) -> bool {
        true
    }
}

fn has_colors() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Removes colours (`ESC [ … m`) and leaves other sequences.
fn strip_colors(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(before);
        let end = sequence[2..].find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 3);
        if !sequence[..end].ends_with('m') {
            out.push_str(&sequence[..end]);
        }
        rest = &sequence[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_movements_stay() {
        assert_eq!(strip_colors("\u{1b}[2A\u{1b}[32mok\u{1b}[0m\u{1b}[K\nä"), "\u{1b}[2Aok\u{1b}[K\nä");
    }
}
