//! Shows the run of a test: changes of state, logs, questions, callbacks.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tradewind_proto::v1;
use tradewind_types::Deferral;

use crate::{
    client::Client,
    commands::{callbacks, tasks},
    errors::CliError,
    follow, output,
};

/// Answers to questions, by task.
pub(super) type Answers = BTreeMap<String, String>;

/// How often callbacks are looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// Something that a change of state calls for.
enum Event {
    /// An attempt began: its log is shown.
    Attempt(v1::TaskInstance),
    /// A task asks a person.
    Question(v1::TaskInstance),
}

/// What of a run was shown already, so that its next part is shown alone.
#[derive(Default)]
pub(super) struct Shown {
    logs: HashMap<String, u32>,
    questions: HashMap<String, u32>,
    /// The last state of each task instance.
    pub(super) instances: Vec<v1::TaskInstance>,
    callbacks: usize,
}

/// Shows changes of state on standard error and the logs of all attempts on standard output, each line with its task.
///
/// # Errors
/// No scheduler answers, or a question has no answer.
pub(super) async fn show(
    client: &Client,
    run: &v1::DagRun,
    answers: &Answers,
    shown: &mut Shown,
) -> Result<v1::DagRun, CliError> {
    let (happened, mut events) = mpsc::unbounded_channel::<Event>();
    let watching = async move {
        let Shown { logs: seen, questions: asked, instances, .. } = shown;
        let before = std::mem::take(instances);
        follow::plainly(client, &run.dag_id, &run.run_id, &before, |snapshot| {
            instances.clone_from(&snapshot.task_instances);
            for ti in &snapshot.task_instances {
                let is_new = |known: &HashMap<String, u32>| known.get(&ti.id).is_none_or(|known| *known < ti.attempt);
                // The empty operator runs nowhere and has no log.
                if ti.worker.is_some() && is_new(seen) {
                    seen.insert(ti.id.clone(), ti.attempt);
                    // The receiver lives until all senders are gone.
                    let _ = happened.send(Event::Attempt(ti.clone()));
                }
                if ti.state == "awaiting_input" && is_new(asked) {
                    asked.insert(ti.id.clone(), ti.attempt);
                    let _ = happened.send(Event::Question(ti.clone()));
                }
            }
        })
        .await
    };
    let reacting = async {
        let mut logs = FuturesUnordered::new();
        let mut is_watching = true;
        while is_watching || !logs.is_empty() {
            tokio::select! {
                next = events.recv(), if is_watching => match next {
                    Some(Event::Attempt(ti)) => logs.push(tasks::print_attempt(client, ti)),
                    Some(Event::Question(ti)) => answer(client, &ti, answers).await?,
                    None => is_watching = false,
                },
                Some(printed) = logs.next() => printed?,
            }
        }
        Ok(())
    };
    let (finished, ()) = tokio::try_join!(watching, reacting)?;
    Ok(finished)
}

/// Answers the question of a task as the command line says.
async fn answer(client: &Client, ti: &v1::TaskInstance, answers: &Answers) -> Result<(), CliError> {
    let Some(question) = tasks::asked(client, ti).await? else {
        return Ok(());
    };
    let hint = format!("answer with --answer {}=OPTION: {}", ti.task_id, question.options.join(", "));
    match answers.get(&ti.task_id) {
        Some(option) => {
            output::note(&format!("{} asks \"{}\": {option}", ti.task_id, question.subject));
            tasks::answer_by_option(client, &question, option).await.map_err(|error| error.with_hint(hint))
        }
        None if waits_in_time(ti) => {
            output::note(&format!(
                "{} asks \"{}\"; waiting until its time is over ({hint})",
                ti.task_id, question.subject
            ));
            Ok(())
        }
        None => Err(CliError::usage(format!("{} asks \"{}\", and nobody answers", ti.task_id, question.subject))
            .with_hint(hint)),
    }
}

/// Whether its wait ends by itself.
fn waits_in_time(ti: &v1::TaskInstance) -> bool {
    let deferral: Option<Deferral> = ti.deferral_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    deferral.is_some_and(|deferral| deferral.timeout_at.is_some())
}

/// Waits for the callbacks of a run that is over and says how they ended.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn callbacks(client: &Client, run: &v1::DagRun, shown: &mut Shown) -> Result<(), CliError> {
    let request =
        v1::ListCallbacksRequest { page: None, dag_id: Some(run.dag_id.clone()), run_id: Some(run.run_id.clone()) };
    // Each has a time limit (worker.callback_timeout_secs), so that this ends.
    loop {
        let (rows, _) = callbacks::fetch(client, &request, 0).await?;
        if rows.iter().all(|row| matches!(row.state.as_str(), "success" | "failed")) {
            // Newest first; the oldest were shown after an earlier part.
            let known = std::mem::replace(&mut shown.callbacks, rows.len());
            for row in rows.iter().rev().skip(known) {
                let state = output::paint(output::state_tone(&row.state), &row.state);
                let note = row.note.as_deref().map_or_else(String::new, |note| format!(": {note}"));
                output::note(&format!("callback {} {state}{note}", row.kind));
            }
            return Ok(());
        }
        tokio::time::sleep(PERIOD).await;
    }
}
