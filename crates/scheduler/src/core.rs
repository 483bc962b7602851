//! What all services of a scheduler process share: the ports, and the way to the engine while this process leads.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};
use tradewind_engine::{Engine, Event, Reply};
use tradewind_ports::{Clock, Listing, LogStore, Page, Queue, Store, StoreError};
use tradewind_types::{ApiError, Asset, ErrorCode, LeaderInfo, Term, Timestamp};

use crate::{settings::SchedulerSettings, timetables::Timetables, vault::Vault, workers::Workers};

/// A question to the engine that changes nothing.
pub(crate) type Query = Box<dyn FnOnce(&Engine, Timestamp) + Send>;

/// What reaches the term's loop.
pub(crate) enum Message {
    /// Events that are applied together and answered when they are durable.
    Step { events: Vec<Event>, reply: oneshot::Sender<Vec<Reply>> },
    /// Events whose answers need not wait for a commit: they promise nothing (heartbeats, token checks).
    Peek { event: Box<Event>, reply: oneshot::Sender<Reply> },
    /// A read of the engine's memory.
    Query(Query),
}

/// The way to the engine of the current term.
#[derive(Clone)]
pub(crate) struct Leadership {
    pub(crate) info: LeaderInfo,
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) timetables: Arc<Timetables>,
    pub(crate) stats: Arc<TermStats>,
}

/// Counters of a term, for `scheduler status`.
#[derive(Debug, Default)]
pub(crate) struct TermStats {
    pub(crate) commits: AtomicU64,
    pub(crate) transitions: AtomicU64,
    /// Sum of commit times in microseconds.
    pub(crate) commit_micros: AtomicU64,
}

