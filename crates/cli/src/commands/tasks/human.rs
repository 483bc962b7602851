//! `tradewind tasks questions` and `answer`: human in the loop.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use tradewind_proto::{from_json, v1};
use tradewind_types::{HumanInput, Timestamp, did_you_mean};

use super::{TaskArgs, explained, instance, states};
use crate::{
    client::Client,
    commands::dags::json_object,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs, Record, Text, Tone, paint},
    suggest,
};

/// The arguments of `tradewind tasks questions`.
#[derive(Debug, Args)]
pub struct QuestionsArgs {
    /// Only those of this DAG.
    dag_id: Option<String>,
    /// Only those of this run: its id, its logical date, or `latest`.
    run: Option<String>,
    /// Answered ones instead of open ones.
    #[arg(long)]
    answered: bool,
    /// Open and answered ones.
    #[arg(long, conflicts_with = "answered")]
    all: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// A question as a row.
#[derive(Serialize)]
struct QuestionRecord {
    #[serde(flatten)]
    question: HumanInput,
    #[serde(skip)]
    since: String,
}

impl QuestionRecord {
    fn new(input: &v1::HumanInput, now: Timestamp) -> Result<Self, CliError> {
        let question: HumanInput = from_json("question", &input.json)?;
        Ok(Self { since: output::ago(question.created_at.as_microsecond(), now), question })
    }
}

impl Record for QuestionRecord {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "run_id", "task", "question", "options", "params", "asked", "answer", "by"];

    fn cells(&self) -> Vec<Text> {
        let question = &self.question;
        let marked = |option: &String| {
            let is_default = question.defaults.as_ref().is_some_and(|defaults| defaults.contains(option));
            if is_default { format!("{option}*") } else { option.clone() }
        };
        let options: Vec<String> = question.options.iter().map(marked).collect();
        let params: Vec<&str> =
            question.params.as_object().map(|params| params.keys().map(String::as_str).collect()).unwrap_or_default();
        vec![
            Text::plain(&question.dag_id),
            Text::plain(&question.run_id),
            Text::plain(states::name(question.task_id.as_str(), question.map_index)),
            Text::plain(&question.subject),
            Text::toned(Tone::Info, options.join(if question.multiple { " + " } else { " | " })),
            Text::plain(params.join(", ")),
            Text::plain(&self.since),
            question
                .chosen_options
                .as_ref()
                .map_or_else(Text::default, |chosen| Text::toned(Tone::Good, chosen.join(" + "))),
            Text::maybe(question.responded_by.as_ref()),
        ]
    }
}

/// Lists questions to people.
///
/// # Errors
/// No scheduler answers, or there is no such DAG or run.
pub async fn questions(client: &Client, args: QuestionsArgs) -> Outcome {
    let request = v1::ListHumanInputsRequest {
        page: None,
        dag_id: args.dag_id,
        run_id: args.run,
        answered: (!args.all).then_some(args.answered),
    };
    let (inputs, total) = match fetch(client, &request, args.page.limit).await {
        Ok(found) => found,
        Err(error) => {
            let dag_id = request.dag_id.as_deref().unwrap_or_default();
            return Err(suggest::near_names(client, error, dag_id, None, None).await);
        }
    };
    let now = Timestamp::now();
    let rows = inputs.iter().map(|input| QuestionRecord::new(input, now)).collect::<Result<Vec<_>, _>>()?;
    output::print_listing(args.page.output, &rows, total)?;
    Ok(Exit::Success)
}

async fn fetch(
    client: &Client,
    request: &v1::ListHumanInputsRequest,
    limit: u64,
) -> Result<(Vec<v1::HumanInput>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListHumanInputsRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_human_inputs(request.clone()).await).await?;
        Ok((answer.inputs, answer.total))
    })
    .await
}

/// The arguments of `tradewind tasks answer`.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// What you choose; several where the question takes several.
    #[arg(short, long, visible_alias = "option", value_name = "OPTION", num_args = 1..)]
    choose: Vec<String>,
    /// A param that the question asks for; can be repeated. Those that are left out keep their defaults.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// All params as a JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "param")]
    params: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Answers a question.
///
/// # Errors
/// No leader answers, nothing is asked, or the answer does not fit the question.
pub async fn answer(client: &Client, args: AnswerArgs) -> Outcome {
    let mut task = args.task.wire();
    let (run, ti) = instance(client, &task).await?;
    task.run_id = run.run_id;
    let Some(question) = asked(client, &ti).await? else {
        return Err(CliError::new(
            Exit::NotFound,
            format!("{} asks nobody anything ({})", states::name(&ti.task_id, ti.map_index), ti.state),
        )
        .with_hint("see `tradewind tasks questions` for what is open"));
    };
    if args.choose.is_empty() {
        return Err(CliError::usage(format!("\"{}\" needs an answer", question.subject))
            .with_hint(format!("choose with --choose: {}", question.options.join(", "))));
    }
    for option in &args.choose {
        if !question.options.contains(option) {
            let near = did_you_mean(option, question.options.iter().map(String::as_str));
            return Err(CliError::usage(format!(
                "\"{option}\" is none of the options of \"{}\"{near}",
                question.subject
            ))
            .with_hint(format!("choose from {}", question.options.join(", "))));
        }
    }
    let params_input_json = match &args.params {
        Some(params) => json_object("--params", params)?,
        None => filled_in(&question, &args.param)?,
    };
    let request = v1::AnswerHumanRequest { task: Some(task.clone()), chosen_options: args.choose, params_input_json };
    let answered = match client.write(async |mut admin| admin.answer_human(request.clone()).await).await {
        Ok(answered) => answered,
        Err(error) => return Err(explained(client, error, &task).await),
    };
    let record = QuestionRecord::new(&answered, Timestamp::now())?;
    if args.output.output.is_data() {
        output::print_record(args.output.output, &record)?;
    } else {
        let chosen = record.question.chosen_options.as_deref().unwrap_or_default().join(" + ");
        output::line(format!("Answered \"{}\" with {}.", record.question.subject, paint(Tone::Good, chosen)))?;
    }
    Ok(Exit::Success)
}

