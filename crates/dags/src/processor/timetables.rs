//! Answers the leader's questions about custom timetables: each is put to the class in a child process, through the DAG file
//! that uses it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tradewind_guest::{ParseRequest, TimetableAnswer, TimetableQuestion, TimetableRequest};
use tradewind_proto::{LeaderClient, dag_client, v1};
use tradewind_types::{DagSpec, Timestamp, Timetable};

use super::{
    ProcessorSettings,
    interpreters::{Found, Interpreters},
    look_ups::LookUps,
};

/// Time between two looks for questions.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between an answer and the next look.
const FOLLOW_UP: Duration = Duration::from_millis(20);

/// Whether a guest has to be asked about the DAG's schedule.
pub(crate) fn is_custom(spec: &DagSpec) -> bool {
    fn custom(timetable: &Timetable) -> bool {
        match timetable {
            Timetable::Custom { .. } => true,
            Timetable::AssetOrTime { timetable, .. } => custom(timetable),
            _ => false,
        }
    }
    custom(&spec.timetable)
}

type Question = (String, u64);

/// Asks the leader for questions and answers them.
pub(crate) struct Answerer {
    client: LeaderClient,
    interpreters: Interpreters,
    settings: ProcessorSettings,
    /// Evaluations at once. They are apart from parsing: a timetable that hangs keeps no file waiting.
    slots: Arc<Semaphore>,
    /// The questions that are being answered, by DAG and number, and those that were a moment ago, with the time: the
    /// leader may still name them.
    open: HashMap<Question, Option<Instant>>,
    answers: JoinSet<(Question, Result<(), String>)>,
    /// The trouble that was logged last, so that it is logged once.
    trouble: Option<String>,
}

impl Answerer {
    pub(crate) fn new(client: LeaderClient, interpreters: Interpreters, settings: ProcessorSettings) -> Self {
        let slots = Arc::new(Semaphore::new(settings.parse_processes.max(1)));
        Self { client, interpreters, settings, slots, open: HashMap::new(), answers: JoinSet::new(), trouble: None }
    }

