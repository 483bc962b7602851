//! Custom timetables: classes of DAG files, which only a guest can evaluate. The engine asks, a DAG processor fetches the
//! questions and answers them. Questions live as long as the term; the next leader's engine asks again.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use tradewind_engine::{TimetableQuestion, timetable::DagRunInfo};
use tradewind_types::{ApiError, DagId, DagVersion, Timestamp};

/// A timetable's answer: the next run, none, or why it raised.
pub(crate) type TimetableReply = Result<Option<DagRunInfo>, String>;

/// The numbers of the shell's own questions begin here, out of the engine's way.
const OWN_QUESTIONS: u64 = 1 << 62;

/// How long the shell waits for one answer of its own: some polls of a DAG processor and one evaluation.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Dates of one backfill over a custom timetable at most; each takes a round through the DAG processor.
const DATES_AT_MOST: usize = 500;

/// Questions that wait for a DAG processor.
#[derive(Default)]
pub(crate) struct Timetables {
    waiting: Mutex<Waiting>,
    asked: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    /// The engine's question of each DAG: a later one replaces it.
    engine: HashMap<DagId, TimetableQuestion>,
    /// Questions of the shell itself, by number, with who waits.
    own: HashMap<u64, (TimetableQuestion, oneshot::Sender<TimetableReply>)>,
}

impl Timetables {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a question of the engine.
    pub(crate) fn ask(&self, question: TimetableQuestion) {
        self.lock().engine.insert(question.dag_id.clone(), question);
    }

    /// What waits for an answer.
    pub(crate) fn questions(&self) -> Vec<TimetableQuestion> {
        let waiting = self.lock();
        let own = waiting.own.values().filter(|(_, asker)| !asker.is_closed()).map(|(question, _)| question);
        waiting.engine.values().chain(own).cloned().collect()
    }

    /// Forgets the engine's question of a DAG once it is answered; a later question stays.
    pub(crate) fn answered(&self, dag_id: &DagId, question: u64) {
        let mut waiting = self.lock();
        if waiting.engine.get(dag_id).is_some_and(|asked| asked.question == question) {
            waiting.engine.remove(dag_id);
        }
    }

    /// Hands an answer to the shell's own question with this number; gives it back when the question is the engine's.
    pub(crate) fn answer_own(&self, question: u64, reply: TimetableReply) -> Option<TimetableReply> {
        if question < OWN_QUESTIONS {
            return Some(reply);
        }
        if let Some((_, asker)) = self.lock().own.remove(&question) {
            // The asker may have given up.
            let _ = asker.send(reply);
        }
        None
    }

    /// The runs of a custom timetable from `from` to `to`, as a backfill needs them.
    ///
    /// # Errors
    /// The timetable raises, there are too many dates, or no DAG processor answers.
    pub(crate) async fn dates(
        &self,
        version: &DagVersion,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<DagRunInfo>, ApiError> {
        let dag_id = &version.spec.dag_id;
        let question = TimetableQuestion {
            dag_id: dag_id.clone(),
            version: version.hash.clone(),
            question: 0,
            last: None,
            now,
            catchup: true,
            earliest: Some(from),
            latest: Some(to),
        };
        let dates = self.follow(question, DATES_AT_MOST + 1, Some(to)).await?;
        if dates.len() > DATES_AT_MOST {
            return Err(ApiError::invalid(format!(
                "the timetable of \"{dag_id}\" gives more than {DATES_AT_MOST} dates from {from} to {to}; backfill a shorter \
                 time"
            )));
        }
        Ok(dates)
    }

    /// The next `n` runs of a custom timetable, beginning with the answer to `question`; fewer where it ends.
    ///
    /// # Errors
    /// As [`Timetables::dates`].
    pub(crate) async fn next_runs(&self, question: TimetableQuestion, n: usize) -> Result<Vec<DagRunInfo>, ApiError> {
        if n > DATES_AT_MOST {
            return Err(ApiError::invalid(format!(
                "\"{}\" has a timetable of its own, which is asked for at most {DATES_AT_MOST} runs, not {n}",
                question.dag_id
            )));
        }
        self.follow(question, n, None).await
    }

    /// Asks for one run after the other.
    async fn follow(
        &self,
        mut question: TimetableQuestion,
        n: usize,
        until: Option<Timestamp>,
    ) -> Result<Vec<DagRunInfo>, ApiError> {
        let dag_id = question.dag_id.clone();
        let mut runs: Vec<DagRunInfo> = Vec::new();
        while runs.len() < n {
            question.question = OWN_QUESTIONS + self.asked.fetch_add(1, Ordering::Relaxed);
            let next = self.wait_for(question.clone()).await?.map_err(|error| {
                ApiError::invalid(format!("the timetable of \"{dag_id}\" raised, so its dates are not known: {error}"))
            })?;
            let Some(run) = next.filter(|run| until.is_none_or(|until| run.logical_date <= until)) else { break };
            if let Some(before) = runs.last().filter(|before| run.logical_date <= before.logical_date) {
                return Err(ApiError::invalid(format!(
                    "the timetable of \"{dag_id}\" does not move on: after {} it gave {}",
                    before.logical_date, run.logical_date
                )));
            }
            question.last = Some((run.interval_start, run.interval_end));
            runs.push(run);
        }
        Ok(runs)
    }

    async fn wait_for(&self, question: TimetableQuestion) -> Result<TimetableReply, ApiError> {
        let number = question.question;
        let dag_id = question.dag_id.clone();
        let (asker, answer) = oneshot::channel();
        self.lock().own.insert(number, (question, asker));
        let waited = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        self.lock().own.remove(&number);
        match waited {
            Ok(Ok(reply)) => Ok(reply),
            _ => Err(ApiError::unavailable(format!(
                "no DAG processor evaluated the timetable of \"{dag_id}\" within {} s; is `tradewind dag-processor` \
                 running?",
                ANSWER_WITHIN.as_secs()
            ))),
        }
    }
}
