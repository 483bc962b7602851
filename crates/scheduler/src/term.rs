//! One term of leadership: the loop that owns the engine. Events come in, the engine decides, and what it decided is
//! committed in groups: while one commit is under way the next group gathers, so the more there is to do, the larger the
//! groups. Hints are pushed and answers given only after the commit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tradewind_engine::{Dispatch, Effects, Engine, Event, Reply};
use tradewind_ports::{Store, StoreError};
use tradewind_types::{DEFAULT_SHARD, Hint, QueueName, TaskState, Term, Timestamp, WriteSet};

use crate::{
    core::{Core, Message, TermStats},
    timetables::Timetables,
};

/// Messages applied before the loop looks at its commit again.
const MESSAGES_A_TURN: usize = 512;

/// The loop wakes at least this often, so that a clock step is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What gathers while a commit is under way.
#[derive(Default)]
struct Group {
    effects: Effects,
    replies: Vec<(oneshot::Sender<Vec<Reply>>, Vec<Reply>)>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.effects.rows.is_empty() && self.effects.dispatch.is_empty() && self.replies.is_empty()
    }
}

/// What waits for a commit to end.
struct InFlight {
    commit: JoinHandle<Result<Duration, StoreError>>,
    dispatch: Vec<Dispatch>,
    replies: Vec<(oneshot::Sender<Vec<Reply>>, Vec<Reply>)>,
    transitions: u64,
}

/// Why a term ended.
#[derive(Debug)]
pub(crate) enum TermEnd {
    /// The process shuts down.
    Shutdown,
    /// The lease was lost, or could not be renewed in time.
    LeaseLost,
    /// The store refused a commit; memory is thrown away and loaded again.
    CommitFailed(StoreError),
}

/// The loop of one term.
pub(crate) struct TermLoop {
    pub(crate) core: Arc<Core>,
    pub(crate) engine: Engine,
    pub(crate) term: Term,
    pub(crate) stats: Arc<TermStats>,
    pub(crate) messages: mpsc::Receiver<Message>,
    /// Until when this process may act as leader, by its own monotonic clock.
    pub(crate) valid_until: watch::Receiver<Instant>,
    /// Hints for the pusher, which never holds up the loop.
    pub(crate) hints: mpsc::UnboundedSender<HintChange>,
    /// Custom timetables that a DAG processor must evaluate.
    pub(crate) timetables: Arc<Timetables>,
    pub(crate) shutdown: CancellationToken,
}

/// What the pusher does to the queue.
#[derive(Debug)]
pub(crate) enum HintChange {
    Push(Vec<Hint>),
    Remove(Vec<(QueueName, tradewind_types::AttemptKey)>),
}

