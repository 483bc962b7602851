//! A run as lines of text.

use std::time::Duration;

use tradewind_proto::v1;
use tradewind_types::Timestamp;

use crate::output::{self, Tone, paint};

/// Characters of the bar that shows when a task instance ran within its run.
const BAR: usize = 24;

/// What a task instance is called.
fn name(ti: &v1::TaskInstance) -> String {
    if ti.map_index >= 0 { format!("{}[{}]", ti.task_id, ti.map_index) } else { ti.task_id.clone() }
}

/// How long a task instance has run, if it ran.
fn lasted(ti: &v1::TaskInstance, now: Timestamp) -> Option<Duration> {
    // What was decided without running has both dates, but lasted no time.
    if matches!(ti.state.as_str(), "skipped" | "upstream_failed") && ti.worker.is_none() {
        return None;
    }
    let end = ti.end_date.or_else(|| (ti.state == "running").then(|| now.as_microsecond()))?;
    Some(output::since(ti.start_date?, end))
}

/// A task instance in one plain line.
pub(super) fn plain_line(ti: &v1::TaskInstance, now: Timestamp) -> String {
    let mut line = format!("{} {}", name(ti), ti.state);
    if ti.try_number > 0 && ti.state != "skipped" && ti.state != "upstream_failed" {
        line.push_str(&format!(" (try {}", ti.try_number));
        if let Some(worker) = &ti.worker {
            line.push_str(&format!(" on {worker}"));
        }
        if let Some(lasted) = lasted(ti, now).filter(|_| ti.end_date.is_some()) {
            line.push_str(&format!(", {}", output::duration(lasted)));
        }
        line.push(')');
    }
    if let Some(note) = ti.note.as_deref().and_then(|note| note.lines().next()) {
        line.push_str(&format!(": {note}"));
    }
    line
}

/// The bar of a task instance: where in the run's time (microseconds `from` to `to`) it ran.
fn bar(ti: &v1::TaskInstance, from: i64, to: i64, now: Timestamp) -> String {
    let (Some(start), Some(lasted)) = (ti.start_date, lasted(ti, now)) else {
        return "·".repeat(BAR);
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position between 0 and BAR"
    )]
    let place = |at: i64| {
        let share = (at.saturating_sub(from)) as f64 / to.saturating_sub(from).max(1) as f64;
        (share.clamp(0.0, 1.0) * BAR as f64).round() as usize
    };
    let end = start.saturating_add(i64::try_from(lasted.as_micros()).unwrap_or(i64::MAX));
    let (left, right) = (place(start).min(BAR - 1), place(end));
    let right = right.clamp(left + 1, BAR);
    format!("{}{}{}", "·".repeat(left), "━".repeat(right - left), "·".repeat(BAR - right))
}

