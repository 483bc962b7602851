//! Where DAGs and tasks are in their files: as the parser noted it for Python, by the text for YAML.

use std::collections::BTreeMap;

use tradewind_types::SourceKind;

use crate::LoadedFile;

/// The places of one file.
pub(super) struct Places {
    dags: BTreeMap<String, (String, u32)>,
    tasks: BTreeMap<(String, String), (String, u32)>,
}

impl Places {
    pub(super) fn of(file: &LoadedFile, text: impl Fn(&str) -> Option<String>) -> Self {
        let mut places = Self { dags: BTreeMap::new(), tasks: BTreeMap::new() };
        for dag in file.notes.iter().flat_map(|notes| &notes.dags) {
            if let Some(place) = &dag.place {
                places.dags.insert(dag.dag_id.clone(), (place.file.clone(), place.line));
            }
            for task in &dag.tasks {
                if let Some(place) = &task.place {
                    places.tasks.insert((dag.dag_id.clone(), task.task_id.clone()), (place.file.clone(), place.line));
                }
            }
        }
        let yaml: Vec<_> = file.dags.iter().filter(|(_, spec)| spec.source.kind == SourceKind::Yaml).collect();
        let Some(text) = (!yaml.is_empty()).then(|| text(&file.rel_path)).flatten() else { return places };
        let mut from = 0;
        for (_, spec) in yaml {
            // The DAGs of a file come one after the other.
            let start = line_of(&text, from, &["dag_id"], spec.dag_id.as_str());
            from = start.unwrap_or(from);
            if let Some(start) = start {
                places.dags.insert(spec.dag_id.to_string(), (file.rel_path.clone(), number(start)));
            }
            for task in &spec.tasks {
                let own = task.task_id.as_str().rsplit('.').next().unwrap_or_default();
                if let Some(line) = line_of(&text, from, &["id", "task_id"], own) {
                    let key = (spec.dag_id.to_string(), task.task_id.to_string());
                    places.tasks.insert(key, (file.rel_path.clone(), number(line)));
                }
            }
        }
        places
    }

    pub(super) fn dag(&self, dag_id: &str) -> Option<(String, u32)> {
        self.dags.get(dag_id).cloned()
    }

    pub(super) fn task(&self, dag_id: &str, task_id: &str) -> Option<(String, u32)> {
        self.tasks.get(&(dag_id.to_owned(), task_id.to_owned())).cloned()
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// The first line, counted from 0, at or after `from` that gives one of the keys this value.
fn line_of(text: &str, from: usize, keys: &[&str], value: &str) -> Option<usize> {
    let says = |line: &str| {
        line.split(['{', ',', '}']).any(|part| {
            let part = part.trim().trim_start_matches('-').trim_start();
            part.split_once(':').is_some_and(|(key, rest)| {
                let rest = rest.split(" #").next().unwrap_or_default();
                keys.contains(&key.trim()) && rest.trim().trim_matches(['"', '\'']) == value
            })
        })
    };
    text.lines().enumerate().skip(from).find(|(_, line)| says(line)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_block_and_flow_style() {
        let text = "dag_id: d\ntasks:\n  - id: one # first\n    pool: two\n  - {operator: noop, id: \"two\"}\n";
        let line = |value| line_of(text, 0, &["id", "task_id"], value);
        assert_eq!((line("one"), line("two"), line("d")), (Some(2), Some(4), None));
    }
}
