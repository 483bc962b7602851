//! The fields of a YAML DAG, as its writer sees them. `docs/dags-yaml.md` and `docs/dags-yaml.schema.json` follow these
//! types (a test compares the names).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use tradewind_types::{ConcurrencyLimit, SensorMode, TriggerRule, WeightRule};

use super::span::Span;

/// What a DAG says besides its tasks. `schedule`, `params`, `default_args`, `task_groups` and `tasks` have forms of their
/// own and are read apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DagFields {
    pub(crate) dag_id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) doc_md: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) start_date: Option<String>,
    pub(crate) end_date: Option<String>,
    pub(crate) catchup: Option<bool>,
    pub(crate) max_active_runs: Option<u32>,
    pub(crate) max_active_tasks: Option<u32>,
    pub(crate) task_limit: Option<u32>,
    pub(crate) max_consecutive_failed_dag_runs: Option<u32>,
    pub(crate) dagrun_timeout: Option<Span>,
    pub(crate) fail_fast: Option<bool>,
    pub(crate) is_paused_upon_creation: Option<bool>,
    pub(crate) tags: Option<OneOrMany<String>>,
}

/// The fields of a DAG that are read apart.
pub(crate) const DAG_PARTS: [&str; 5] = ["schedule", "params", "default_args", "task_groups", "tasks"];

/// What every task may say, and `default_args` for all of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskFields {
    pub(crate) owner: Option<String>,
    pub(crate) trigger_rule: Option<TriggerRule>,
    pub(crate) pool: Option<String>,
    pub(crate) pool_slots: Option<u32>,
    pub(crate) queue: Option<String>,
    pub(crate) priority_weight: Option<i32>,
    pub(crate) weight_rule: Option<WeightRule>,
    pub(crate) retries: Option<u32>,
    pub(crate) retry_delay: Option<Span>,
    pub(crate) exponential_backoff: Option<Backoff>,
    pub(crate) max_retry_delay: Option<Span>,
    pub(crate) execution_timeout: Option<Span>,
    pub(crate) depends_on_past: Option<bool>,
    pub(crate) wait_for_downstream: Option<bool>,
    pub(crate) wait_for_past_depends_before_skipping: Option<bool>,
    pub(crate) ignore_first_depends_on_past: Option<bool>,
    pub(crate) max_active_tis_per_dag: Option<u32>,
    pub(crate) max_active_tis_per_dagrun: Option<u32>,
    pub(crate) concurrency: Option<OneOrMany<ConcurrencyLimit>>,
    pub(crate) do_xcom_push: Option<bool>,
    pub(crate) start_date: Option<String>,
    pub(crate) end_date: Option<String>,
}

/// What only a task itself may say. Its parts and the operator's options are read apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskOnlyFields {
    pub(crate) id: Option<String>,
    pub(crate) depends_on: OneOrMany<String>,
    pub(crate) group: Option<String>,
    pub(crate) setup: bool,
    pub(crate) teardown: bool,
    pub(crate) on_failure_fail_dagrun: bool,
}

/// The fields of a task that are read apart.
pub(crate) const TASK_PARTS: [&str; 4] = ["operator", "expand", "outlets", "inlets"];

/// A task group.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GroupFields {
    pub(crate) parent: Option<String>,
    pub(crate) tooltip: Option<String>,
    pub(crate) depends_on: OneOrMany<String>,
}

/// An asset as a mapping.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AssetFields {
    pub(crate) name: Option<String>,
    pub(crate) uri: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) extra: Option<BTreeMap<String, Value>>,
    pub(crate) alias: Option<String>,
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
}

/// `schedule` as a mapping; its `assets` are read apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScheduleFields {
    pub(crate) cron: Option<OneOrMany<String>>,
    pub(crate) every: Option<Span>,
    pub(crate) timezone: Option<String>,
    pub(crate) data_interval: Option<bool>,
    pub(crate) interval: Option<Span>,
    pub(crate) run_immediately: Option<Immediately>,
}

/// Options of `empty`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyFields {}

/// Options of `noop`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoopFields {
    #[serde(default)]
    pub(crate) value: Option<Value>,
}

/// Options of `bash`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BashFields {
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) append_env: Option<bool>,
    #[serde(default)]
    pub(crate) cwd: Option<String>,
    #[serde(default)]
    pub(crate) skip_on_exit_code: Option<OneOrMany<i32>>,
}

/// Options of `http`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpFields {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) connection: Option<String>,
    #[serde(default)]
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) json: Option<Value>,
    #[serde(default)]
    pub(crate) timeout: Option<Span>,
    #[serde(default)]
    pub(crate) expect: OneOrMany<u16>,
}

/// Options of `sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlFields {
    pub(crate) connection: String,
    pub(crate) sql: String,
    #[serde(default)]
    pub(crate) parameters: Vec<Value>,
    #[serde(default)]
    pub(crate) max_rows: Option<u32>,
}

/// Options of `file_sensor`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSensorFields {
    pub(crate) path: String,
}

/// Options of `time_sensor`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeSensorFields {
    pub(crate) target_time: String,
    #[serde(default)]
    pub(crate) timezone: Option<String>,
}

/// Options of `time_delta_sensor`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeDeltaSensorFields {
    pub(crate) delta: Span,
}

/// Options of `date_time_sensor`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateTimeSensorFields {
    pub(crate) target_time: String,
}

/// What every sensor may say besides its own options.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SensorFields {
    pub(crate) poke_interval: Option<Span>,
    pub(crate) timeout: Option<Span>,
    pub(crate) soft_fail: Option<bool>,
    pub(crate) mode: Option<SensorMode>,
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(items)).map(OneOrMany)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(entries)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                T::deserialize(de::value::BorrowedStrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(de::value::I64Deserializer::new(number)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(OneOrMany(Vec::new()))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor(std::marker::PhantomData))
    }
}

/// `exponential_backoff`: `true` doubles the delay, a number is the factor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff(pub(crate) f64);

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BackoffVisitor;
        impl de::Visitor<'_> for BackoffVisitor {
            type Value = Backoff;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a factor such as 1.5")
            }

            fn visit_bool<E>(self, on: bool) -> Result<Backoff, E> {
                Ok(Backoff(if on { 2.0 } else { 0.0 }))
            }

            fn visit_f64<E: de::Error>(self, factor: f64) -> Result<Backoff, E> {
                if factor.is_finite() && (0.0..=1000.0).contains(&factor) {
                    Ok(Backoff(factor))
                } else {
                    Err(E::custom(format!("a factor lies between 0 and 1000, not {factor}")))
                }
            }

            fn visit_i64<E: de::Error>(self, factor: i64) -> Result<Backoff, E> {
                self.visit_f64(factor as f64)
            }
        }
        deserializer.deserialize_any(BackoffVisitor)
    }
}

/// `run_immediately`: `true`, `false`, or how old the missed tick may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Immediately {
    Flag(bool),
    Within(Span),
}

impl<'de> Deserialize<'de> for Immediately {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ImmediatelyVisitor;
        impl<'de> de::Visitor<'de> for ImmediatelyVisitor {
            type Value = Immediately;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a duration such as 5m")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Immediately, E> {
                Ok(Immediately::Flag(flag))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Immediately, E> {
                Span::deserialize(de::value::StrDeserializer::new(text)).map(Immediately::Within)
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Immediately, E> {
                Span::deserialize(de::value::I64Deserializer::new(seconds)).map(Immediately::Within)
            }
        }
        deserializer.deserialize_any(ImmediatelyVisitor)
    }
}