/// A run as lines: one a task instance, in the order given, and one about all of them; at most `rows` lines of at most
/// `columns` characters. What does not fit is summed up: first the finished ones go, then those that have not begun.
pub(super) fn lines(snapshot: &v1::GetRunResponse, now: Timestamp, columns: usize, rows: usize) -> Vec<String> {
    let all = &snapshot.task_instances;
    let shown = choose(all, rows.saturating_sub(2));
    let run = snapshot.run.as_ref();
    let from = run.and_then(|run| run.start_date.or(Some(run.queued_at))).unwrap_or(0);
    let to = run.and_then(|run| run.end_date).unwrap_or_else(|| now.as_microsecond());

    let width = shown.iter().map(|ti| name(ti).chars().count()).max().unwrap_or(0).min(columns / 3);
    let state_width = shown.iter().map(|ti| ti.state.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = shown
        .iter()
        .map(|ti| {
            let tone = output::state_tone(&ti.state);
            let name = fit(&name(ti), width);
            let mut line = format!(
                "  {} {name:width$}  {}  {}  {:>7}",
                paint(tone, output::state_symbol(&ti.state)),
                paint(tone, format!("{:state_width$}", ti.state)),
                paint(tone, bar(ti, from, to, now)),
                lasted(ti, now).map_or_else(String::new, output::duration),
            );
            // What is left of the line holds the rest, as far as it fits.
            let room = columns.saturating_sub(2 + 2 + width + 2 + state_width + 2 + BAR + 2 + 7 + 2);
            let rest = fit(&remarks(ti, now), room);
            if !rest.is_empty() {
                line.push_str(&format!("  {}", paint(Tone::Dim, rest)));
            }
            line
        })
        .collect();
    let hidden = all.len() - shown.len();
    if hidden > 0 {
        lines.push(paint(Tone::Dim, fit(&format!("    … and {hidden} more task instances"), columns)));
    }
    lines.push(summary(snapshot, from, to));
    lines
}

fn remarks(ti: &v1::TaskInstance, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if ti.try_number > 1 || ti.state == "up_for_retry" {
        parts.push(format!("try {}/{}", ti.try_number, ti.max_tries.saturating_add(1)));
    }
    match (ti.state.as_str(), &ti.worker, ti.next_at) {
        ("up_for_retry" | "up_for_reschedule", _, Some(at)) => {
            parts.push(format!("again in {}", output::duration(output::since(now.as_microsecond(), at))));
        }
        ("queued", ..) => parts.push(format!("queue {}", ti.queue)),
        ("scheduled", ..) => parts.push(format!("pool {}", ti.pool)),
        (_, Some(worker), _) => parts.push(worker.clone()),
        _ => {}
    }
    if let Some(note) = ti.note.as_deref().and_then(|note| note.lines().next()) {
        parts.push(note.to_owned());
    }
    parts.join(" · ")
}

fn summary(snapshot: &v1::GetRunResponse, from: i64, to: i64) -> String {
    let all = &snapshot.task_instances;
    let count = |wanted: &[&str]| all.iter().filter(|ti| wanted.contains(&ti.state.as_str())).count();
    let done = count(&["success", "failed", "skipped", "upstream_failed", "removed"]);
    let state = snapshot.run.as_ref().map_or("", |run| run.state.as_str());
    let failed = count(&["failed", "upstream_failed"]);
    let mut text = format!(
        "  {} {done}/{} done, {} running",
        paint(output::state_tone(state), state),
        all.len(),
        count(&["running"])
    );
    if failed > 0 {
        text.push_str(&format!(", {}", paint(Tone::Bad, format!("{failed} failed"))));
    }
    text.push_str(&format!(", {}", output::duration(output::since(from, to))));
    text
}

/// At most `room` task instances, in their order.
fn choose(all: &[v1::TaskInstance], room: usize) -> Vec<&v1::TaskInstance> {
    let mut shown: Vec<&v1::TaskInstance> = all.iter().collect();
    for droppable in
        [&["success", "skipped", "removed"][..], &["no_status"], &["upstream_failed", "scheduled", "queued"]]
    {
        let mut surplus = shown.len().saturating_sub(room);
        shown.retain(|ti| {
            let drop = surplus > 0 && droppable.contains(&ti.state.as_str());
            surplus -= usize::from(drop);
            !drop
        });
    }
    shown.truncate(room);
    shown
}

/// A text cut to `width` characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, state: &str, from: Option<i64>, to: Option<i64>) -> v1::TaskInstance {
        v1::TaskInstance {
            id: name.to_owned(),
            task_id: name.to_owned(),
            map_index: -1,
            state: state.to_owned(),
            try_number: 1,
            start_date: from.map(|secs| secs * 1_000_000),
            end_date: to.map(|secs| secs * 1_000_000),
            worker: from.map(|_| "worker-1".to_owned()),
            queue: "default".to_owned(),
            ..Default::default()
        }
    }

    fn snapshot(tasks: Vec<v1::TaskInstance>) -> v1::GetRunResponse {
        let run = v1::DagRun { state: "running".to_owned(), start_date: Some(0), ..Default::default() };
        v1::GetRunResponse { run: Some(run), task_instances: tasks }
    }

    fn bare(snapshot: &v1::GetRunResponse, columns: usize, rows: usize) -> Vec<String> {
        let now = Timestamp::from_second(10).unwrap();
        lines(snapshot, now, columns, rows)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn tasks_align_with_their_bars() {
        let snapshot = snapshot(vec![
            task("extract", "success", Some(0), Some(5)),
            task("train", "running", Some(5), None),
            task("notify", "no_status", None, None),
        ]);
        assert_eq!(
            bare(&snapshot, 120, 20),
            [
                "  ✓ extract  success    ━━━━━━━━━━━━············     5.0s  worker-1",
                "  ▶ train    running    ············━━━━━━━━━━━━     5.0s  worker-1",
                "  · notify   no_status  ························",
                "  running 1/3 done, 1 running, 10s",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_summed_up_and_the_busy_ones_stay() {
        let mut tasks: Vec<_> = (0..50).map(|n| task(&format!("done{n}"), "success", Some(0), Some(1))).collect();
        tasks.push(task("busy", "running", Some(5), None));
        tasks.push(task("broken", "failed", Some(5), Some(6)));
        tasks.extend((0..50).map(|n| task(&format!("later{n}"), "no_status", None, None)));
        let lines = bare(&snapshot(tasks), 80, 10);
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().any(|line| line.contains("busy")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("broken")), "{lines:?}");
        assert!(lines[8].contains("94 more"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    }

    #[test]
    fn plain_lines_name_try_worker_and_time() {
        let now = Timestamp::from_second(10).unwrap();
        let mut ti = task("train", "failed", Some(2), Some(5));
        ti.note = Some("ValueError: no\nmore".to_owned());
        assert_eq!(plain_line(&ti, now), "train failed (try 1 on worker-1, 3.0s): ValueError: no");
        assert_eq!(plain_line(&task("x", "skipped", None, None), now), "x skipped");
    }
}
