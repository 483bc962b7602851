//! `tradewind assets details`.

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tradewind_proto::v1;
use tradewind_types::{AssetKey, AssetRef, DagSpec, Timetable};

use super::{
    AssetArgs, AssetRecord,
    events::{self, EventRecord},
    fetch, near,
};
use crate::{
    client::Client,
    commands::dags::{details, list_dags},
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text},
};

/// DAGs that are asked for at once.
const AT_ONCE: usize = 16;

#[derive(Serialize)]
struct DetailsRecord {
    #[serde(flatten)]
    asset: AssetRecord,
    producing_tasks: Vec<String>,
    reading_tasks: Vec<String>,
    scheduled_dags: Vec<String>,
    events: u64,
    last_event: Option<EventRecord>,
}

impl Record for DetailsRecord {
    const HEADINGS: &'static [&'static str] =
        &["name", "uri", "group", "extra", "made by", "read by", "schedules", "events", "last event"];

    fn cells(&self) -> Vec<Text> {
        let mut cells = self.asset.cells();
        cells.extend([
            Text::plain(self.producing_tasks.join("\n")),
            Text::plain(self.reading_tasks.join("\n")),
            Text::plain(self.scheduled_dags.join("\n")),
            Text::plain(self.events),
            self.last_event.as_ref().map_or_else(Text::default, |event| {
                let cells = event.cells();
                Text::plain(format!("{}  {}", cells[2].text, cells[4].text))
            }),
        ]);
        cells
    }
}

/// Shows an asset.
///
/// # Errors
/// No scheduler answers, or there is no such asset.
pub(super) async fn run(client: &Client, named: &AssetArgs, output: OutputArgs) -> Outcome {
    let pattern = named.name.clone().or_else(|| named.uri.clone());
    let is_it = |asset: &v1::Asset| {
        named.name.as_ref().is_none_or(|name| asset.name == *name)
            && named.uri.as_ref().is_none_or(|uri| asset.uri == *uri)
    };
    let Some(asset) = fetch(client, pattern, 0).await?.0.into_iter().find(is_it) else {
        let shown = named.name.as_deref().or(named.uri.as_deref()).unwrap_or_default();
        let error = CliError::new(Exit::NotFound, format!("no DAG names an asset \"{shown}\""));
        return Err(near(client, error, named).await);
    };
    let key = AssetKey { name: asset.name.clone(), uri: asset.uri.clone() };
    let (mut makes, mut reads, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for spec in specs(client).await? {
        for task in &spec.tasks {
            let name = format!("{}.{}", spec.dag_id, task.task_id);
            if task.outlets.iter().any(|outlet| is_ref(outlet, &key)) {
                makes.push(name.clone());
            }
            if task.inlets.iter().any(|inlet| is_ref(inlet, &key)) {
                reads.push(name);
            }
        }
        if is_scheduled_on(&spec.timetable, &key) {
            waits.push(spec.dag_id.to_string());
        }
    }
    let request = v1::ListAssetEventsRequest {
        name: Some(key.name),
        uri: Some(key.uri),
        ..v1::ListAssetEventsRequest::default()
    };
    let (last, events) = events::fetch(client, &request, 1).await?;
    let record = DetailsRecord {
        asset: AssetRecord::new(asset)?,
        producing_tasks: makes,
        reading_tasks: reads,
        scheduled_dags: waits,
        events,
        last_event: last.into_iter().next().map(EventRecord::new).transpose()?,
    };
    output::print_record(output.output, &record)?;
    Ok(Exit::Success)
}

/// What all DAGs say, in the order of their ids.
async fn specs(client: &Client) -> Result<Vec<DagSpec>, CliError> {
    let (dags, _) = list_dags(client, &v1::ListDagsRequest::default(), 0).await?;
    futures::stream::iter(dags)
        .map(async |dag| details::spec(client, &dag.dag_id).await)
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

fn is_ref(named: &AssetRef, key: &AssetKey) -> bool {
    match named {
        AssetRef::Asset(own) => own == key,
        AssetRef::Name { name } => *name == key.name,
        AssetRef::Uri { uri } => *uri == key.uri,
        AssetRef::Alias { .. } => false,
    }
}

fn is_scheduled_on(timetable: &Timetable, key: &AssetKey) -> bool {
    match timetable {
        Timetable::Assets { condition } | Timetable::AssetOrTime { condition, .. } => {
            condition.assets().into_iter().any(|named| is_ref(named, key))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tradewind_types::AssetCondition;

    use super::*;

    #[test]
    fn an_asset_is_found_however_a_dag_names_it() {
        let key = AssetKey { name: "orders".to_owned(), uri: "s3://lake/orders".to_owned() };
        for (named, is_it) in [
            (AssetRef::Asset(key.clone()), true),
            (AssetRef::Name { name: "orders".to_owned() }, true),
            (AssetRef::Uri { uri: "s3://lake/orders".to_owned() }, true),
            (AssetRef::Name { name: "order".to_owned() }, false),
            (AssetRef::Alias { name: "orders".to_owned() }, false),
        ] {
            assert_eq!(is_ref(&named, &key), is_it, "{named:?}");
            let condition = AssetCondition::Any { of: vec![AssetCondition::One { asset: named }] };
            assert_eq!(is_scheduled_on(&Timetable::Assets { condition }, &key), is_it);
        }
        assert!(!is_scheduled_on(&Timetable::Once, &key));
    }
}
