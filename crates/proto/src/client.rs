//! A client that knows several schedulers and finds the one that leads.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tradewind_types::{ApiError, ErrorCode};

use crate::{
    api_error,
    v1::{
        admin_service_client::AdminServiceClient, dag_service_client::DagServiceClient,
        worker_service_client::WorkerServiceClient,
    },
};

/// The largest message that either side accepts: larger things are streamed or refused when they are written.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How to reach the schedulers.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// Addresses of schedulers, e.g. `http://127.0.0.1:7070`; one is enough.
    pub addresses: Vec<String>,
    /// Sent as `authorization: Bearer …`.
    pub token: Option<String>,
    /// PEM of the certificate authority, for `https` addresses with a private one.
    pub ca_pem: Option<Vec<u8>>,
    /// PEM of the client's certificate and key, for mutual TLS.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

/// Adds the credential to each request.
#[derive(Clone)]
pub struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A connection with its credential.
pub type AuthChannel = InterceptedService<Channel, Credential>;

/// Calls the schedulers: remembers which one leads, follows `not_leader` answers and goes round the addresses while none
/// answers. Cheap to clone.
#[derive(Clone)]
pub struct LeaderClient {
    shared: Arc<Shared>,
}

struct Shared {
    options: ClientOptions,
    credential: Credential,
    /// The address in use with its connection.
    current: Mutex<Option<(String, Channel)>>,
    /// Where the next attempt to find a leader begins.
    next: AtomicUsize,
}

impl LeaderClient {
    /// A client; nothing is connected before the first call.
    ///
    /// # Errors
    /// No address, or one that is not a URL; a token that cannot be sent in a header.
    pub fn new(options: ClientOptions) -> Result<Self, ApiError> {
        if options.addresses.is_empty() {
            return Err(ApiError::invalid("no scheduler address is configured (client.schedulers)"));
        }
        for address in &options.addresses {
            endpoint(address, &options)?;
        }
        let credential = options
            .token
            .as_ref()
            .map(|token| {
                MetadataValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| ApiError::invalid("the token has characters that a header cannot carry"))
            })
            .transpose()?;
        let shared = Shared {
            options,
            credential: Credential(credential),
            current: Mutex::new(None),
            next: AtomicUsize::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The address that the next call goes to.
    pub fn address(&self) -> String {
        let current = self.lock();
        match &*current {
            Some((address, _)) => address.clone(),
            None => {
                let addresses = &self.shared.options.addresses;
                addresses[self.shared.next.load(Ordering::Relaxed) % addresses.len()].clone()
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(String, Channel)>> {
        // The guarded value is replaced whole, so a poisoned lock still holds a sound one.
        self.shared.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn channel(&self) -> Result<AuthChannel, ApiError> {
        let mut current = self.lock();
        let channel = match &*current {
            Some((_, channel)) => channel.clone(),
            None => {
                let addresses = &self.shared.options.addresses;
                let address = addresses[self.shared.next.load(Ordering::Relaxed) % addresses.len()].clone();
                let channel = endpoint(&address, &self.shared.options)?.connect_lazy();
                *current = Some((address, channel.clone()));
                channel
            }
        };
        Ok(InterceptedService::new(channel, self.shared.credential.clone()))
    }

    /// Turns to the named leader, or to the next address.
    fn turn(&self, leader: Option<&str>) {
        let mut current = self.lock();
        *current = leader.and_then(|address| {
            let channel = endpoint(address, &self.shared.options).ok()?.connect_lazy();
            Some((address.to_owned(), channel))
        });
        if current.is_none() {
            self.shared.next.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes a call once at the current address.
    ///
    /// # Errors
    /// What the call answered. After `not_leader` or `unavailable` the next call goes elsewhere.
    pub async fn once<T, F, Fut>(&self, mut call: F) -> Result<T, ApiError>
    where
        F: FnMut(AuthChannel) -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        match call(self.channel()?).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => {
                let error = api_error(&status);
                match error.code {
                    ErrorCode::NotLeader => self.turn(error.leader.as_deref()),
                    ErrorCode::Unavailable => self.turn(None),
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// Makes a call, again and again while the error is retryable, for at most `patience`: waits 5 ms, then longer, up
    /// to 250 ms between rounds. The call must be safe to repeat.
    ///
    /// # Errors
    /// The first error that is not retryable, or the last one when patience runs out.
    pub async fn call<T, F, Fut>(&self, patience: Duration, mut call: F) -> Result<T, ApiError>
    where
        F: FnMut(AuthChannel) -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let deadline = tokio::time::Instant::now() + patience;
        let mut pause = Duration::from_millis(5);
        loop {
            let error = match self.once(&mut call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !error.code.is_retryable() => return Err(error),
                Err(error) => error,
            };
            if tokio::time::Instant::now() + pause > deadline {
                return Err(error);
            }
            tracing::debug!(code = error.code.as_str(), message = %error.message, "call failed, trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }
}

/// A client of the worker service on a channel.
pub fn worker_client(channel: AuthChannel) -> WorkerServiceClient<AuthChannel> {
    WorkerServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// A client of the DAG service on a channel.
pub fn dag_client(channel: AuthChannel) -> DagServiceClient<AuthChannel> {
    DagServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// A client of the admin service on a channel.
pub fn admin_client(channel: AuthChannel) -> AdminServiceClient<AuthChannel> {
    AdminServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

fn endpoint(address: &str, options: &ClientOptions) -> Result<Endpoint, ApiError> {
    let bad = |why: String| ApiError::invalid(format!("the scheduler address \"{address}\" is not usable: {why}"));
    let mut endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|error| bad(format!("{error}; write it as http://HOST:PORT or https://HOST:PORT")))?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(5)))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true);
    if address.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        if let Some(ca) = &options.ca_pem {
            tls = tls.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((certificate, key)) = &options.identity_pem {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| bad(error.to_string()))?;
    } else if !address.starts_with("http://") {
        return Err(bad("write it as http://HOST:PORT or https://HOST:PORT".to_owned()));
    }
    Ok(endpoint)
}
