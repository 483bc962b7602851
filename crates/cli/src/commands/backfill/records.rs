//! Backfills and their dates as rows and objects.

use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{json, v1};

use crate::{
    errors::{CliError, Exit},
    output::{self, Format, Record, Text, Tone},
};

/// A backfill as a row.
#[derive(Serialize)]
pub(super) struct BackfillRecord {
    id: u64,
    dag_id: String,
    from_date: String,
    to_date: String,
    max_active_runs: u32,
    reprocess_behavior: String,
    run_backwards: bool,
    dag_run_conf: Value,
    is_paused: bool,
    created_at: String,
    completed_at: Option<String>,
    triggered_by: String,
}

impl BackfillRecord {
    /// A backfill of the wire.
    ///
    /// # Errors
    /// Its conf is not JSON.
    pub(super) fn new(backfill: v1::Backfill) -> Result<Self, CliError> {
        Ok(Self {
            id: backfill.no,
            dag_id: backfill.dag_id,
            from_date: output::iso(backfill.from),
            to_date: output::iso(backfill.to),
            max_active_runs: backfill.max_active_runs,
            reprocess_behavior: backfill.reprocess,
            run_backwards: backfill.backwards,
            dag_run_conf: json("conf", &backfill.conf_json)?,
            is_paused: backfill.is_paused,
            created_at: output::iso(backfill.created_at),
            completed_at: output::iso_or_none(backfill.completed_at),
            triggered_by: backfill.by,
        })
    }
}

impl Record for BackfillRecord {
    const HEADINGS: &'static [&'static str] =
        &["id", "dag_id", "state", "from_date", "to_date", "at once", "reprocess", "order", "created_at", "by"];

    fn cells(&self) -> Vec<Text> {
        let state = match (&self.completed_at, self.is_paused) {
            (Some(_), _) => Text::toned(Tone::Dim, "over"),
            (None, true) => Text::toned(Tone::Warn, "paused"),
            (None, false) => Text::toned(Tone::Busy, "running"),
        };
        vec![
            Text::number(self.id),
            Text::plain(&self.dag_id),
            state,
            Text::instant(Some(&self.from_date)),
            Text::instant(Some(&self.to_date)),
            Text::number(self.max_active_runs),
            Text::plain(&self.reprocess_behavior),
            Text::plain(if self.run_backwards { "backwards" } else { "forwards" }),
            Text::instant(Some(&self.created_at)),
            Text::plain(&self.triggered_by),
        ]
    }
}

/// A date of a backfill as a row.
#[derive(Serialize)]
pub(super) struct DateRecord {
    ordinal: u32,
    logical_date: String,
    run_id: Option<String>,
    state: Option<String>,
    skipped: Option<String>,
    /// What happens to the date, in words; only before it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
}

impl DateRecord {
    /// A date of the wire; `planned` when nothing has happened yet.
    pub(super) fn new(item: v1::BackfillItem, planned: bool) -> Self {
        let action = match (&item.skipped, &item.run_id) {
            (Some(_), _) => "left alone",
            (None, Some(_)) => "run again",
            (None, None) => "new run",
        };
        Self {
            ordinal: item.ordinal,
            logical_date: output::iso(item.logical_date),
            run_id: item.run_id,
            state: item.state,
            skipped: item.skipped,
            action: planned.then_some(action),
        }
    }

    /// Whether nothing is done about it.
    pub(super) const fn is_skipped(&self) -> bool {
        self.skipped.is_some()
    }
}

impl Record for DateRecord {
    const HEADINGS: &'static [&'static str] = &["#", "logical_date", "what", "run_id", "why not"];

    fn cells(&self) -> Vec<Text> {
        let what = match (self.action, &self.state) {
            (Some("left alone"), _) => Text::toned(Tone::Skip, "left alone"),
            (Some(action), _) => Text::toned(Tone::Good, action),
            (None, Some(state)) => output::state_text(state),
            (None, None) => Text::toned(Tone::Skip, "left alone"),
        };
        vec![
            Text::number(self.ordinal),
            Text::instant(Some(&self.logical_date)),
            what,
            Text::maybe(self.run_id.as_ref()),
            Text::maybe(self.skipped.as_ref()),
        ]
    }
}

/// A backfill with its dates.
#[derive(Serialize)]
pub(super) struct FullRecord {
    #[serde(flatten)]
    backfill: BackfillRecord,
    dag_runs: Vec<DateRecord>,
}

impl FullRecord {
    /// A backfill of the wire with its dates.
    ///
    /// # Errors
    /// The scheduler sent no backfill, or its conf is not JSON.
    pub(super) fn new(answer: v1::BackfillResponse) -> Result<Self, CliError> {
        let backfill = answer
            .backfill
            .ok_or_else(|| CliError::new(Exit::Internal, "the scheduler answered without the backfill"))?;
        Ok(Self {
            backfill: BackfillRecord::new(backfill)?,
            dag_runs: answer.items.into_iter().map(|item| DateRecord::new(item, false)).collect(),
        })
    }

    /// Its number.
    pub(super) const fn no(&self) -> u64 {
        self.backfill.id
    }
}

/// Whether nothing more happens to a date.
pub(super) fn is_over(item: &v1::BackfillItem) -> bool {
    item.skipped.is_some() || matches!(item.state.as_deref(), Some("success" | "failed"))
}

/// Prints a backfill with its dates.
///
/// # Errors
/// Standard output is closed or broken.
pub(super) fn print_full(format: Format, answer: v1::BackfillResponse) -> Result<(), CliError> {
    let full = FullRecord::new(answer)?;
    if format.is_data() {
        return output::print_serialized(format, &full);
    }
    output::print_record(format, &full.backfill)?;
    output::line("")?;
    output::print_listing(format, &full.dag_runs, full.dag_runs.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_what_would_happen_to_each_date() {
        let item = |run_id: Option<&str>, skipped: Option<&str>| v1::BackfillItem {
            ordinal: 1,
            logical_date: 0,
            run_id: run_id.map(ToOwned::to_owned),
            state: run_id.map(|_| "failed".to_owned()),
            skipped: skipped.map(ToOwned::to_owned),
        };
        let what = |item| DateRecord::new(item, true).cells()[2].text.clone();
        assert_eq!(what(item(None, None)), "new run");
        assert_eq!(what(item(Some("r"), None)), "run again");
        assert_eq!(what(item(Some("r"), Some("already exists"))), "left alone");
        assert_eq!(DateRecord::new(item(Some("r"), None), false).cells()[2].text, "failed");
        assert!(!is_over(&item(None, None)) && is_over(&item(Some("r"), None)));
    }
}
