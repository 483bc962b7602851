//! The operators of YAML DAGs: which fields each takes, and what it becomes.

use tradewind_types::{
    BashOptions, DateTimeSensorOptions, FileSensorOptions, HttpOptions, NativeOperator, NoopOptions, Operator,
    SensorOptions, SqlOptions, TimeDeltaSensorOptions, TimeSensorOptions, nearest,
};

use super::{
    decode::{Fault, decode_entries, field_names},
    fields::{
        BashFields, DateTimeSensorFields, EmptyFields, FileSensorFields, HttpFields, NoopFields, SensorFields,
        SqlFields, TimeDeltaSensorFields, TimeSensorFields,
    },
    node::{Entry, Node, Place},
};

/// An operator that YAML DAGs know.
pub(super) struct Kind {
    pub(super) name: &'static str,
    own_fields: fn() -> &'static [&'static str],
    is_sensor: bool,
    read: fn(&Options<'_>) -> Result<Operator, Fault>,
}

impl Kind {
    /// All options that it takes.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        let mut fields = (self.own_fields)().to_vec();
        if self.is_sensor {
            fields.extend(field_names::<SensorFields>());
        }
        fields
    }
}

/// What a task gave as options of its operator.
struct Options<'n> {
    task: &'n Node,
    own: Vec<&'n Entry>,
    sensor: Vec<&'n Entry>,
}

macro_rules! kind {
    ($name:literal, $fields:ty, $is_sensor:literal, $read:path) => {
        Kind { name: $name, own_fields: || field_names::<$fields>(), is_sensor: $is_sensor, read: $read }
    };
}

/// Every operator.
pub(super) const KINDS: &[Kind] = &[
    kind!("empty", EmptyFields, false, empty),
    kind!("noop", NoopFields, false, noop),
    kind!("bash", BashFields, false, bash),
    kind!("http", HttpFields, false, http),
    kind!("sql", SqlFields, false, sql),
    kind!("file_sensor", FileSensorFields, true, file_sensor),
    kind!("time_sensor", TimeSensorFields, true, time_sensor),
    kind!("time_delta_sensor", TimeDeltaSensorFields, true, time_delta_sensor),
    kind!("date_time_sensor", DateTimeSensorFields, true, date_time_sensor),
];

/// Finds an operator by the name that a task gives.
pub(super) fn find_kind(name: &str) -> Result<&'static Kind, String> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.name == name) {
        return Ok(kind);
    }
    let names = || KINDS.iter().map(|kind| kind.name);
    let bare = name.trim_end_matches("Operator");
    let hint = match nearest(name, names()).or_else(|| nearest(bare, names())) {
        Some(near) => format!(" (did you mean \"{near}\"?)"),
        None if name.to_lowercase().contains("python") => "; Python runs in DAG files with the ending .py".to_owned(),
        None => format!("; the operators are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(format!("there is no operator \"{name}\"{hint}"))
}

/// Reads the operator of a task out of those of its entries that are no fields of every task.
pub(super) fn read_operator<'n>(kind: &Kind, task: &'n Node, entries: Vec<&'n Entry>) -> Result<Operator, Fault> {
    let own_fields = (kind.own_fields)();
    let (own, sensor) = entries.into_iter().partition(|entry| own_fields.contains(&entry.key.as_str()));
    (kind.read)(&Options { task, own, sensor })
}

impl<'n> Options<'n> {
    fn read<T: serde::Deserialize<'n>>(&self) -> Result<T, Fault> {
        decode_entries(self.task.at, self.own.clone())
    }

    fn place(&self, field: &str) -> Place {
        self.task.place_of(field)
    }

    fn fault(&self, field: &str, message: impl Into<String>) -> Fault {
        Fault::new(self.place(field), field, message)
    }

    fn sensor(&self) -> Result<SensorOptions, Fault> {
        let fields: SensorFields = decode_entries(self.task.at, self.sensor.clone())?;
        let default = SensorOptions::default();
        let sensor = SensorOptions {
            poke_interval: fields.poke_interval.map_or(default.poke_interval, |span| span.0.as_secs_f64()),
            timeout: fields.timeout.map_or(default.timeout, |span| span.0.as_secs_f64()),
            soft_fail: fields.soft_fail.unwrap_or(default.soft_fail),
            mode: fields.mode.unwrap_or(default.mode),
        };
        if sensor.poke_interval <= 0.0 {
            return Err(self.fault("poke_interval", "needs to be longer than 0"));
        }
        Ok(sensor)
    }
}

