//! Tradewind's own log on standard error, its panics, and its traces.

use std::io::IsTerminal as _;

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use tradewind_config::{LogsOptions, TelemetryOptions};

use crate::errors::CliError;

/// Keeps the traces flowing; what is left is sent when it is dropped.
pub struct Logging {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            crate::output::warn(&format!("the last traces could not be sent (telemetry.otlp_endpoint): {error}"));
        }
    }
}

/// Sets up logging for a process that runs `role`. Needs a runtime.
///
/// # Errors
/// The level is no filter, the format is unknown, or the endpoint of traces is no address.
pub fn start(role: &'static str, logs: &LogsOptions, telemetry: &TelemetryOptions) -> Result<Logging, CliError> {
    let filter = EnvFilter::try_new(&logs.level).map_err(|error| {
        CliError::usage(format!("logs.level: \"{}\" is not a filter: {error}", logs.level))
            .with_hint("for example info, or info,tradewind_worker=debug")
    })?;
    let wants_color =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(wants_color);
    let written = match logs.format.as_str() {
        "text" => text.with_target(false).boxed(),
        "json" => text.json().flatten_event(true).boxed(),
        other => return Err(CliError::usage(format!("logs.format: \"{other}\" is neither text nor json"))),
    };
    let traces = provider(role, &telemetry.otlp_endpoint)?;
    let exported = traces.as_ref().map(|traces| {
        // What the exporter itself does would be exported again without end.
        let own = EnvFilter::new("info,h2=off,hyper=off,tonic=off,tower=off,opentelemetry=off");
        tracing_opentelemetry::layer().with_tracer(traces.tracer("tradewind")).with_filter(own)
    });
    tracing_subscriber::registry().with(written.with_filter(filter)).with(exported).init();
    log_panics();
    Ok(Logging { traces })
}

fn provider(role: &'static str, endpoint: &str) -> Result<Option<SdkTracerProvider>, CliError> {
    if endpoint.is_empty() {
        return Ok(None);
    }
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().map_err(|error| {
            CliError::usage(format!("telemetry.otlp_endpoint: \"{endpoint}\" is not usable: {error}"))
        })?;
    let resource = Resource::builder()
        .with_service_name("tradewind")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("tradewind.role", role))
        .build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

/// A panic in a task of the runtime ends that task alone; the log must say so.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!(%place, thread, %backtrace, "panic, a defect of Tradewind: {message}");
    }));
}