impl TermStats {
    pub(crate) fn note_commit(&self, took: Duration, transitions: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.transitions.fetch_add(transitions, Ordering::Relaxed);
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Shared by all services of one scheduler process.
pub(crate) struct Core {
    pub(crate) settings: SchedulerSettings,
    pub(crate) address: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: Arc<dyn LogStore>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Vault,
    pub(crate) started_at: Timestamp,
    /// Rises with each commit; wakes those who watch runs.
    pub(crate) changes: watch::Sender<u64>,
    leadership: RwLock<Option<Leadership>>,
    known_leader: RwLock<Option<LeaderInfo>>,
}

impl Core {
    pub(crate) fn new(
        settings: SchedulerSettings,
        address: String,
        store: Arc<dyn Store>,
        logs: Arc<dyn LogStore>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ApiError> {
        let vault = Vault::new(&settings.fernet_keys)?;
        let started_at = clock.now();
        Ok(Self {
            settings,
            address,
            store,
            logs,
            queue,
            clock,
            vault,
            started_at,
            changes: watch::Sender::new(0),
            leadership: RwLock::new(None),
            known_leader: RwLock::new(None),
        })
    }

    pub(crate) fn set_leadership(&self, leadership: Option<Leadership>) {
        *self.leadership.write().unwrap_or_else(PoisonError::into_inner) = leadership;
    }

    pub(crate) fn set_known_leader(&self, leader: Option<LeaderInfo>) {
        *self.known_leader.write().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    /// The leader as last read from the store, which may be another process.
    pub(crate) fn known_leader(&self) -> Option<LeaderInfo> {
        self.known_leader.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current term's engine, if this process leads.
    ///
    /// # Errors
    /// `not_leader` with the leader's address.
    pub(crate) fn leadership(&self) -> Result<Leadership, ApiError> {
        let leadership = self.leadership.read().unwrap_or_else(PoisonError::into_inner).clone();
        leadership.ok_or_else(|| self.not_leader())
    }

    fn not_leader(&self) -> ApiError {
        let address = self.known_leader().map(|leader| leader.address).filter(|address| *address != self.address);
        ApiError::not_leader(address)
    }

    /// The term that this process leads in, if it does.
    pub(crate) fn term(&self) -> Option<Term> {
        self.leadership().ok().map(|leadership| leadership.info.term)
    }

    /// Applies events together; answers when everything they caused is durable.
    ///
    /// # Errors
    /// `not_leader`, or `unavailable` when the term ended before the commit (the outcome is then unknown, and the
    /// caller repeats).
    pub(crate) async fn step(&self, events: Vec<Event>) -> Result<Vec<Reply>, ApiError> {
        let leadership = self.leadership()?;
        let (reply, answer) = oneshot::channel();
        let sent = leadership.messages.send(Message::Step { events, reply }).await;
        if sent.is_err() {
            return Err(self.not_leader());
        }
        answer.await.map_err(|_| ApiError::unavailable("the leader's term ended before the change was durable"))
    }

    /// Applies one event; answers when everything it caused is durable. A refusal becomes an error.
    pub(crate) async fn step_one(&self, event: Event) -> Result<Reply, ApiError> {
        match self.step(vec![event]).await?.pop() {
            Some(Reply::Refused(error)) => Err(error),
            Some(reply) => Ok(reply),
            None => Err(ApiError::internal("the engine gave no answer")),
        }
    }

    /// Applies one event that promises nothing durable, and answers at once.
    pub(crate) async fn peek(&self, event: Event) -> Result<Reply, ApiError> {
        let leadership = self.leadership()?;
        let (reply, answer) = oneshot::channel();
        let sent = leadership.messages.send(Message::Peek { event: Box::new(event), reply }).await;
        if sent.is_err() {
            return Err(self.not_leader());
        }
        match answer.await {
            Ok(Reply::Refused(error)) => Err(error),
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.not_leader()),
        }
    }

    /// The asset with this name, this URI, or both.
    ///
    /// # Errors
    /// Neither is given.
    pub(crate) async fn find_asset(&self, name: Option<&str>, uri: Option<&str>) -> Result<Option<Asset>, ApiError> {
        let pattern = name.or(uri).ok_or_else(|| ApiError::invalid("an asset's name or its uri is needed"))?;
        let similar = all_rows(|page| self.store.assets(Some(pattern), page)).await?;
        let is_it = |asset: &Asset| {
            name.is_none_or(|name| asset.key.name == name) && uri.is_none_or(|uri| asset.key.uri == uri)
        };
        Ok(similar.into_iter().find(is_it))
    }

    /// Reads the engine's memory.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Engine, Timestamp) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let leadership = self.leadership()?;
        let (reply, answer) = oneshot::channel();
        let query: Query = Box::new(move |engine, now| {
            // The asker may have gone; then nobody needs the answer.
            let _ = reply.send(read(engine, now));
        });
        let sent = leadership.messages.send(Message::Query(query)).await;
        if sent.is_err() {
            return Err(self.not_leader());
        }
        answer.await.map_err(|_| self.not_leader())
    }
}

/// Every row of a listing, read page by page.
pub(crate) async fn all_rows<T, F, Fut>(read: F) -> Result<Vec<T>, ApiError>
where
    F: FnMut(Page) -> Fut,
    Fut: Future<Output = Result<Listing<T>, StoreError>>,
{
    every_page(read).await.map_err(store_error)
}

/// As [`all_rows`], with the store's own error.
pub(crate) async fn every_page<T, F, Fut>(mut read: F) -> Result<Vec<T>, StoreError>
where
    F: FnMut(Page) -> Fut,
    Fut: Future<Output = Result<Listing<T>, StoreError>>,
{
    let mut rows: Vec<T> = Vec::new();
    loop {
        let listing = read(Page { limit: Page::MAX, offset: rows.len() as u64 }).await?;
        let is_last = listing.rows.len() < Page::MAX as usize;
        rows.extend(listing.rows);
        if is_last || rows.len() as u64 >= listing.total {
            return Ok(rows);
        }
    }
}

/// A store error as callers see it.
pub(crate) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Unavailable(_) | StoreError::Full(_) => ApiError::unavailable(error.to_string()),
        StoreError::StaleTerm => ApiError::not_leader(None),
        StoreError::Conflict(message) => ApiError::new(ErrorCode::AlreadyExists, message),
        StoreError::Config(message) => ApiError::unavailable(message),
        StoreError::Schema(_) => {
            ApiError::unavailable(format!("{error}; run `tradewind db check`, then `tradewind db migrate`"))
        }
        StoreError::Broken(_) => {
            tracing::error!(%error, "the store misbehaved");
            ApiError::internal(error.to_string())
        }
    }
}
