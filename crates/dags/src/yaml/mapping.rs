//! `expand` of a native task: one instance for each value of the options that it names. The values stand in the file, or
//! are the result of another task.

use serde_json::Value;
use tradewind_types::{Expand, ExpandArg, Operator, TaskId};

use super::{
    decode::{Fault, decode},
    node::{Entry, Node, Place, Yaml},
    operators::{Kind, read_operator},
};

/// What the worker replaces in each instance, should it be asked for before: values that fit some option or other.
fn stand_ins(option: &str) -> [Yaml; 5] {
    [
        Yaml::Text(format!("{{{{ expand.{option} }}}}")),
        Yaml::Int(1),
        Yaml::List(Vec::new()),
        Yaml::Map(Vec::new()),
        Yaml::Bool(true),
    ]
}

/// A mapped task: what it is mapped over, and its operator with stand-ins for the options that differ.
pub(super) struct MappedTask {
    pub(super) expand: Expand,
    pub(super) operator: Operator,
}

/// A task whose operator is being read.
pub(super) struct Draft<'n> {
    pub(super) kind: &'n Kind,
    pub(super) task: &'n Node,
    /// The options that all instances share.
    pub(super) options: Vec<&'n Entry>,
}

impl Draft<'_> {
    /// Reads `expand`: a mapping from options to lists or `{xcom: TASK}`, or a list of mappings.
    pub(super) fn mapped(&self, node: &Node) -> Result<MappedTask, Fault> {
        match &node.value {
            Yaml::Map(arguments) if !arguments.is_empty() => self.product(arguments),
            Yaml::List(rows) if !rows.is_empty() => self.rows(node.at, rows),
            Yaml::Map(_) | Yaml::List(_) => Err(Fault::new(
                node.at,
                "",
                "is empty: name at least one option to map over, e.g. {command: [first, second]}",
            )),
            _ => {
                let message = format!(
                    "expects a mapping from options to lists, or a list of mappings, found {}",
                    node.described()
                );
                Err(Fault::new(node.at, "", message))
            }
        }
    }

    fn product(&self, arguments: &[Entry]) -> Result<MappedTask, Fault> {
        let mut fills: Vec<Entry> = Vec::new();
        for argument in arguments {
            self.check_option(argument)?;
            let first = match &argument.node.value {
                Yaml::List(items) => items.first(),
                _ => None,
            };
            fills.push(match first {
                Some(first) => entry_of(argument, first.clone()),
                None => self.stand_in(argument, arguments)?,
            });
        }
        let fills: Vec<&Entry> = fills.iter().collect();
        let mut read = Vec::new();
        for argument in arguments {
            let others: Vec<&Entry> = fills.iter().copied().filter(|fill| fill.key != argument.key).collect();
            let value =
                self.argument(argument, &others).map_err(|fault| fault.within(argument.node.at, &argument.key))?;
            read.push((argument.key.clone(), value));
        }
        // What is wrong with the task apart from what it is mapped over comes out here.
        let operator = self.read(&fills)?;
        Ok(MappedTask { expand: Expand::Product { arguments: read }, operator })
    }

    fn argument(&self, argument: &Entry, others: &[&Entry]) -> Result<ExpandArg, Fault> {
        let node = &argument.node;
        let items = match &node.value {
            Yaml::List(items) => items,
            _ => return xcom(node),
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let own = entry_of(argument, item.clone());
            let all: Vec<&Entry> = others.iter().copied().chain([&own]).collect();
            match self.read(&all) {
                Ok(operator) => values.push(option_of(&operator, argument)?),
                Err(fault) if is_about(&fault, &argument.key) => {
                    let at = fault.at.filter(|at| *at != self.task.at).unwrap_or(item.at);
                    return Err(Fault::new(at, format!("[{}]", index + 1), fault.message));
                }
                Err(_) => {}
            }
        }
        Ok(literal(values))
    }

    /// A value with which the operator can be read, in place of one that no file has.
    fn stand_in(&self, argument: &Entry, arguments: &[Entry]) -> Result<Entry, Fault> {
        // Other arguments may be needed to read it at all, but what they are does not matter to this one.
        let others: Vec<Entry> = arguments
            .iter()
            .filter(|other| other.key != argument.key)
            .map(|other| match &other.node.value {
                Yaml::List(items) if !items.is_empty() => entry_of(other, items[0].clone()),
                _ => {
                    let [value, ..] = stand_ins(&other.key);
                    entry_of(other, Node { at: other.node.at, value })
                }
            })
            .collect();
        for value in stand_ins(&argument.key) {
            let own = entry_of(argument, Node { at: argument.node.at, value });
            let all: Vec<&Entry> = others.iter().chain([&own]).collect();
            match self.read(&all) {
                Err(fault) if is_about(&fault, &argument.key) => {}
                // Read, or wrong for another reason, which comes out later.
                _ => return Ok(own),
            }
        }
        let message = "cannot take the result of a task, nor an empty list: write its values as a list";
        Err(Fault::new(argument.node.at, &argument.key, message))
    }

    fn rows(&self, at: Place, rows: &[Node]) -> Result<MappedTask, Fault> {
        let mut values = Vec::with_capacity(rows.len());
        let mut first = None;
        for (index, row) in rows.iter().enumerate() {
            let step = format!("[{}]", index + 1);
            let (operator, value) = self.row(row).map_err(|fault| fault.within(row.at, &step))?;
            values.push(value);
            first.get_or_insert(operator);
        }
        let operator = first.ok_or_else(|| Fault::new(at, "", "is empty"))?;
        Ok(MappedTask { expand: Expand::Rows { rows: literal(values) }, operator })
    }

    fn row(&self, row: &Node) -> Result<(Operator, Value), Fault> {
        let Yaml::Map(entries) = &row.value else {
            return Err(Fault::new(row.at, "", format!("expects a mapping of options, found {}", row.described())));
        };
        for entry in entries {
            self.check_option(entry)?;
        }
        let operator = self.read(&entries.iter().collect::<Vec<_>>()).map_err(|mut fault| {
            // What is missing is missing here.
            fault.at = fault.at.filter(|at| *at != self.task.at);
            fault
        })?;
        let value = entries.iter().map(|entry| Ok((entry.key.clone(), option_of(&operator, entry)?)));
        let value = value.collect::<Result<serde_json::Map<_, _>, Fault>>()?;
        Ok((operator, Value::Object(value)))
    }

    fn check_option(&self, argument: &Entry) -> Result<(), Fault> {
        let fields = self.kind.fields();
        if !fields.contains(&argument.key.as_str()) {
            let message = if fields.is_empty() {
                format!("\"{}\" has no options to map over", self.kind.name)
            } else {
                super::decode::unknown_field(&argument.key, &fields)
            };
            return Err(Fault::new(argument.key_at, "", message));
        }
        if self.options.iter().any(|option| option.key == argument.key) {
            let message = format!("\"{}\" is given beside expand, too; leave one of them out", argument.key);
            return Err(Fault::new(argument.key_at, "", message));
        }
        Ok(())
    }

    fn read(&self, more: &[&Entry]) -> Result<Operator, Fault> {
        let entries = self.options.iter().chain(more).copied().collect();
        read_operator(self.kind, self.task, entries)
    }
}

