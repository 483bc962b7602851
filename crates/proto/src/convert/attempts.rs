//! What workers say of attempts.

use tradewind_types as t;
use tradewind_types::ApiError;

use super::{from_json, instant, json, micros, to_json, uuid};
use crate::v1;

/// XCom values as a worker sends them.
pub fn xcom_values(values: Vec<v1::XComValue>) -> Result<Vec<t::XComValue>, ApiError> {
    values
        .into_iter()
        .map(|xcom| {
            let value = json(&format!("xcom {}", xcom.key), &xcom.value_json)?;
            Ok(t::XComValue {
                key: xcom.key,
                value,
                object: xcom.object.map(Into::into),
                mapped_length: xcom.mapped_length,
            })
        })
        .collect()
}

impl From<&t::XComValue> for v1::XComValue {
    fn from(xcom: &t::XComValue) -> Self {
        Self {
            key: xcom.key.clone(),
            value_json: xcom.value.to_string(),
            mapped_length: xcom.mapped_length,
            object: xcom.object.clone().map(Into::into),
        }
    }
}

impl v1::AttemptRef {
    /// The reference of an attempt.
    pub fn new(key: t::AttemptKey, token: t::LeaseToken) -> Self {
        Self { ti: key.ti.to_string(), attempt: key.attempt, token: token.0.to_string() }
    }

    /// The attempt and its token.
    pub fn parse(&self) -> Result<(t::AttemptKey, t::LeaseToken), ApiError> {
        Ok((
            t::AttemptKey { ti: t::TiId(uuid("ti", &self.ti)?), attempt: self.attempt },
            t::LeaseToken(uuid("token", &self.token)?),
        ))
    }
}

/// The attempt reference that every attempt-scoped request must have.
pub fn attempt_ref(attempt: Option<&v1::AttemptRef>) -> Result<(t::AttemptKey, t::LeaseToken), ApiError> {
    attempt.ok_or_else(|| ApiError::invalid("attempt: missing"))?.parse()
}

impl From<&t::AttemptReport> for v1::AttemptReport {
    fn from(report: &t::AttemptReport) -> Self {
        Self {
            attempt: Some(v1::AttemptRef::new(report.key, report.token)),
            outcome_json: to_json(&report.outcome),
            xcoms: report.xcoms.iter().map(Into::into).collect(),
            skip: report
                .skip
                .iter()
                .map(|(task, map_index)| v1::SkippedTask { task_id: task.to_string(), map_index: *map_index })
                .collect(),
            note: report.note.clone(),
            ended_at: micros(report.ended_at),
            asset_events: report.asset_events.iter().map(Into::into).collect(),
            rendered_map_index: report.rendered_map_index.clone(),
            callbacks_due: report.callbacks_due,
        }
    }
}

impl TryFrom<v1::AttemptReport> for t::AttemptReport {
    type Error = ApiError;

    fn try_from(report: v1::AttemptReport) -> Result<Self, ApiError> {
        let (key, token) = attempt_ref(report.attempt.as_ref())?;
        Ok(Self {
            key,
            token,
            outcome: from_json("outcome", &report.outcome_json)?,
            xcoms: xcom_values(report.xcoms)?,
            skip: report.skip.into_iter().map(|task| (task.task_id.into(), task.map_index)).collect(),
            asset_events: report.asset_events.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            rendered_map_index: report.rendered_map_index,
            callbacks_due: report.callbacks_due,
            note: report.note,
            ended_at: instant("ended_at", report.ended_at)?,
        })
    }
}

impl From<&t::OutletEvent> for v1::OutletEvent {
    fn from(event: &t::OutletEvent) -> Self {
        Self {
            name: event.asset.name.clone(),
            uri: event.asset.uri.clone(),
            extra_json: event.extra.to_string(),
            aliases: event.aliases.clone(),
        }
    }
}

impl TryFrom<v1::OutletEvent> for t::OutletEvent {
    type Error = ApiError;

    fn try_from(event: v1::OutletEvent) -> Result<Self, ApiError> {
        Ok(Self {
            extra: json("extra of the asset event", &event.extra_json)?,
            asset: t::AssetKey { name: event.name, uri: event.uri },
            aliases: event.aliases,
        })
    }
}

impl From<&(t::TaskId, i32)> for v1::UpstreamMapIndex {
    fn from((task_id, map_index): &(t::TaskId, i32)) -> Self {
        Self { task_id: task_id.to_string(), map_index: *map_index }
    }
}

impl From<v1::UpstreamMapIndex> for (t::TaskId, i32) {
    fn from(index: v1::UpstreamMapIndex) -> Self {
        (index.task_id.into(), index.map_index)
    }
}