/// The question that a task instance asks.
///
/// # Errors
/// No scheduler answers.
pub(crate) async fn asked(client: &Client, ti: &v1::TaskInstance) -> Result<Option<HumanInput>, CliError> {
    let request = v1::ListHumanInputsRequest {
        page: None,
        dag_id: Some(ti.dag_id.clone()),
        run_id: Some(ti.run_id.clone()),
        answered: None,
    };
    for input in fetch(client, &request, 0).await?.0 {
        let question: HumanInput = from_json("question", &input.json)?;
        if question.task_id.as_str() == ti.task_id && question.map_index == ti.map_index {
            return Ok(Some(question));
        }
    }
    Ok(None)
}

/// Answers a question with one option, its params as they are by default.
///
/// # Errors
/// No leader answers, or the option is none.
pub(crate) async fn answer_by_option(client: &Client, question: &HumanInput, option: &str) -> Result<(), CliError> {
    let request = v1::AnswerHumanRequest {
        task: Some(v1::TaskInstanceRef {
            dag_id: question.dag_id.to_string(),
            run_id: question.run_id.to_string(),
            task_id: question.task_id.to_string(),
            map_index: question.map_index,
        }),
        chosen_options: vec![option.to_owned()],
        params_input_json: filled_in(question, &[])?,
    };
    client.write(async |mut admin| admin.answer_human(request.clone()).await).await?;
    Ok(())
}

/// The params of an answer as a JSON object: what is given, and defaults for the rest.
fn filled_in(question: &HumanInput, given: &[String]) -> Result<String, CliError> {
    let no_params = Map::new();
    let asked = question.params.as_object().unwrap_or(&no_params);
    let mut values: BTreeMap<&str, Value> = asked.iter().map(|(name, param)| (name.as_str(), plain(param))).collect();
    for pair in given {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            CliError::usage(format!("--param {pair}: there is no \"=\"")).with_hint("write --param NAME=VALUE")
        })?;
        let Some(param) = asked.get(name) else {
            let near = did_you_mean(name, asked.keys().map(String::as_str));
            return Err(CliError::usage(format!("the question asks for no param \"{name}\"{near}")));
        };
        values.insert(name, typed(param, text));
    }
    if values.is_empty() {
        return Ok(String::new());
    }
    Ok(tradewind_proto::to_json(&values))
}

/// The value that a param has by default: it is plain, or an object with a `value`.
fn plain(param: &Value) -> Value {
    match param {
        Value::Object(fields) => fields.get("value").cloned().unwrap_or_else(|| param.clone()),
        other => other.clone(),
    }
}

/// A value of the command line: text where the schema or the default says so, else JSON where it is JSON.
fn typed(param: &Value, text: &str) -> Value {
    let kind = param.get("schema").and_then(|schema| schema.get("type"));
    let is_text = match kind {
        Some(kind) => kind == "string",
        None => plain(param).is_string(),
    };
    if is_text {
        return Value::String(text.to_owned());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(params: Value) -> HumanInput {
        serde_json::from_value(json!({
            "ti": "00000000-0000-0000-0000-000000000000", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1,
            "subject": "Go on?", "options": ["Yes", "No"], "defaults": ["No"], "params": params,
            "created_at": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn params_take_their_types_from_the_question() {
        let asked = question(json!({
            "n": {"value": 1, "schema": {"type": "integer"}},
            "note": {"value": "", "schema": {"type": "string"}},
            "plain": "x",
        }));
        let given = ["n=7".to_owned(), "note=12".to_owned()];
        let filled: Value = serde_json::from_str(&filled_in(&asked, &given).unwrap()).unwrap();
        assert_eq!(filled, json!({"n": 7, "note": "12", "plain": "x"}));
        assert_eq!(filled_in(&question(json!({})), &[]).unwrap(), "");
        assert!(filled_in(&asked, &["nte=1".to_owned()]).unwrap_err().message.contains("did you mean \"note\""));
        assert!(filled_in(&asked, &["n".to_owned()]).unwrap_err().message.contains("no \"=\""));
    }

    #[test]
    fn rows_mark_what_is_chosen_by_default() {
        let input = v1::HumanInput { json: tradewind_proto::to_json(&question(json!({}))) };
        let row = QuestionRecord::new(&input, "2026-01-01T00:01:00Z".parse().unwrap()).unwrap();
        let cells = row.cells();
        assert_eq!((cells[4].text.as_str(), cells[6].text.as_str()), ("Yes | No*", "1m 0s ago"));
    }
}
