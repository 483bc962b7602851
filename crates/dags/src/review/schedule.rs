//! Schedules that will surprise.

use tradewind_types::{DagSpec, Timestamp, Timetable};

use super::{Finding, Upcoming, next::backlog};

/// Runs of a backlog that are counted.
const COUNTED: usize = 100_000;

/// What is odd about when a DAG runs; the place is the caller's to fill in.
pub(super) fn findings(spec: &DagSpec, upcoming: &Upcoming, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule, message: String, mend: &str| found.push(Finding::new(rule, "", message).mend(mend));
    let dag_id = &spec.dag_id;
    let schedule = spec.schedule_text.as_deref().unwrap_or("its schedule");
    if let Upcoming::Unknown(error) = upcoming {
        add(
            "timetable-raises",
            format!("the timetable of \"{dag_id}\" raises: {error}"),
            "mend next_dagrun_info of its class",
        );
    }
    let by_time = matches!(upcoming, Upcoming::Times(_));
    if by_time && upcoming.times().is_empty() {
        let ended = spec.end_date.is_some_and(|end| end <= now);
        if ended {
            add(
                "never-runs",
                format!("\"{dag_id}\" ({schedule}) has no more runs: its end_date is past"),
                "move end_date, or set schedule=None",
            );
        } else {
            add(
                "never-runs",
                format!("\"{dag_id}\" ({schedule}) will never run: its schedule gives no time"),
                "give it a start_date, or another schedule",
            );
        }
    }
    if spec.start_date.is_none() && spec.timetable.is_periodic() {
        add(
            "no-start-date",
            format!(
                "\"{dag_id}\" has a schedule ({schedule}) and no start_date: its first run depends on when it is first loaded"
            ),
            "give it a start_date, with a time zone",
        );
    }
    if spec.catchup && spec.start_date.is_some_and(|start| start < now) {
        let runs = backlog(spec, now, COUNTED);
        if runs > 1 {
            let since = spec.start_date.map_or_else(String::new, |start| start.strftime("%Y-%m-%d").to_string());
            let runs = if runs == COUNTED { format!("over {COUNTED}") } else { runs.to_string() };
            add(
                "catchup-backlog",
                format!("catchup of \"{dag_id}\" makes {runs} runs at once, one for each date since {since}"),
                "set catchup=False, or a later start_date, unless these runs are wanted",
            );
        }
    }
    if spec.tasks.is_empty() && !matches!(spec.timetable, Timetable::None) {
        add("no-tasks", format!("\"{dag_id}\" has a schedule and no tasks"), "add tasks, or delete the DAG");
    }
    found
}
