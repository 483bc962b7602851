//! Puts a scheduler together: the gRPC server with its services, health and reflection, and the run for the lease.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tradewind_ports::{Clock, LogStore, Queue, Store};
use tradewind_proto::{MAX_MESSAGE_BYTES, v1};
use tradewind_types::ApiError;
use uuid::Uuid;

use crate::{
    admin::AdminApi,
    auth::RequireToken,
    core::Core,
    dag_service::DagApi,
    grants::Grants,
    leader::lead_or_stand_by,
    settings::{SchedulerSettings, ServerTls},
    worker_service::WorkerApi,
};

/// Builds and starts schedulers.
pub struct Scheduler;

/// A scheduler that runs.
pub struct Running {
    /// Where its gRPC server listens.
    pub listen: SocketAddr,
    /// The address that it tells others.
    pub address: String,
    core: Arc<Core>,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    leader: JoinHandle<()>,
}

impl Scheduler {
    /// Binds the server and begins to run for the lease. Returns as soon as the port is open; whether it leads shows in
    /// its status.
    ///
    /// # Errors
    /// The address cannot be bound, or a key or certificate is not usable.
    pub async fn start(
        settings: SchedulerSettings,
        store: Arc<dyn Store>,
        logs: Arc<dyn LogStore>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Result<Running, ApiError> {
        let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
            ApiError::unavailable(format!(
                "cannot listen on {} (scheduler.listen): {error}; is another scheduler running here?",
                settings.listen
            ))
        })?;
        let listen = listener.local_addr().map_err(|error| ApiError::internal(error.to_string()))?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let address = settings.advertise.clone().unwrap_or_else(|| format!("{scheme}://{listen}"));
        let tls = settings.tls.clone();
        let core = Arc::new(Core::new(settings, address.clone(), store, logs, queue, clock)?);

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
            .build_v1()
            .map_err(|error| ApiError::internal(format!("the descriptors are broken: {error}")))?;
        let tokens = &core.settings.tokens;
        let guard = |token: &str, role| RequireToken { token: token.to_owned(), role };
        let worker = v1::worker_service_server::WorkerServiceServer::new(WorkerApi {
            core: Arc::clone(&core),
            grants: Grants::default(),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let dags = v1::dag_service_server::DagServiceServer::new(DagApi { core: Arc::clone(&core) })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let admin = v1::admin_service_server::AdminServiceServer::new(AdminApi { core: Arc::clone(&core) })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let mut builder = Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)));
        if let Some(tls) = tls {
            builder = builder
                .tls_config(tls_config(&tls))
                .map_err(|error| ApiError::invalid(format!("tls: the certificate or key is not usable: {error}")))?;
        }
        let router = builder
            .add_service(health_service)
            .add_service(reflection)
            .add_service(InterceptedService::new(worker, guard(&tokens.worker, "worker")))
            .add_service(InterceptedService::new(dags, guard(&tokens.processor, "DAG processor")))
            .add_service(InterceptedService::new(admin, guard(&tokens.admin, "admin")));
        let stop = shutdown.clone();
        // Streams that clients hold open must not hold up the end for ever: the server is dropped after a grace.
        let server = tokio::spawn(async move {
            // `Server::tcp_nodelay` only counts for listeners that the server binds itself; without it each answer's
            // trailers wait for a delayed acknowledgement, 40 ms.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let graceful = router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
            tokio::select! {
                result = graceful => result,
                () = async {
                    stop.cancelled().await;
                    tokio::time::sleep(Duration::from_secs(2)).await;
                } => Ok(()),
            }
        });
        tokio::spawn(report_health(Arc::clone(&core), health, shutdown.clone()));
        let leader = tokio::spawn(lead_or_stand_by(Arc::clone(&core), Uuid::now_v7(), shutdown.clone()));
        Ok(Running { listen, address, core, shutdown, server, leader })
    }
}

impl Running {
    /// Whether this scheduler leads now.
    pub fn is_leader(&self) -> bool {
        self.core.leadership().is_ok()
    }

    /// Waits until it has ended: after the shutdown token was cancelled, or when the server failed.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn wait(self) -> Result<(), ApiError> {
        let served = self.server.await;
        self.shutdown.cancel();
        // The term gives its lease back before the process ends.
        let led = self.leader.await;
        led.map_err(|error| ApiError::internal(format!("the leader task ended: {error}")))?;
        match served {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ApiError::internal(format!("the gRPC server ended: {error}"))),
            Err(error) => Err(ApiError::internal(format!("the gRPC server ended: {error}"))),
        }
    }
}

fn tls_config(tls: &ServerTls) -> ServerTlsConfig {
    let config = ServerTlsConfig::new().identity(Identity::from_pem(&tls.cert, &tls.key));
    match &tls.client_ca {
        Some(ca) => config.client_ca_root(Certificate::from_pem(ca)),
        None => config,
    }
}

/// Serving means: this scheduler leads, or knows who does.
async fn report_health(core: Arc<Core>, health: HealthReporter, shutdown: CancellationToken) {
    loop {
        let serving = core.leadership().is_ok() || core.known_leader().is_some();
        let state = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status("", state).await;
        tokio::select! {
            () = shutdown.cancelled() => {
                health.set_service_status("", ServingStatus::NotServing).await;
                return;
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}
