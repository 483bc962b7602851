//! Colours with a meaning, and the colours and symbols of states.

use anstyle::{AnsiColor, Color, Style};

/// What a colour means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
    /// It went well.
    Good,
    /// It failed.
    Bad,
    /// It needs attention, or will be tried again.
    Warn,
    /// It is going on.
    Busy,
    /// Neutral, but worth finding.
    Info,
    /// It was left out.
    Skip,
}

impl Tone {
    /// The tone as a terminal style.
    pub fn style(self) -> Style {
        let color = |color| Style::new().fg_color(Some(Color::Ansi(color)));
        match self {
            Self::Plain => Style::new(),
            Self::Dim => Style::new().dimmed(),
            Self::Bold => Style::new().bold(),
            Self::Good => color(AnsiColor::Green),
            Self::Bad => color(AnsiColor::Red),
            Self::Warn => color(AnsiColor::Yellow),
            Self::Busy => color(AnsiColor::BrightGreen),
            Self::Info => color(AnsiColor::Cyan),
            Self::Skip => color(AnsiColor::Magenta),
        }
    }
}

/// Text in a tone, with the codes that end it.
pub fn paint(tone: Tone, text: impl std::fmt::Display) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// In which tone.
    pub tone: Tone,
    /// Whether it is a number, which is aligned to the right.
    pub is_number: bool,
}

impl Text {
    /// Plain text.
    pub fn plain(text: impl ToString) -> Self {
        Self { text: text.to_string(), ..Self::default() }
    }

    /// Text in a tone.
    pub fn toned(tone: Tone, text: impl ToString) -> Self {
        Self { text: text.to_string(), tone, is_number: false }
    }

    /// A number.
    pub fn number(number: impl ToString) -> Self {
        Self { text: number.to_string(), tone: Tone::Plain, is_number: true }
    }

    /// An instant as [`super::iso`] writes it, to the second: `2026-01-01T00:00:00Z`.
    pub fn instant(iso: Option<&str>) -> Self {
        let Some(iso) = iso else {
            return Self::default();
        };
        let civil = iso.split(['.', '+']).next().unwrap_or_default();
        Self::plain(format!("{civil}Z"))
    }

    /// Text, or nothing.
    pub fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(Self::default, Self::plain)
    }

    /// The first line of a text, cut to `limit` characters.
    pub fn brief(text: &str, limit: usize) -> Self {
        let first = text.lines().next().unwrap_or_default();
        if first.chars().count() > limit || first.len() < text.trim_end().len() {
            let cut: String = first.chars().take(limit.saturating_sub(1)).collect();
            return Self::plain(format!("{cut}…"));
        }
        Self::plain(first)
    }
}

/// The tone of a state of a run or task instance: near Airflow's colours.
pub fn state_tone(state: &str) -> Tone {
    match state {
        "success" => Tone::Good,
        "failed" | "upstream_failed" => Tone::Bad,
        "up_for_retry" | "up_for_reschedule" | "restarting" | "awaiting_input" => Tone::Warn,
        "running" => Tone::Busy,
        "skipped" => Tone::Skip,
        "queued" | "scheduled" | "deferred" => Tone::Info,
        _ => Tone::Dim,
    }
}

/// One character for a state.
pub fn state_symbol(state: &str) -> char {
    match state {
        "success" => '✓',
        "failed" => '✗',
        "upstream_failed" => '⊘',
        "running" => '▶',
        "queued" => '◔',
        "scheduled" => '○',
        "up_for_retry" | "restarting" => '↻',
        "up_for_reschedule" | "deferred" | "awaiting_input" => '⏸',
        "skipped" => '»',
        "removed" => '−',
        _ => '·',
    }
}

/// A state as a cell.
pub fn state_text(state: &str) -> Text {
    Text::toned(state_tone(state), state)
}

#[cfg(test)]
mod tests {
    use tradewind_types::{RunState, TaskState};

    use super::*;

    #[test]
    fn every_state_has_a_symbol_and_every_busy_one_a_colour() {
        for state in TaskState::ALL {
            let plain = matches!(state, TaskState::NoStatus | TaskState::Removed);
            assert_eq!(state_tone(state.as_str()) == Tone::Dim, plain, "{state}");
            assert_eq!(state_symbol(state.as_str()) == '·', *state == TaskState::NoStatus, "{state}");
        }
        for state in RunState::ALL {
            assert_ne!(state_tone(state.as_str()), Tone::Dim, "{state}");
        }
    }

    #[test]
    fn instants_in_tables_end_with_their_second() {
        for iso in ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.123456+00:00"] {
            assert_eq!(Text::instant(Some(iso)).text, "2026-01-01T00:00:00Z");
        }
        assert_eq!(Text::instant(None), Text::default());
    }

    #[test]
    fn long_texts_are_cut_with_a_sign() {
        assert_eq!(Text::brief("abc", 3).text, "abc");
        assert_eq!(Text::brief("abcd", 3).text, "ab…");
        assert_eq!(Text::brief("abc\ndef", 9).text, "abc…");
        assert_eq!(Text::brief("abc\n", 9).text, "abc");
    }
}
