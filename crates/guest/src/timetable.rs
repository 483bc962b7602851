//! Asks custom timetables, in children of the parse zygote: the class is found through the DAG file that uses it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{GuestEnv, GuestError, ImportError, ParseRequest};
use crate::control::Control;
use crate::parse::{Parser, prelude, run_child};

/// A question to the timetable of a DAG file.
#[derive(Debug, Clone)]
pub struct TimetableRequest {
    /// The file, with the limits that it is parsed under; `timeout` is for loading and asking together.
    pub file: ParseRequest,
    /// The DAG.
    pub dag_id: String,
    /// What is asked.
    pub question: TimetableQuestion,
}

/// What a timetable can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimetableQuestion {
    /// When does it run next? Answered by one run, or none. (`next_dagrun_info_v2`.)
    Next {
        /// The data interval of the last scheduled run.
        last: Option<(Timestamp, Timestamp)>,
        /// The first instant that runs may cover.
        earliest: Option<Timestamp>,
        /// The last instant that runs may cover.
        latest: Option<Timestamp>,
        /// Whether missed runs are made up for.
        catchup: bool,
    },
    /// Which data interval has a manual run? Answered by one run. (`infer_manual_data_interval`.)
    Manual {
        /// When it becomes due.
        run_after: Timestamp,
    },
    /// Which runs are there in a span of time, as a backfill needs them?
    Between {
        /// The first instant.
        earliest: Timestamp,
        /// The last instant.
        latest: Timestamp,
        /// At most so many.
        limit: u32,
    },
}

/// A run that a timetable gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct TimetableRun {
    /// When it becomes due.
    pub run_after: Timestamp,
    /// Start of its data interval; its logical date, too.
    pub data_interval_start: Option<Timestamp>,
    /// End of its data interval.
    pub data_interval_end: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    runs: Vec<TimetableRun>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
    line: Option<u32>,
    traceback: Option<String>,
}

/// The runs that a timetable gave, or why it raised, hung or could not be loaded.
pub type TimetableAnswer = Result<Vec<TimetableRun>, ImportError>;

impl Parser {
    /// Asks a timetable, in a process of its own. Whatever the file and its timetable do is a [`TimetableAnswer`]; an error
    /// means that it was not asked.
    ///
    /// # Errors
    /// The interpreter does not start, or the system refuses a process.
    pub async fn evaluate_timetable(&self, request: TimetableRequest) -> Result<TimetableAnswer, GuestError> {
        let file = request.file.dags_root.join(&request.file.file);
        let mut prelude = prelude(&request.file, &file);
        prelude["dag_id"] = request.dag_id.clone().into();
        prelude["question"] = question(&request.question);
        let (prelude, asked) = (&prelude, &request.file);
        let work = |zygote: Arc<Control>| async move { run_child(&zygote, "timetable", prelude, asked).await };
        let end = self.with_zygote(work).await?;
        let answer = end.answer.as_deref().and_then(|answer| serde_json::from_slice::<Answer>(answer).ok());
        Ok(match answer {
            Some(Answer { error: Some(Failure { message, line, traceback }), .. }) => {
                Err(ImportError { message, line, traceback })
            }
            Some(Answer { runs, .. }) => Ok(runs),
            None => Err(end.why(&file, "asked the timetable")),
        })
    }
}

/// Asks a timetable with an interpreter that is started for it: for commands.
///
/// # Errors
/// As [`Parser::evaluate_timetable`].
pub async fn evaluate_timetable(env: &GuestEnv, request: TimetableRequest) -> Result<TimetableAnswer, GuestError> {
    let parser = Parser::new(env.clone());
    let answer = parser.evaluate_timetable(request).await;
    parser.shutdown().await;
    answer
}

fn question(question: &TimetableQuestion) -> Value {
    match question {
        TimetableQuestion::Next { last, earliest, latest, catchup } => json!({
            "ask": "next",
            "last": last.map(|(start, end)| [start, end]),
            "earliest": earliest,
            "latest": latest,
            "catchup": catchup,
        }),
        TimetableQuestion::Manual { run_after } => json!({"ask": "manual", "run_after": run_after}),
        TimetableQuestion::Between { earliest, latest, limit } => {
            json!({"ask": "between", "earliest": earliest, "latest": latest, "limit": limit})
        }
    }
}
