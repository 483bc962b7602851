//! Prints values as Python does: `None`, `True`, `['a', 'b']`.

use std::fmt::Write;

use minijinja::{Error, Output, State, Value, value::ValueKind};

/// The formatter of `{{ … }}`.
pub(super) fn format(out: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    let mut text = String::new();
    match value.kind() {
        ValueKind::String => {
            out.write_str(value.as_str().unwrap_or_default())?;
            return Ok(());
        }
        // The missing `else` of an inline `if` prints nothing.
        ValueKind::Undefined => return Ok(()),
        _ => repr(&mut text, value)?,
    }
    out.write_str(&text)?;
    Ok(())
}

fn repr(out: &mut String, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => quote(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                repr(out, &item)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                repr(out, &key)?;
                out.push_str(": ");
                repr(out, &value.get_item(&key)?)?;
            }
            out.push('}');
        }
        // An error that was carried in a value comes out here.
        ValueKind::Invalid => {
            value.try_iter()?;
        }
        _ => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

/// Python's `repr` of a string: single quotes, unless only single ones are inside.
fn quote(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if character == quote => {
                out.push('\\');
                out.push(character);
            }
            character => out.push(character),
        }
    }
    out.push(quote);
}