fn is_about(fault: &Fault, option: &str) -> bool {
    fault.path.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn entry_of(argument: &Entry, node: Node) -> Entry {
    Entry { key: argument.key.clone(), key_at: argument.key_at, node }
}

fn literal(values: Vec<Value>) -> ExpandArg {
    ExpandArg::Literal { length: values.len() as u64, values: Some(values) }
}

/// `{xcom: TASK}`.
fn xcom(node: &Node) -> Result<ExpandArg, Fault> {
    let Yaml::Map(entries) = &node.value else {
        let message = format!("expects a list, or {{xcom: TASK}} for the result of a task, found {}", node.described());
        return Err(Fault::new(node.at, "", message));
    };
    match entries.as_slice() {
        [entry] if entry.key == "xcom" => {
            let task: String = decode(&entry.node).map_err(|fault| fault.within(entry.node.at, "xcom"))?;
            Ok(ExpandArg::XCom { task_id: TaskId::from(task), key: tradewind_types::XCOM_RETURN_KEY.to_owned() })
        }
        _ => Err(Fault::new(node.at, "", "a mapping here is {xcom: TASK}; write other values as a list")),
    }
}

/// The value of an option as the operator keeps it, which is what the worker puts in its place.
fn option_of(operator: &Operator, argument: &Entry) -> Result<Value, Fault> {
    let options = match operator {
        Operator::Native(native) => serde_json::to_value(native).unwrap_or_default(),
        _ => Value::Null,
    };
    options.get(&argument.key).cloned().ok_or_else(|| {
        Fault::new(argument.key_at, "", format!("\"{}\" cannot differ between instances of a task", argument.key))
    })
}
