//! Dynamic task mapping: what a task or task group is mapped over, as far as the scheduler must know it (Airflow
//! `models/expandinput.py`, `serialization/definitions/xcom_arg.py`): lengths, never values that a task makes.

use serde::{Deserialize, Serialize};

use crate::TaskId;

/// What a task or task group is mapped over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Expand {
    /// `expand(a=..., b=...)`: one instance for each combination, the last argument fastest.
    Product {
        /// The arguments, in order.
        arguments: Vec<(String, ExpandArg)>,
    },
    /// `expand_kwargs(...)`: one instance for each row.
    Rows {
        /// The list of rows.
        rows: ExpandArg,
    },
}

impl Expand {
    /// Every argument.
    pub fn arguments(&self) -> impl Iterator<Item = &ExpandArg> {
        let (several, one) = match self {
            Self::Product { arguments } => (arguments.as_slice(), None),
            Self::Rows { rows } => (&[][..], Some(rows)),
        };
        several.iter().map(|(_, argument)| argument).chain(one)
    }

    /// The tasks whose XComs decide the length (Airflow's mapped dependencies), each once.
    pub fn dependencies(&self) -> Vec<&TaskId> {
        let mut found = Vec::new();
        for argument in self.arguments() {
            argument.visit(&mut |task_id| {
                if !found.contains(&task_id) {
                    found.push(task_id);
                }
            });
        }
        found
    }

    /// How many instances there will be; `None` while a length is not known. `length_of` answers for the XCom of a task.
    pub fn total(&self, length_of: &impl Fn(&TaskId) -> Option<u64>) -> Option<u64> {
        match self {
            Self::Product { arguments } if arguments.is_empty() => Some(0),
            Self::Product { arguments } => arguments
                .iter()
                .try_fold(1u64, |total, (_, argument)| Some(total.saturating_mul(argument.length(length_of)?))),
            Self::Rows { rows } => rows.length(length_of),
        }
    }
}

/// One thing to map over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExpandArg {
    /// A list or dict that stands in the DAG file.
    Literal {
        /// Its length.
        length: u64,
        /// Its elements: kept only for native tasks (a guest takes them from the DAG file).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        values: Option<Vec<serde_json::Value>>,
    },
    /// The XCom of an upstream task.
    XCom {
        /// The task.
        task_id: TaskId,
        /// The key; only `return_value` has a length.
        key: String,
    },
    /// `.map(f)`: as long as what it maps.
    Map {
        /// What it maps.
        arg: Box<ExpandArg>,
    },
    /// `.zip(...)`: as long as the shortest, or with a fill value as the longest.
    Zip {
        /// What it zips.
        args: Vec<ExpandArg>,
        /// Whether a fill value is given.
        fill: bool,
    },
    /// `.concat(...)`: as long as all together.
    Concat {
        /// What it joins.
        args: Vec<ExpandArg>,
    },
}

impl ExpandArg {
    fn visit<'a>(&'a self, found: &mut impl FnMut(&'a TaskId)) {
        match self {
            Self::Literal { .. } => {}
            Self::XCom { task_id, .. } => found(task_id),
            Self::Map { arg } => arg.visit(found),
            Self::Zip { args, .. } | Self::Concat { args } => args.iter().for_each(|arg| arg.visit(found)),
        }
    }

    fn length(&self, length_of: &impl Fn(&TaskId) -> Option<u64>) -> Option<u64> {
        let all = |args: &[Self]| args.iter().map(|arg| arg.length(length_of)).collect::<Option<Vec<u64>>>();
        match self {
            Self::Literal { length, .. } => Some(*length),
            Self::XCom { task_id, key } => (key == crate::XCOM_RETURN_KEY).then(|| length_of(task_id))?,
            Self::Map { arg } => arg.length(length_of),
            Self::Zip { args, fill: true } => all(args)?.into_iter().max(),
            Self::Zip { args, fill: false } => all(args)?.into_iter().min(),
            Self::Concat { args } => Some(all(args)?.into_iter().fold(0u64, u64::saturating_add)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xcom(task: &str) -> ExpandArg {
        ExpandArg::XCom { task_id: TaskId::from(task), key: "return_value".to_owned() }
    }

    #[test]
    fn lengths_multiply_zip_and_join() {
        let literal = |length| ExpandArg::Literal { length, values: None };
        let known = |task: &TaskId| match task.as_str() {
            "two" => Some(2),
            "five" => Some(5),
            _ => None,
        };
        let product = |arguments: Vec<ExpandArg>| Expand::Product {
            arguments: arguments.into_iter().map(|argument| ("x".to_owned(), argument)).collect(),
        };
        let both = vec![xcom("two"), xcom("five")];
        assert_eq!(product(vec![literal(3), xcom("two")]).total(&known), Some(6));
        assert_eq!(product(vec![literal(3), xcom("later")]).total(&known), None);
        assert_eq!(product(vec![]).total(&known), Some(0));
        assert_eq!(product(vec![ExpandArg::Zip { args: both.clone(), fill: false }]).total(&known), Some(2));
        assert_eq!(product(vec![ExpandArg::Zip { args: both.clone(), fill: true }]).total(&known), Some(5));
        let rows = Expand::Rows { rows: ExpandArg::Map { arg: Box::new(ExpandArg::Concat { args: both }) } };
        assert_eq!(rows.total(&known), Some(7));
        assert_eq!(rows.dependencies(), [&TaskId::from("two"), &TaskId::from("five")]);
    }
}