fn native(operator: NativeOperator) -> Result<Operator, Fault> {
    Ok(Operator::Native(operator))
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn empty(options: &Options<'_>) -> Result<Operator, Fault> {
    let EmptyFields {} = options.read()?;
    Ok(Operator::Empty)
}

fn noop(options: &Options<'_>) -> Result<Operator, Fault> {
    let NoopFields { value } = options.read()?;
    native(NativeOperator::Noop(NoopOptions { value }))
}

fn bash(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: BashFields = options.read()?;
    if fields.command.trim().is_empty() {
        return Err(options.fault("command", "is empty"));
    }
    native(NativeOperator::Bash(BashOptions {
        command: fields.command,
        env: fields.env,
        append_env: fields.append_env.unwrap_or(true),
        cwd: fields.cwd,
        skip_on_exit_code: fields.skip_on_exit_code.map_or_else(|| vec![99], |codes| codes.0),
    }))
}

fn http(options: &Options<'_>) -> Result<Operator, Fault> {
    const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let fields: HttpFields = options.read()?;
    let method = fields.method.unwrap_or_else(|| "GET".to_owned()).to_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let message = format!("\"{method}\" is none of {}", METHODS.join(", "));
        return Err(options.fault("method", message));
    }
    if fields.body.is_some() && fields.json.is_some() {
        return Err(options.fault("json", "does not go with body: give one of them"));
    }
    let absolute = ["http://", "https://"].iter().any(|scheme| fields.url.starts_with(scheme));
    if fields.connection.is_none() && !absolute && !is_template(&fields.url) {
        return Err(options.fault(
            "url",
            format!("\"{}\" begins with neither http:// nor https:// and no connection is given", fields.url),
        ));
    }
    if let Some(status) = fields.expect.0.iter().find(|status| !(100..=599).contains(*status)) {
        return Err(options.fault("expect", format!("{status} is no HTTP status (100 to 599)")));
    }
    let timeout = fields.timeout.map_or(60.0, |span| span.0.as_secs_f64());
    if timeout <= 0.0 {
        return Err(options.fault("timeout", "needs to be longer than 0"));
    }
    native(NativeOperator::Http(HttpOptions {
        url: fields.url,
        connection: fields.connection,
        method,
        headers: fields.headers,
        body: fields.body,
        json: fields.json,
        timeout,
        expect: fields.expect.0,
    }))
}

fn sql(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: SqlFields = options.read()?;
    if fields.sql.trim().is_empty() {
        return Err(options.fault("sql", "is empty"));
    }
    native(NativeOperator::Sql(SqlOptions {
        connection: fields.connection,
        sql: fields.sql,
        parameters: fields.parameters,
        max_rows: fields.max_rows.unwrap_or(1_000),
    }))
}

fn file_sensor(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: FileSensorFields = options.read()?;
    if fields.path.trim().is_empty() {
        return Err(options.fault("path", "is empty"));
    }
    native(NativeOperator::FileSensor(FileSensorOptions { path: fields.path, sensor: options.sensor()? }))
}

fn time_sensor(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: TimeSensorFields = options.read()?;
    if !is_time_of_day(&fields.target_time) {
        let message = format!("\"{}\" is no time of the day: write 09:30 or 09:30:15", fields.target_time);
        return Err(options.fault("target_time", message));
    }
    if let Some(zone) = &fields.timezone {
        tradewind_engine::timetable::validate_zone(zone).map_err(|message| options.fault("timezone", message))?;
    }
    native(NativeOperator::TimeSensor(TimeSensorOptions {
        target_time: fields.target_time,
        timezone: fields.timezone,
        sensor: options.sensor()?,
    }))
}

fn time_delta_sensor(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: TimeDeltaSensorFields = options.read()?;
    native(NativeOperator::TimeDeltaSensor(TimeDeltaSensorOptions {
        seconds: fields.delta.0.as_secs_f64(),
        sensor: options.sensor()?,
    }))
}

fn date_time_sensor(options: &Options<'_>) -> Result<Operator, Fault> {
    let fields: DateTimeSensorFields = options.read()?;
    let instant = &fields.target_time;
    if !is_template(instant) && instant.parse::<tradewind_types::Timestamp>().is_err() {
        let message = format!("\"{instant}\" is no instant: write 2026-01-31T09:30:00Z or a template");
        return Err(options.fault("target_time", message));
    }
    native(NativeOperator::DateTimeSensor(DateTimeSensorOptions {
        target_time: fields.target_time,
        sensor: options.sensor()?,
    }))
}

fn is_time_of_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let fits = |part: &str, below: u8| part.len() == 2 && part.parse::<u8>().is_ok_and(|number| number < below);
    matches!(parts.as_slice(), [h, m] if fits(h, 24) && fits(m, 60))
        || matches!(parts.as_slice(), [h, m, s] if fits(h, 24) && fits(m, 60) && fits(s, 60))
}
