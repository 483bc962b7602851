//! What every role needs of its process: logging, and signals.

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
use tradewind_config::Config;

/// Keeps what must be flushed when the process ends.
pub struct Logging {
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            eprintln!("traces were not flushed: {error}");
        }
    }
}

/// Sets up Tradewind's own log on standard error, and traces when an OTLP endpoint is configured. Call it inside the
/// runtime.
///
/// # Errors
/// The filter or the endpoint is not usable.
pub fn init_logging(config: &Config, role: &'static str) -> anyhow::Result<Logging> {
    let filter = EnvFilter::try_new(&config.logs.level)
        .with_context(|| format!("logs.level: \"{}\" is not a filter", config.logs.level))?;
    let lines = if config.logs.format == "json" {
        tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed()
    } else {
        let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
        tracing_subscriber::fmt::layer().with_target(false).with_ansi(colour).with_writer(std::io::stderr).boxed()
    };
    let traces = if config.telemetry.otlp_endpoint.is_empty() {
        None
    } else {
        Some(trace_provider(&config.telemetry.otlp_endpoint, role)?)
    };
    let spans = traces.as_ref().map(|provider| {
        let tracer = opentelemetry::trace::TracerProvider::tracer(provider, "tradewind");
        tracing_opentelemetry::layer().with_tracer(tracer)
    });
    tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init().context("logging")?;
    Ok(Logging { traces })
}

fn trace_provider(endpoint: &str, role: &'static str) -> anyhow::Result<opentelemetry_sdk::trace::SdkTracerProvider> {
    use opentelemetry_otlp::WithExportConfig;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("telemetry.otlp_endpoint: \"{endpoint}\" is not usable"))?;
    let resource =
        opentelemetry_sdk::Resource::builder().with_service_name(format!("tradewind-{role}")).build();
    Ok(opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

/// A token that the first SIGINT or SIGTERM cancels; the second ends the process at once.
///
/// # Errors
/// The system refuses signal handlers.
pub fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::info!("shutting down; a second signal ends at once");
        shutdown.cancel();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::warn!("ended by a second signal");
        std::process::exit(130);
    });
    Ok(token)
}
