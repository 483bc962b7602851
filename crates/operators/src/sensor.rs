//! What all sensors share (semantics E5): poke, then look at the timeout, then wait or give the slot back.

use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tradewind_types::{SensorMode, SensorOptions, Timestamp};

use crate::{Finished, LogLevel, OperatorError, OperatorIo, OperatorResult, TaskContext};

/// What a poke found.
pub(crate) enum Poke {
    /// What the sensor waits for is there.
    Done,
    /// Not yet. With the instant from which on it will be, when the sensor knows that.
    Wait(Option<Timestamp>),
}

/// A condition.
#[async_trait]
pub(crate) trait Condition: Send + Sync {
    /// Looks once.
    async fn poke(&self, io: &dyn OperatorIo) -> Result<Poke, OperatorError>;
}

/// Pokes until the condition holds, the timeout is over, or the slot goes back.
pub(crate) async fn wait_for(
    condition: &dyn Condition,
    options: &SensorOptions,
    ctx: &TaskContext,
    io: &dyn OperatorIo,
) -> OperatorResult {
    let interval = span("sensor.poke_interval", options.poke_interval)?;
    let timeout = span("sensor.timeout", options.timeout)?;
    let started = first_poke(options, ctx, io);
    loop {
        let ready_at = match condition.poke(io).await? {
            Poke::Done => return Ok(Finished::Success(None)),
            Poke::Wait(ready_at) => ready_at,
        };
        let now = io.now();
        if now.duration_since(started) > timeout {
            let message = format!("the sensor timed out: nothing came within {} s (sensor.timeout)", options.timeout);
            return Err(if options.soft_fail {
                OperatorError::Skipped(message)
            } else {
                OperatorError::Fatal(message)
            });
        }
        match options.mode {
            SensorMode::Reschedule => {
                let next = later(now, interval);
                let next = ready_at.map_or(next, |ready| next.min(ready));
                io.log(LogLevel::Info, "tradewind.sensor", vec![format!("not yet; the next poke is at {next}")]).await;
                return Ok(Finished::Reschedule(next));
            }
            SensorMode::Poke => {
                // A sensor that knows its instant needs no pokes in between, but still its timeout.
                let next = match ready_at {
                    Some(ready) => ready.min(later(later(started, timeout), MOMENT)),
                    None => later(now, interval),
                };
                let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
                tokio::select! {
                    _ = ctx.stop.requested() => return Err(OperatorError::Stopped),
                    () = tokio::time::sleep(pause.max(SHORTEST_PAUSE)) => {}
                }
            }
        }
    }
}

const MOMENT: SignedDuration = SignedDuration::from_millis(1);
/// Timers have millisecond steps: a shorter pause could find itself just before its instant.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// When the first poke was: the timeout counts from there.
pub(crate) fn first_poke(options: &SensorOptions, ctx: &TaskContext, io: &dyn OperatorIo) -> Timestamp {
    match options.mode {
        SensorMode::Poke => None,
        SensorMode::Reschedule => ctx.ti.first_poke_at,
    }
    .unwrap_or_else(|| io.now())
}

/// A number of seconds as a span.
pub(crate) fn span(field: &str, seconds: f64) -> Result<SignedDuration, OperatorError> {
    if seconds < 0.0 {
        return Err(OperatorError::Fatal(format!("{field}: {seconds} is negative")));
    }
    SignedDuration::try_from_secs_f64(seconds)
        .map_err(|_| OperatorError::Fatal(format!("{field}: {seconds} is not a number of seconds")))
}

/// `at` and a span, or the end of time.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