    /// Works until it is cancelled, once `wanted` says that there are custom timetables.
    pub(crate) async fn run(mut self, mut wanted: tokio::sync::watch::Receiver<bool>, cancel: CancellationToken) {
        let work = async {
            // An error means that the processor is gone.
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            loop {
                if let Err(trouble) = self.ask().await {
                    self.note(Some(trouble));
                }
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    Some(done) = self.answers.join_next() => {
                        let trouble = self.done(done);
                        // Whoever got an answer may ask on: a backfill does, for each date.
                        tokio::time::sleep(if trouble.is_none() { FOLLOW_UP } else { INTERVAL }).await;
                        self.note(trouble);
                    }
                }
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    /// Closes a question that was answered; else says why it was not.
    fn done(&mut self, done: Result<(Question, Result<(), String>), JoinError>) -> Option<String> {
        match done {
            Ok((question, Ok(()))) => {
                self.open.insert(question, Some(Instant::now()));
                None
            }
            Ok((question, Err(trouble))) => {
                self.open.remove(&question);
                Some(trouble)
            }
            Err(error) => {
                // Which one it was is not known: those that are still at it are begun again.
                self.open.retain(|_, answered| answered.is_some());
                Some(format!("answering for a timetable panicked: {error}"))
            }
        }
    }

    /// Fetches questions and begins to answer the new ones.
    async fn ask(&mut self) -> Result<(), String> {
        let asked = self
            .client
            .call(self.settings.patience, |channel| async move {
                dag_client(channel).timetable_questions(v1::TimetableQuestionsRequest {}).await
            })
            .await
            .map_err(|error| format!("cannot fetch questions about timetables: {error}"))?;
        let root =
            tokio::fs::canonicalize(&self.settings.folder).await.unwrap_or_else(|_| self.settings.folder.clone());
        self.open.retain(|_, answered| answered.is_none_or(|at| at.elapsed() < INTERVAL));
        for question in asked.questions {
            let key = (question.dag_id.clone(), question.question);
            // A file that is gone takes its DAGs along with the next scan.
            if !self.open.contains_key(&key) && root.join(&question.rel_path).is_file() {
                self.open.insert(key, None);
                self.answers.spawn(self.job(root.clone(), question));
            }
        }
        Ok(())
    }

    fn job(
        &self,
        root: PathBuf,
        question: v1::TimetableQuestion,
    ) -> impl Future<Output = (Question, Result<(), String>)> + Send + use<> {
        let (slots, interpreters, client) = (Arc::clone(&self.slots), self.interpreters.clone(), self.client.clone());
        let (settings, patience) = (self.settings.clone(), self.settings.patience);
        async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            let key = (question.dag_id.clone(), question.question);
            let answer = match evaluate(&interpreters, &root, &settings, &question, &client).await {
                Ok(answer) => answer,
                Err(trouble) => return (key, Err(trouble)),
            };
            let sent = client
                .call(patience, |channel| {
                    let answer = answer.clone();
                    async move { dag_client(channel).answer_timetable(answer).await }
                })
                .await;
            let dag_id = &key.0;
            let sent = sent.map(drop);
            let sent = sent.map_err(|error| format!("cannot answer for the timetable of \"{dag_id}\": {error}"));
            (key, sent)
        }
    }

    fn note(&mut self, trouble: Option<String>) {
        match &trouble {
            Some(now) if self.trouble.as_ref() != Some(now) => tracing::warn!("{now}; trying again"),
            None if self.trouble.is_some() => tracing::info!("custom timetables are answered again"),
            _ => {}
        }
        self.trouble = trouble;
    }
}

/// Puts one question to a timetable. What the timetable does is an answer; an error means that it was not asked.
async fn evaluate(
    interpreters: &Interpreters,
    root: &Path,
    settings: &ProcessorSettings,
    question: &v1::TimetableQuestion,
    client: &LeaderClient,
) -> Result<v1::TimetableAnswer, String> {
    let interpreter = match interpreters.of_file(&question.rel_path, root) {
        Found::Ready(interpreter) => interpreter,
        Found::Pending => return Err(format!("the Python environment of {} is being built", question.rel_path)),
        Found::Failed(why) => return Err(why),
        Found::None => return Err("there is no Python (python.interpreter)".to_owned()),
    };
    let mut file = ParseRequest::new(root, &question.rel_path);
    file.timeout = settings.parse_timeout;
    file.memory_limit_bytes = settings.parse_memory_bytes;
    file.host = Some(Arc::new(LookUps::new(client.clone(), settings.patience)));
    let instant = |micros: Option<i64>| micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let request = TimetableRequest {
        file,
        dag_id: question.dag_id.clone(),
        question: TimetableQuestion::Next {
            last: instant(question.last_start).zip(instant(question.last_end)),
            earliest: instant(question.earliest),
            latest: instant(question.latest),
            catchup: question.catchup,
        },
    };
    let answered: TimetableAnswer = interpreter
        .parser()
        .evaluate_timetable(request)
        .await
        .map_err(|error| format!("cannot ask the timetable of \"{}\": {error}", question.dag_id))?;
    let mut answer = v1::TimetableAnswer {
        dag_id: question.dag_id.clone(),
        question: question.question,
        ..v1::TimetableAnswer::default()
    };
    match answered {
        Ok(runs) => {
            answer.next = runs.first().map(|run| v1::TimetableRun {
                logical_date: run.data_interval_start.map(Timestamp::as_microsecond),
                data_interval_start: run.data_interval_start.unwrap_or(run.run_after).as_microsecond(),
                data_interval_end: run.data_interval_end.unwrap_or(run.run_after).as_microsecond(),
                run_after: run.run_after.as_microsecond(),
            });
        }
        Err(error) => {
            tracing::warn!(
                dag_id = question.dag_id,
                file = question.rel_path,
                "the timetable failed: {}",
                error.message
            );
            let texts = [Some(error.message), error.traceback];
            answer.error = Some(texts.into_iter().flatten().collect::<Vec<_>>().join("\n"));
        }
    }
    Ok(answer)
}
