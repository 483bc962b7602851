//! The progress of a backfill: a bar in a terminal, lines elsewhere.

use std::{collections::HashMap, io::Write as _, time::Duration};

use tradewind_proto::v1;
use tradewind_types::Timestamp;

use super::{get, records::is_over};
use crate::{
    client::Client,
    errors::{CliError, Exit},
    output::{self, Tone, paint},
};

/// How often the scheduler is asked.
const PERIOD: Duration = Duration::from_millis(500);
/// Characters of the bar.
const BAR: usize = 40;
/// Running dates that are named below the bar.
const NAMED: usize = 5;

/// Watches a backfill until all its runs are over and answers how it is then. Ctrl-C stops the watching, not the backfill.
///
/// # Errors
/// No scheduler answers for longer than a failover takes, there is no such backfill, or the person stopped watching.
pub(super) async fn follow(client: &Client, no: u64) -> Result<v1::BackfillResponse, CliError> {
    let watching = async {
        let mut display = Display::new();
        loop {
            let now = get(client, no).await?;
            display.show(&now, Timestamp::now());
            if now.items.iter().all(is_over) || now.backfill.as_ref().is_some_and(|row| row.completed_at.is_some()) {
                return Ok(now);
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        result = watching => result,
        interrupted = tokio::signal::ctrl_c() => Err(match interrupted {
            Ok(()) => CliError::new(Exit::Interrupted, format!("stopped watching; backfill {no} goes on"))
                .with_hint(format!("end it with `tradewind backfill cancel {no}`")),
            Err(error) => error.into(),
        }),
    }
}

/// How many dates are in which state.
#[derive(Default)]
struct Counts {
    success: usize,
    failed: usize,
    running: usize,
    queued: usize,
    skipped: usize,
}

impl Counts {
    fn of(items: &[v1::BackfillItem]) -> Self {
        let mut counts = Self::default();
        for item in items {
            let count = match (item.skipped.is_some(), item.state.as_deref()) {
                (true, _) => &mut counts.skipped,
                (false, Some("success")) => &mut counts.success,
                (false, Some("failed")) => &mut counts.failed,
                (false, Some("running")) => &mut counts.running,
                (false, _) => &mut counts.queued,
            };
            *count += 1;
        }
        counts
    }

    const fn over(&self) -> usize {
        self.success + self.failed
    }

    const fn all(&self) -> usize {
        self.over() + self.running + self.queued
    }

    fn words(&self) -> String {
        let mut parts = vec![format!("{}/{} runs over", self.over(), self.all())];
        if self.running > 0 {
            parts.push(format!("{} running", self.running));
        }
        if self.queued > 0 {
            parts.push(format!("{} queued", self.queued));
        }
        if self.failed > 0 {
            parts.push(paint(Tone::Bad, format!("{} failed", self.failed)));
        }
        if self.skipped > 0 {
            parts.push(format!("{} dates left alone", self.skipped));
        }
        parts.join(", ")
    }

    /// What succeeded, what failed and what runs, as shares of a bar.
    fn bar(&self) -> String {
        let all = self.all().max(1);
        let width = |count: usize| count * BAR / all;
        let (good, bad, busy) = (width(self.success), width(self.failed), width(self.running));
        // What is there at all shows, if there is room.
        let rest = BAR - (good + bad + busy).min(BAR);
        let bad = if self.failed > 0 && bad == 0 && rest > 0 { 1 } else { bad };
        let rest = BAR - (good + bad + busy).min(BAR);
        let busy = if self.running > 0 && busy == 0 && rest > 0 { 1 } else { busy };
        let rest = BAR - (good + bad + busy).min(BAR);
        format!(
            "{}{}{}{}",
            paint(Tone::Good, "█".repeat(good)),
            paint(Tone::Bad, "█".repeat(bad)),
            paint(Tone::Busy, "▒".repeat(busy)),
            paint(Tone::Dim, "·".repeat(rest)),
        )
    }
}

/// Shows a backfill again and again.
struct Display {
    is_live: bool,
    /// Lines drawn last: the cursor stands below them.
    drawn: usize,
    shown: HashMap<u32, String>,
}

impl Display {
    fn new() -> Self {
        Self { is_live: output::stderr_is_terminal(), drawn: 0, shown: HashMap::new() }
    }

    fn show(&mut self, now: &v1::BackfillResponse, at: Timestamp) {
        if !self.is_live {
            for line in self.changes(now) {
                output::note(&format!("{} {line}", at.strftime("%H:%M:%S")));
            }
            return;
        }
        let lines = lines(now, at);
        let up = if self.drawn > 0 { format!("\u{1b}[{}A", self.drawn) } else { String::new() };
        let text: String = lines.iter().map(|line| format!("{line}\u{1b}[K\n")).collect();
        self.drawn = lines.len();
        // Nobody is left to be told that standard error is gone.
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{up}{text}\u{1b}[J").and_then(|()| err.flush());
    }

    fn changes(&mut self, now: &v1::BackfillResponse) -> Vec<String> {
        let mut lines = Vec::new();
        for item in &now.items {
            let state = item.state.clone().unwrap_or_default();
            if item.skipped.is_none() && self.shown.get(&item.ordinal) != Some(&state) {
                // What waits for its turn is no news.
                if state != "queued" {
                    lines.push(format!("{} {state}", output::iso(item.logical_date)));
                }
                self.shown.insert(item.ordinal, state);
            }
        }
        if !lines.is_empty() {
            lines.push(Counts::of(&now.items).words());
        }
        lines
    }
}

fn lines(now: &v1::BackfillResponse, at: Timestamp) -> Vec<String> {
    let counts = Counts::of(&now.items);
    let backfill = now.backfill.as_ref();
    let created = backfill.map_or(0, |row| row.created_at);
    let until = backfill.and_then(|row| row.completed_at).unwrap_or_else(|| at.as_microsecond());
    let paused = match backfill {
        Some(row) if row.is_paused => paint(Tone::Warn, "  paused"),
        _ => String::new(),
    };
    let took = output::duration(output::since(created, until));
    let mut lines = vec![format!("  {}  {}, {took}{paused}", counts.bar(), counts.words())];
    let running: Vec<_> = now.items.iter().filter(|item| item.state.as_deref() == Some("running")).collect();
    for item in running.iter().take(NAMED) {
        let run_id = item.run_id.as_deref().unwrap_or_default();
        lines.push(format!("    {} {run_id}", paint(Tone::Busy, output::state_symbol("running"))));
    }
    if running.len() > NAMED {
        lines.push(paint(Tone::Dim, format!("    … and {} more", running.len() - NAMED)));
    }
    lines
}

/// One line about how a backfill ended.
pub(super) fn verdict(last: &v1::BackfillResponse) -> String {
    let counts = Counts::of(&last.items);
    let (no, dag_id) = last.backfill.as_ref().map_or((0, ""), |row| (row.no, row.dag_id.as_str()));
    let (tone, state) = if counts.failed > 0 { (Tone::Bad, "failed") } else { (Tone::Good, "success") };
    format!(
        "{} backfill {no} of {dag_id}: {}",
        paint(tone, output::state_symbol(state)),
        paint(Tone::Plain, counts.words())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(states: &[&str]) -> v1::BackfillResponse {
        let item = |(place, state): (usize, &&str)| v1::BackfillItem {
            ordinal: u32::try_from(place).unwrap() + 1,
            logical_date: 0,
            run_id: Some(format!("backfill__{place}")),
            state: (*state != "skipped").then(|| (*state).to_owned()),
            skipped: (*state == "skipped").then(|| "already exists".to_owned()),
        };
        v1::BackfillResponse {
            backfill: Some(v1::Backfill { no: 7, dag_id: "d".to_owned(), ..Default::default() }),
            items: states.iter().enumerate().map(item).collect(),
        }
    }

    fn bare(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_bar_has_one_length_and_shows_every_kind() {
        for states in [vec!["success"; 3], vec!["queued"; 200], vec!["running"; 1], vec!["failed"; 7]] {
            assert_eq!(bare(&Counts::of(&items(&states).items).bar()).chars().count(), BAR);
        }
        let mut many = vec!["queued"; 997];
        many.extend(["failed", "running", "success"]);
        let bar = bare(&Counts::of(&items(&many).items).bar());
        assert_eq!(bar.chars().filter(|c| *c == '█').count(), 1, "one failure in a thousand shows: {bar}");
        assert!(bar.contains('▒') && bar.chars().count() == BAR, "{bar}");
    }

    #[test]
    fn dates_that_are_left_alone_are_no_runs() {
        let now = items(&["success", "failed", "skipped", "running", "queued"]);
        let words = bare(&Counts::of(&now.items).words());
        assert_eq!(words, "2/4 runs over, 1 running, 1 queued, 1 failed, 1 dates left alone");
        let shown = lines(&now, Timestamp::UNIX_EPOCH);
        assert!(bare(&shown[1]).ends_with("backfill__3"), "{shown:?}");
        assert!(bare(&verdict(&now)).starts_with("✗ backfill 7 of d: "));
    }

    #[test]
    fn only_changes_are_told() {
        let mut display = Display { is_live: false, drawn: 0, shown: HashMap::new() };
        assert!(display.changes(&items(&["queued", "skipped"])).is_empty());
        assert_eq!(display.changes(&items(&["running", "skipped"])).len(), 2, "the date and the counts");
        assert!(display.changes(&items(&["running", "skipped"])).is_empty());
    }
}
