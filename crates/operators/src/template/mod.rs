//! Templates: Airflow's context (semantics E1) over MiniJinja.
//!
//! Rendering is synchronous and its look-ups (XComs, variables, connections) are not. So a look-up that is not known yet
//! ends the rendering, is fetched, and the template is rendered again: no thread blocks, and each thing is fetched once
//! an attempt, so that all fields see the same values.

mod context;
mod datetime;
mod lookup;
mod macros;
mod objects;
mod python;

use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};
use tradewind_types::Timestamp;

use crate::{OperatorError, OperatorIo, TaskContext};
use lookup::Lookups;

/// Instructions that one template may execute, so that an endless one ends.
const FUEL: u64 = 5_000_000;
/// Look-ups that one attempt may make.
const MAX_LOOKUPS: usize = 1_000;

/// Renders the templated fields of one attempt.
pub struct Renderer<'a> {
    io: &'a dyn OperatorIo,
    ctx: &'a TaskContext,
    /// Made when the first field with a template comes.
    engine: Option<Engine>,
    fields: Map<String, Value>,
    changed: bool,
}

struct Engine {
    environment: Environment<'static>,
    context: minijinja::Value,
    lookups: Arc<Lookups>,
}

impl<'a> Renderer<'a> {
    /// A renderer with nothing rendered yet.
    pub fn new(ctx: &'a TaskContext, io: &'a dyn OperatorIo) -> Self {
        Self { io, ctx, engine: None, fields: Map::new(), changed: false }
    }

    /// Renders a text field.
    ///
    /// # Errors
    /// A template that is wrong or asks for something that is not there: names field, line and expression. A look-up
    /// that cannot be made now.
    pub async fn text(&mut self, field: &str, template: &str) -> Result<String, OperatorError> {
        let text = self.render(field, template).await?;
        self.changed |= text != template;
        self.fields.insert(field.to_owned(), Value::from(text.as_str()));
        Ok(text)
    }

    /// Renders the strings inside of a JSON value, keys excepted.
    ///
    /// # Errors
    /// As [`Renderer::text`]; the field is named with the path of the string.
    pub async fn json(&mut self, field: &str, value: &Value) -> Result<Value, OperatorError> {
        let rendered = self.json_inner(field.to_owned(), value).await?;
        self.changed |= rendered != *value;
        self.fields.insert(field.to_owned(), rendered.clone());
        Ok(rendered)
    }

    async fn json_inner(&mut self, path: String, value: &Value) -> Result<Value, OperatorError> {
        Ok(match value {
            Value::String(text) => Value::String(self.render(&path, text).await?),
            Value::Array(items) => {
                let mut rendered = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    rendered.push(Box::pin(self.json_inner(format!("{path}[{index}]"), item)).await?);
                }
                Value::Array(rendered)
            }
            Value::Object(fields) => {
                let mut rendered = Map::new();
                for (key, item) in fields {
                    let item = Box::pin(self.json_inner(format!("{path}.{key}"), item)).await?;
                    rendered.insert(key.clone(), item);
                }
                Value::Object(rendered)
            }
            other => other.clone(),
        })
    }

    /// Hands the rendered fields to the worker. Nothing is reported when rendering changed nothing: the fields are then
    /// those of the DAG.
    ///
    /// # Errors
    /// They could not be stored.
    pub async fn report(self) -> Result<(), OperatorError> {
        if self.changed {
            self.io.rendered(self.fields).await?;
        }
        Ok(())
    }

    async fn render(&mut self, field: &str, template: &str) -> Result<String, OperatorError> {
        if !has_template(template) {
            return Ok(template.to_owned());
        }
        let engine = self.engine.get_or_insert_with(|| Engine::new(self.ctx));
        loop {
            let result = engine.environment.render_str(template, engine.context.clone());
            match engine.lookups.take_needed() {
                Some(needed) => {
                    if engine.lookups.len() >= MAX_LOOKUPS {
                        return Err(OperatorError::Fatal(format!(
                            "{field}: the template asks for more than {MAX_LOOKUPS} XComs, variables and connections"
                        )));
                    }
                    engine.lookups.fetch(needed, self.io).await?;
                }
                None => return result.map_err(|error| describe(field, template, &error)),
            }
        }
    }
}

impl Engine {
    fn new(ctx: &TaskContext) -> Self {
        let lookups = Arc::new(Lookups::default());
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(python::format);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        // Errors then know the expression that they are about.
        environment.set_debug(true);
        macros::add_filters(&mut environment);
        let context = minijinja::Value::from_object(context::Context::new(ctx, &lookups));
        Self { environment, context, lookups }
    }
}

/// Whether a text is a template at all; most are not.
fn has_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// An error with its field, line and expression.
fn describe(field: &str, template: &str, error: &Error) -> OperatorError {
    let mut message = field.to_owned();
    if let Some(line) = error.line() {
        message.push_str(&format!(", line {line}"));
    }
    message.push_str(": ");
    let mut cause: &dyn std::error::Error = error;
    match error.kind() {
        ErrorKind::UndefinedError => message.push_str("undefined value"),
        ErrorKind::OutOfFuel => message.push_str("the template runs too long"),
        kind => message.push_str(&kind.to_string()),
    }
    if let Some(detail) = error.detail() {
        message.push_str(&format!(": {detail}"));
    }
    while let Some(source) = cause.source() {
        let text = match source.downcast_ref::<Error>().and_then(Error::detail) {
            Some(detail) => detail.to_owned(),
            None => source.to_string(),
        };
        message.push_str(&format!(": {text}"));
        cause = source;
    }
    if let Some(expression) = error.range().and_then(|range| around(template, range)) {
        let short: String = expression.chars().take(120).collect();
        message.push_str(&format!(" (in `{short}`)"));
    }
    OperatorError::Failed(message)
}

/// The whole `{{ … }}` or `{% … %}` around a range of a template.
fn around(template: &str, range: std::ops::Range<usize>) -> Option<&str> {
    let before = template.get(..range.start)?;
    let start = before.rfind("{{").max(before.rfind("{%"))?;
    let after = template.get(range.end..)?;
    let end = [after.find("}}"), after.find("%}")].into_iter().flatten().min()?;
    template.get(start..range.end + end + 2)
}

/// Python's `datetime.isoformat()` of an instant in UTC.
pub(crate) fn isoformat(at: Timestamp) -> String {
    datetime::isoformat(&at.to_zoned(jiff::tz::TimeZone::UTC), 'T')
}
