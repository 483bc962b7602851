//! Reads the layers: defaults, a TOML file, the environment, flags. The later wins.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tradewind_types::did_you_mean;

use crate::{
    Config, ConfigError, Problem,
    keys::{Kind, defaults, is_secret, kinds},
};

const PREFIX: &str = "TRADEWIND__";
/// Options that have another name than they had.
const MOVED: [(&str, &str); 1] = [("scheduler.xcom_max_bytes", "xcom.inline_max_bytes")];
const FILE_VARIABLE: &str = "TRADEWIND_CONFIG";
const FILE_NAME: &str = "tradewind.toml";
/// The sections of the other kind of file with this name, in DAG folders.
const OF_DAG_FOLDERS: [&str; 2] = ["environments", "reload"];

/// What to load from.
#[derive(Clone, Debug, Default)]
pub struct LoadArgs {
    /// The file of `--config`. Without it, the one that `TRADEWIND_CONFIG` names, else `tradewind.toml` in `dir` if there
    /// is one.
    pub file: Option<PathBuf>,
    /// The current folder.
    pub dir: PathBuf,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// What flags set: `section.key` and the value as text.
    pub overrides: Vec<(String, String)>,
}

impl LoadArgs {
    /// From this process's environment and current folder.
    pub fn from_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            file,
            dir: PathBuf::from("."),
            env: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            overrides,
        }
    }
}

/// Where the value of an option came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A line of a file.
    File {
        /// The file as it was named.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag,
    /// Made by this process, e.g. the secrets of a standalone installation.
    Generated,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
            Self::Generated => f.write_str("generated"),
        }
    }
}

/// A loaded configuration; not yet validated for a role ([`Config::validate`]).
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The options.
    pub config: Config,
    /// Where each option (`section.key`) came from; all of them are named.
    pub origins: BTreeMap<String, Origin>,
    /// Things that are allowed but look like slips.
    pub warnings: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Loads the configuration.
