//! What a scheduler needs to know to start.

use std::{net::SocketAddr, time::Duration};

use tradewind_engine::EngineOptions;
use tradewind_objects::Storage;

use crate::Tokens;

/// Settings of one scheduler process.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// Its name in status and leases.
    pub name: String,
    /// Where the gRPC server binds; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that others reach it at; made from the bound address when absent.
    pub advertise: Option<String>,
    /// The engine's limits.
    pub engine: EngineOptions,
    /// How long the leader lease lasts; it is renewed at a third of that and given up at two thirds.
    pub leader_lease: Duration,
    /// How often queued task instances are compared with the queue.
    pub repair_interval: Duration,
    /// Hints kept in a queue at most.
    pub queue_window: usize,
    /// Largest XCom that is kept in its row, in bytes.
    pub xcom_inline_max_bytes: u64,
    /// Largest XCom in bytes.
    pub xcom_max_bytes: u64,
    /// Where larger ones than those of a row are kept.
    pub xcom_storage: Option<Storage>,
    /// How often values that no row names any more are removed, and how long after their row.
    pub xcom_sweep: Duration,
    /// How old a stored value must be that no row ever named before it is removed.
    pub xcom_orphans: Duration,
    /// Largest log of an attempt in bytes.
    pub log_max_bytes: u64,
    /// Whether a new DAG starts paused.
    pub paused_by_default: bool,
    /// Who may call what.
    pub tokens: Tokens,
    /// Fernet keys: the first encrypts, all decrypt.
    pub fernet_keys: Vec<String>,
    /// TLS of the gRPC server.
    pub tls: Option<ServerTls>,
}

/// PEM texts for the server.
#[derive(Clone)]
pub struct ServerTls {
    /// The certificate chain.
    pub cert: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// With one, clients must show a certificate that it signed.
    pub client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("mutual", &self.client_ca.is_some()).finish_non_exhaustive()
    }
}
