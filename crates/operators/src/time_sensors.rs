//! `time_sensor`, `time_delta_sensor` and `date_time_sensor`: they wait for an instant.

use async_trait::async_trait;
use jiff::{
    civil::{DateTime, Time},
    tz::{TimeZone, TimeZoneDatabase},
};
use tradewind_types::{DateTimeSensorOptions, TimeDeltaSensorOptions, TimeSensorOptions, Timestamp};

use crate::{
    Operator, OperatorError, OperatorIo, OperatorResult, Renderer, TaskContext,
    sensor::{Condition, Poke, first_poke, later, span, wait_for},
};

/// Waits until an instant.
struct Until(Timestamp);

#[async_trait]
impl Condition for Until {
    async fn poke(&self, io: &dyn OperatorIo) -> Result<Poke, OperatorError> {
        Ok(if io.now() >= self.0 { Poke::Done } else { Poke::Wait(Some(self.0)) })
    }
}

#[async_trait]
impl Operator for TimeSensorOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let zone_name = self.timezone.as_deref().unwrap_or(&ctx.dag.timezone);
        let zone = zone(zone_name).map_err(|error| OperatorError::Fatal(format!("timezone: {error}")))?;
        let time = clock_time(&self.target_time)?;
        // The day of the first poke: a sensor that is rescheduled over midnight keeps its target.
        let day = first_poke(&self.sensor, ctx, io).to_zoned(zone.clone()).date();
        let target = zone
            .to_ambiguous_zoned(day.to_datetime(time))
            .later()
            .map_err(|error| OperatorError::Fatal(format!("target_time: {day} {time} in {zone_name}: {error}")))?;
        wait_for(&Until(target.timestamp()), &self.sensor, ctx, io).await
    }
}

#[async_trait]
impl Operator for TimeDeltaSensorOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let from = ctx.run.data_interval_end.unwrap_or(ctx.run.run_after);
        let target = later(from, span("seconds", self.seconds)?);
        wait_for(&Until(target), &self.sensor, ctx, io).await
    }
}

#[async_trait]
impl Operator for DateTimeSensorOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let mut renderer = Renderer::new(ctx, io);
        let text = renderer.text("target_time", &self.target_time).await?;
        renderer.report().await?;
        wait_for(&Until(instant(&text)?), &self.sensor, ctx, io).await
    }
}

/// An IANA zone, of the time zone data that is built in: all workers then agree.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).map_err(|_| format!("\"{name}\" is not an IANA time zone, e.g. Europe/Paris"))
}

fn clock_time(text: &str) -> Result<Time, OperatorError> {
    Time::strptime("%H:%M:%S", text)
        .or_else(|_| Time::strptime("%H:%M", text))
        .map_err(|_| OperatorError::Fatal(format!("target_time: \"{text}\" is not HH:MM or HH:MM:SS")))
}

/// An instant with an offset; without one it is UTC, as in Airflow.
fn instant(text: &str) -> Result<Timestamp, OperatorError> {
    let text = text.trim();
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|at| at.to_zoned(TimeZone::UTC)).map(|at| at.timestamp()))
        .map_err(|_| {
            OperatorError::Failed(format!("target_time: \"{text}\" is not an instant like 2026-01-31T08:00:00+00:00"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_in_several_forms() {
        let at: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        for text in [
            "2026-01-31T08:00:00Z",
            "2026-01-31 08:00:00+00:00",
            " 2026-01-31T09:00:00+01:00 ",
            "2026-01-31T08:00:00",
            "2026-01-31 08:00:00",
        ] {
            assert_eq!(instant(text).unwrap(), at, "{text}");
        }
        assert!(instant("soon").is_err());
    }

    #[test]
    fn clock_times_are_checked() {
        assert_eq!(clock_time("07:05").unwrap(), jiff::civil::time(7, 5, 0, 0));
        assert_eq!(clock_time("07:05:09").unwrap(), jiff::civil::time(7, 5, 9, 0));
        assert!(clock_time("25:00").is_err());
    }
}