///
/// # Errors
/// Every unknown key, every value that does not fit, and a file that is missing or not TOML, each with file and line (or
/// the variable's name), the key and how to mend it.
pub fn load(args: LoadArgs) -> Result<Loaded, ConfigError> {
    let mut layers = Layers {
        kinds: kinds(),
        values: defaults(),
        origins: BTreeMap::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    for key in layers.kinds.keys() {
        layers.origins.insert(key.clone(), Origin::Default);
    }
    let file = find_file(&args)?;
    if let Some(path) = &file {
        layers.read_file(path)?;
    }
    for (name, value) in &args.env {
        layers.read_variable(name, value);
    }
    for (key, value) in &args.overrides {
        layers.set_text(key, value, Origin::Flag);
    }
    layers.finish(file)
}

fn find_file(args: &LoadArgs) -> Result<Option<PathBuf>, ConfigError> {
    let from_env = args.env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    if let Some(path) = &args.file {
        return Ok(Some(path.clone()));
    }
    if let Some((_, path)) = from_env {
        return Ok(Some(PathBuf::from(path)));
    }
    let path = if args.dir.as_os_str() == "." { PathBuf::from(FILE_NAME) } else { args.dir.join(FILE_NAME) };
    match path.try_exists() {
        // Nobody named it, and we are in a DAG folder: it is not ours.
        Ok(true) if is_of_dag_folder(&path) => Ok(None),
        Ok(exists) => Ok(exists.then_some(path)),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn is_of_dag_folder(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    DeTable::parse(&text).is_ok_and(|table| {
        let table = table.get_ref();
        !table.is_empty() && table.keys().all(|section| OF_DAG_FOLDERS.contains(&section.get_ref().as_ref()))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "the configuration file {} does not exist; create it, or name another one with --config or {FILE_VARIABLE}",
            path.display()
        ),
        _ => format!("the configuration file {} cannot be read: {error}", path.display()),
    };
    ConfigError::from(vec![Problem { key: None, origin: None, message }])
}

struct Layers {
    kinds: BTreeMap<String, Kind>,
    values: BTreeMap<String, BTreeMap<String, Value>>,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Layers {
    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let shown = path.display().to_string();
        let at = |offset: usize| Origin::File {
            path: shown.clone(),
            line: text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1,
        };
        let table = DeTable::parse(&text).map_err(|error| {
            let origin = at(error.span().map_or(0, |span| span.start));
            ConfigError::from(vec![Problem {
                key: None,
                origin: Some(origin),
                message: format!("not TOML: {}", error.message()),
            }])
        })?;
        for (section, value) in table.get_ref() {
            let name: &str = section.get_ref();
            let origin = at(section.span().start);
            if OF_DAG_FOLDERS.contains(&name) {
                self.of_dag_folder(name, origin);
                continue;
            }
            let DeValue::Table(keys) = value.get_ref() else {
                let message = match self
                    .kinds
                    .keys()
                    .find(|key| key.split_once('.').is_some_and(|(_, key)| key == name))
                    .and_then(|key| key.split_once('.'))
                {
                    Some((section, _)) => {
                        format!("options lie in sections: write it below [{section}]")
                    }
                    None => format!("there is no option outside of sections{}", self.near_section(name)),
                };
                self.problems.push(Problem::new(name, Some(origin), message));
                continue;
            };
            if !self.values.contains_key(name) {
                let message = format!("there is no section [{name}]{}", self.near_section(name));
                self.problems.push(Problem::new(name, Some(origin), message));
                continue;
            }
            for (key, value) in keys {
                let origin = at(key.span().start);
                let full = format!("{name}.{}", key.get_ref());
                self.set_toml(&full, value, origin);
            }
        }
        Ok(())
    }

    fn of_dag_folder(&mut self, section: &str, origin: Origin) {
        let message = format!(
            "a DAG folder says this of its files in a tradewind.toml of its own, and this file is the configuration of the \
             process: put [{section}] into a file of that name in the DAG folder, and keep this file outside of it \
             (--config or TRADEWIND_CONFIG names one in another place)"
        );
        self.problems.push(Problem::new(section, Some(origin), message));
    }

    fn near_section(&self, name: &str) -> String {
        did_you_mean(name, self.values.keys().map(String::as_str))
    }

    fn unknown(&mut self, key: &str, origin: Origin) {
        let section = key.split_once('.').map_or("", |(section, _)| section);
        let near = did_you_mean(key, self.kinds.keys().map(String::as_str));
        let near = if near.is_empty() {
            // A key that lies in another section.
            let name = key.rsplit('.').next().unwrap_or(key);
            self.kinds
                .keys()
                .find(|known| known.rsplit('.').next() == Some(name))
                .map_or_else(String::new, |known| format!(" (did you mean \"{known}\"?)"))
        } else {
            near
        };
        let near = match MOVED.iter().find(|(old, _)| *old == key) {
            Some((_, new)) => format!(" any more: it is \"{new}\" now"),
            None => near,
        };
        let message = if self.values.contains_key(section) || section.is_empty() {
            format!("there is no such option{near}")
        } else {
            format!(
                "there is no section \"{section}\"{}",
                if near.is_empty() { self.near_section(section) } else { near }
            )
        };
        self.problems.push(Problem::new(key, Some(origin), message));
    }

    fn set_toml(&mut self, key: &str, value: &Spanned<DeValue<'_>>, origin: Origin) {
        let Some(&kind) = self.kinds.get(key) else {
            return self.unknown(key, origin);
        };
        match from_toml(kind, value.get_ref()) {
            Some(json) => self.set(key, json, origin),
            None => {
                let found = match value.get_ref() {
                    DeValue::String(_) => "text",
                    DeValue::Integer(_) => "a whole number",
                    DeValue::Float(_) => "a number",
                    DeValue::Boolean(_) => "true or false",
                    DeValue::Datetime(_) => "a date",
                    DeValue::Array(_) => "a list",
                    DeValue::Table(_) => "a table",
                };
                let message = format!("expects {}, found {found}", kind.expected());
                self.problems.push(Problem::new(key, Some(origin), message));
            }
        }
    }

    fn read_variable(&mut self, name: &str, value: &str) {
        let Some(path) = name.strip_prefix(PREFIX) else {
            return self.look_for_slip(name);
        };
        let origin = Origin::Env(name.to_owned());
        let mut parts = path.splitn(3, "__");
        let (section, key, entry) = (parts.next(), parts.next(), parts.next());
        let full = format!("{}.{}", section.unwrap_or_default().to_lowercase(), key.unwrap_or_default().to_lowercase());
        match (self.kinds.get(&full), entry) {
            // TRADEWIND__WORKER__ENV__NAME=value sets one entry of a table.
            (Some(Kind::Map), Some(entry)) if !entry.is_empty() => {
                let (section, key) = full.split_once('.').unwrap_or_default();
                if let Some(Value::Object(map)) = self.values.get_mut(section).and_then(|keys| keys.get_mut(key)) {
                    map.insert(entry.to_owned(), Value::from(value));
                }
                self.origins.insert(full, origin);
            }
            (_, None) => self.set_text(&full, value, origin),
            (_, Some(_)) => self.unknown(&path.to_lowercase().replace("__", "."), origin),
        }
    }

    /// `TRADEWIND_STORE_URL` with single underscores does nothing, which nobody would guess.
    fn look_for_slip(&mut self, name: &str) {
        let Some(rest) = name.strip_prefix("TRADEWIND_") else {
            return;
        };
        let meant = self.kinds.keys().find(|key| {
            key.replace('.', "_").eq_ignore_ascii_case(rest)
                || key.replace('.', "__").eq_ignore_ascii_case(rest.trim_start_matches('_'))
        });
        if let Some(key) = meant {
            self.warnings.push(format!(
                "the environment variable {name} is not read: the name of {key} is {PREFIX}{}",
                key.replace('.', "__").to_uppercase()
            ));
        }
    }

    fn set_text(&mut self, key: &str, text: &str, origin: Origin) {
        let Some(&kind) = self.kinds.get(key) else {
            return self.unknown(key, origin);
        };
        match from_text(kind, text) {
            Some(json) => self.set(key, json, origin),
            None => {
                let found = if is_secret(key) { String::new() } else { format!(", found \"{text}\"") };
                let message = format!("expects {}{found}", kind.expected());
                self.problems.push(Problem::new(key, Some(origin), message));
            }
        }
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        let (section, name) = key.split_once('.').unwrap_or_default();
        // Alone in a configuration of defaults, a value that its field cannot hold shows with its place.
        let alone = serde_json::json!({ section: { name: &value } });
        if let Err(error) = serde_json::from_value::<Config>(alone) {
            let why = error.to_string();
            let message = match &value {
                Value::Number(number) => {
                    format!("{number} is out of range ({})", why.trim_end_matches('.'))
                }
                _ => why,
            };
            self.problems.push(Problem::new(key, Some(origin), message));
            return;
        }
        if let Some(keys) = self.values.get_mut(section) {
            keys.insert(name.to_owned(), value);
        }
        self.origins.insert(key.to_owned(), origin);
    }

    fn finish(self, file: Option<PathBuf>) -> Result<Loaded, ConfigError> {
        if !self.problems.is_empty() {
            return Err(self.problems.into());
        }
        let config = serde_json::to_value(&self.values).and_then(serde_json::from_value).map_err(|error| {
            ConfigError::from(vec![Problem { key: None, origin: None, message: error.to_string() }])
        })?;
        Ok(Loaded { config, origins: self.origins, warnings: self.warnings, file })
    }
}

fn from_toml(kind: Kind, value: &DeValue<'_>) -> Option<Value> {
    Some(match (kind, value) {
        (Kind::Bool, DeValue::Boolean(value)) => Value::from(*value),
        (Kind::Whole, DeValue::Integer(value)) => whole(&value.to_string())?,
        (Kind::Number, DeValue::Integer(value)) => number(&value.to_string())?,
        (Kind::Number, DeValue::Float(value)) => number(&value.to_string())?,
        (Kind::Text, DeValue::String(text)) => Value::from(text.as_ref()),
        (Kind::OptionalText, DeValue::String(text)) => optional(text),
        (Kind::List, DeValue::Array(items)) => {
            items.iter().map(|item| from_toml(Kind::Text, item.get_ref())).collect::<Option<_>>()?
        }
        (Kind::Map, DeValue::Table(entries)) => entries
            .iter()
            .map(|(name, value)| Some((name.get_ref().to_string(), from_toml(Kind::Text, value.get_ref())?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
        _ => return None,
    })
}

fn from_text(kind: Kind, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    Some(match kind {
        Kind::Bool => match trimmed.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::from(true),
            "false" | "0" | "no" | "off" => Value::from(false),
            _ => return None,
        },
        Kind::Whole => whole(trimmed)?,
        Kind::Number => number(trimmed)?,
        Kind::Text => Value::from(text),
        Kind::OptionalText => optional(text),
        Kind::List if trimmed.starts_with('[') => inline(kind, trimmed)?,
        Kind::List => trimmed.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect(),
        Kind::Map => inline(kind, trimmed)?,
    })
}

/// A list or table as TOML writes it in one line; JSON lists are TOML, too.
fn inline(kind: Kind, text: &str) -> Option<Value> {
    if kind == Kind::Map
        && let Ok(map) = serde_json::from_str::<BTreeMap<String, String>>(text)
    {
        return serde_json::to_value(map).ok();
    }
    let text = format!("value = {text}");
    let table = DeTable::parse(&text).ok()?;
    from_toml(kind, table.get_ref().get("value")?.get_ref())
}

fn optional(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

fn whole(text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    match digits.parse::<u64>() {
        Ok(value) => Some(Value::from(value)),
        Err(_) => digits.parse::<i64>().ok().map(Value::from),
    }
}

fn number(text: &str) -> Option<Value> {
    let value: f64 = text.replace('_', "").parse().ok()?;
    serde_json::Number::from_f64(value).map(Value::from)
}