impl TermLoop {
    /// Runs until the term ends. `first` holds what the engine wanted when it was rebuilt.
    pub(crate) async fn run(mut self, first: Effects) -> TermEnd {
        let mut group = Group { effects: first, replies: Vec::new() };
        let mut in_flight: Option<InFlight> = None;
        loop {
            if in_flight.is_none() && !group.is_empty() {
                in_flight = self.begin_commit(std::mem::take(&mut group));
            }
            let sleep = self.until_wakeup();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return self.end(in_flight, group).await,
                result = finished(&mut in_flight) => {
                    match result {
                        Ok(took) => self.commit_done(in_flight.take(), took),
                        Err(error) => return TermEnd::CommitFailed(error),
                    }
                }
                message = self.messages.recv() => {
                    let Some(message) = message else { return TermEnd::Shutdown };
                    self.apply(message, &mut group);
                    for _ in 1..MESSAGES_A_TURN {
                        match self.messages.try_recv() {
                            Ok(message) => self.apply(message, &mut group),
                            Err(_) => break,
                        }
                    }
                }
                () = tokio::time::sleep(sleep) => {}
            }
            if Instant::now() >= *self.valid_until.borrow() {
                return TermEnd::LeaseLost;
            }
            self.tick(&mut group);
        }
    }

    fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    fn until_wakeup(&self) -> Duration {
        let Some(at) = self.engine.next_wakeup() else { return LONGEST_SLEEP };
        let left = at.duration_since(self.now());
        // Past due becomes zero.
        Duration::try_from(left).unwrap_or_default().min(LONGEST_SLEEP)
    }

    fn tick(&mut self, group: &mut Group) {
        let now = self.now();
        if self.engine.next_wakeup().is_some_and(|at| at <= now) {
            self.engine.step(Event::Tick, now, &mut group.effects);
        }
    }

    fn apply(&mut self, message: Message, group: &mut Group) {
        let now = self.now();
        match message {
            Message::Step { events, reply } => {
                let replies =
                    events.into_iter().map(|event| self.engine.step(event, now, &mut group.effects)).collect();
                group.replies.push((reply, replies));
            }
            Message::Peek { event, reply } => {
                let answer = self.engine.step(*event, now, &mut group.effects);
                // The asker may have gone.
                let _ = reply.send(answer);
            }
            Message::Query(query) => query(&self.engine, now),
        }
    }

    /// Starts the commit of a group; one without rows needs none and ends at once.
    fn begin_commit(&mut self, group: Group) -> Option<InFlight> {
        let Group { effects: Effects { rows, dispatch }, replies } = group;
        if rows.is_empty() {
            self.finish(dispatch, replies);
            return None;
        }
        let transitions = rows.task_instances.len() as u64 + rows.runs.len() as u64;
        let store = Arc::clone(&self.core.store);
        let valid_until = self.valid_until.clone();
        let commit = tokio::spawn(commit(store, self.term, rows, valid_until));
        Some(InFlight { commit, dispatch, replies, transitions })
    }

    fn commit_done(&mut self, done: Option<InFlight>, took: Duration) {
        let Some(done) = done else { return };
        self.stats.note_commit(took, done.transitions);
        self.finish(done.dispatch, done.replies);
        self.core.changes.send_modify(|count| *count += 1);
    }

    /// Answers, then passes the hints on. A hint whose attempt was claimed in the same group is not pushed.
    fn finish(&mut self, dispatch: Vec<Dispatch>, replies: Vec<(oneshot::Sender<Vec<Reply>>, Vec<Reply>)>) {
        for (reply, answers) in replies {
            // The caller may have given up; it will ask again.
            let _ = reply.send(answers);
        }
        let mut push: Vec<Hint> = Vec::new();
        let mut remove = Vec::new();
        for action in dispatch {
            match action {
                Dispatch::Push(hint) => {
                    if !self.is_wanted(&hint) {
                        continue;
                    }
                    // Beyond the window hints wait in the store; the repair sweep tops the queue up, best first.
                    if self.engine.queued_in(&hint.queue) <= self.core.settings.queue_window as u64 {
                        push.push(hint);
                    }
                }
                Dispatch::Forget { queue, key } => remove.push((queue, key)),
                // Workers learn of cancelled attempts at their next heartbeat: the engine refuses their tokens there.
                Dispatch::Cancel { worker, token } => {
                    tracing::debug!(%worker, ?token, "an attempt is to be stopped");
                }
                Dispatch::AskTimetable(question) => self.timetables.ask(*question),
                Dispatch::RunFinished { run_no, state } => tracing::debug!(%run_no, %state, "a run is over"),
            }
        }
        // The pusher lives as long as the term; if it is gone, so is the term.
        if !push.is_empty() {
            let _ = self.hints.send(HintChange::Push(push));
        }
        if !remove.is_empty() {
            let _ = self.hints.send(HintChange::Remove(remove));
        }
    }

    /// Whether a hint still leads to something: a queued task instance, a trigger, or a callback (which is no task
    /// instance). A hint too many is refused when it is claimed.
    fn is_wanted(&self, hint: &Hint) -> bool {
        match self.engine.task_instance(hint.key.ti) {
            None => true,
            Some(ti) if ti.state == TaskState::Deferred => ti.key() == hint.key,
            Some(_) => self.engine.is_queued(hint),
        }
    }

    /// At shutdown what is under way and what has gathered is still committed, so that callers get their answers.
    async fn end(mut self, in_flight: Option<InFlight>, group: Group) -> TermEnd {
        let mut under_way = in_flight;
        let mut gathered = Some(group);
        loop {
            if under_way.is_some() {
                match finished(&mut under_way).await {
                    Ok(took) => self.commit_done(under_way.take(), took),
                    Err(error) => return TermEnd::CommitFailed(error),
                }
            }
            match gathered.take() {
                Some(group) if !group.is_empty() => under_way = self.begin_commit(group),
                _ => return TermEnd::Shutdown,
            }
        }
    }
}

/// Waits for the commit under way; for ever when there is none.
async fn finished(in_flight: &mut Option<InFlight>) -> Result<Duration, StoreError> {
    match in_flight {
        Some(in_flight) => match (&mut in_flight.commit).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Broken(format!("the commit task ended: {error}"))),
        },
        None => std::future::pending().await,
    }
}

/// Commits rows under the term; while the store is away, again and again for as long as this process may lead.
async fn commit(
    store: Arc<dyn Store>,
    term: Term,
    rows: WriteSet,
    valid_until: watch::Receiver<Instant>,
) -> Result<Duration, StoreError> {
    let begin = Instant::now();
    loop {
        match store.commit(DEFAULT_SHARD, term, &rows).await {
            Ok(()) => return Ok(begin.elapsed()),
            Err(error) if error.is_retryable() && Instant::now() < *valid_until.borrow() => {
                tracing::warn!(%error, "the commit did not go through, trying again");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
