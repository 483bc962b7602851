//! A check for people, and as JSON.

use serde_json::{Value, json};
use tradewind_dags::review::{Finding, Level, Planned, Upcoming};

use super::{Checked, print_json};
use crate::{
    errors::CliError,
    output::{self, Format, Record, Text, Tone, paint},
};

/// Prints it file by file: place, what, how to mend it.
pub(super) fn people(checked: &Checked) -> Result<(), CliError> {
    let widest = |of: fn(&Finding) -> usize| checked.findings.iter().map(of).max().unwrap_or(0);
    let (line_width, rule_width) = (widest(|finding| place(finding).len()), widest(|finding| finding.rule.id.len()));
    let mut file = None;
    for finding in &checked.findings {
        if file != Some(&finding.file) {
            let gap = if file.is_some() { "\n" } else { "" };
            output::line(format!("{gap}{}", paint(Tone::Bold, &finding.file)))?;
            file = Some(&finding.file);
        }
        let level = paint(tone(finding.level), format!("{:7}", finding.level.as_str()));
        let rule = paint(Tone::Dim, format!("{:rule_width$}", finding.rule.id));
        let indent = " ".repeat(2 + line_width + 2 + 7 + 2 + rule_width + 2);
        let mut lines = finding.message.lines();
        let first = lines.next().unwrap_or_default();
        output::line(format!("  {:>line_width$}  {level}  {rule}  {first}", place(finding)))?;
        for more in lines {
            output::line(format!("{indent}{more}").trim_end())?;
        }
        for drawn in finding.drawing.iter().flat_map(|drawing| drawing.lines()) {
            output::line(format!("{indent}{}", paint(Tone::Warn, drawn)))?;
        }
        if let Some(mend) = &finding.mend {
            output::line(format!("{indent}{} {mend}", paint(Tone::Info, "mend:")))?;
        }
    }
    if !checked.planned.is_empty() {
        if !checked.findings.is_empty() {
            output::line("")?;
        }
        let rows: Vec<PlannedRow<'_>> = checked.planned.iter().map(PlannedRow).collect();
        output::print_listing(Format::Table, &rows, rows.len() as u64)?;
    }
    summary(checked);
    Ok(())
}

fn summary(checked: &Checked) {
    let compared = &checked.compared;
    if let Some(with) = &compared.with {
        let what: Vec<&str> = ["pools", "queues", "connections"]
            .into_iter()
            .filter(|what| !compared.not_checked.contains(what))
            .collect();
        output::note(&paint(Tone::Dim, format!("Compared {} with {with}.", listed(&what))));
    }
    if !compared.not_checked.is_empty() {
        let because = compared.because.as_deref().unwrap_or("nothing answered");
        output::note(&paint(Tone::Dim, format!("Not checked: {} ({because}).", listed(&compared.not_checked))));
    }
    let count = |level, one: &str| {
        let count = checked.count(level);
        let text = format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        paint(if count > 0 { tone(level) } else { Tone::Dim }, text)
    };
    output::note(&format!(
        "{} files, {} DAGs: {}, {}, {}",
        checked.files,
        checked.planned.len(),
        count(Level::Error, "error"),
        count(Level::Warning, "warning"),
        count(Level::Note, "note")
    ));
}

fn listed(what: &[&str]) -> String {
    match what {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

const fn tone(level: Level) -> Tone {
    match level {
        Level::Error => Tone::Bad,
        Level::Warning => Tone::Warn,
        Level::Note => Tone::Info,
    }
}

/// Line and column.
fn place(finding: &Finding) -> String {
    match (finding.line, finding.column) {
        (Some(line), Some(column)) => format!("{line}:{column}"),
        (Some(line), None) => line.to_string(),
        _ => String::new(),
    }
}

struct PlannedRow<'p>(&'p Planned);

impl serde::Serialize for PlannedRow<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        schedule_json(self.0).serialize(serializer)
    }
}

impl Record for PlannedRow<'_> {
    const HEADINGS: &'static [&'static str] = &["dag_id", "schedule", "zone", "next five runs"];

    fn cells(&self) -> Vec<Text> {
        let planned = self.0;
        let next = match &planned.upcoming {
            Upcoming::Otherwise(how) => Text::toned(Tone::Dim, how),
            Upcoming::Unknown(_) => Text::toned(Tone::Bad, "not known: its timetable raises"),
            Upcoming::Times(times) if times.is_empty() => Text::toned(Tone::Warn, "none"),
            Upcoming::Times(times) => {
                let times = output::compact_times(times, &planned.timezone);
                Text::plain(times.join(", "))
            }
        };
        vec![
            Text::plain(&planned.dag_id),
            Text::plain(planned.schedule.as_deref().unwrap_or("-")),
            Text::plain(&planned.timezone),
            next,
        ]
    }
}

fn schedule_json(planned: &Planned) -> Value {
    let times: Vec<String> =
        planned.upcoming.times().iter().map(|at| output::iso_in_zone(*at, &planned.timezone)).collect();
    let how = match &planned.upcoming {
        Upcoming::Otherwise(how) => Value::from(*how),
        Upcoming::Unknown(_) => Value::from("not known: its timetable raises"),
        Upcoming::Times(_) => Value::Null,
    };
    json!({
        "dag_id": planned.dag_id,
        "file": planned.file,
        "schedule": planned.schedule,
        "timezone": planned.timezone,
        "next_runs": times,
        "runs": how,
    })
}

/// Prints everything as one JSON object.
pub(super) fn json(checked: &Checked) -> Result<(), CliError> {
    let findings: Vec<Value> = checked
        .findings
        .iter()
        .map(|finding| {
            json!({
                "rule": finding.rule.id,
                "level": finding.level.as_str(),
                "file": finding.file,
                "line": finding.line,
                "column": finding.column,
                "dag_id": finding.dag_id,
                "task_id": finding.task_id,
                "message": finding.message,
                "mend": finding.mend,
                "drawing": finding.drawing,
            })
        })
        .collect();
    print_json(&json!({
        "findings": findings,
        "schedules": checked.planned.iter().map(schedule_json).collect::<Vec<_>>(),
        "compared": checked.compared,
        "summary": {
            "files": checked.files,
            "dags": checked.planned.len(),
            "errors": checked.count(Level::Error),
            "warnings": checked.count(Level::Warning),
            "notes": checked.count(Level::Note),
        },
    }))
}
