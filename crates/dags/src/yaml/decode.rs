//! Reads typed values out of located nodes with serde, so that every error of a derived type gets line, column and
//! field, in words for people.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use tradewind_types::nearest;

use super::node::{Entry, Node, Place, Yaml};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Option<Place>,
    /// The path to the field, e.g. `env.PORT`.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(at: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: Some(at), path: path.into(), message: message.into() }
    }

    /// Adds the step that leads here and, where none is known yet, the place.
    pub(crate) fn within(mut self, at: Place, step: &str) -> Self {
        self.at.get_or_insert(at);
        if self.path.is_empty() || step.is_empty() {
            self.path.push_str(step);
        } else if self.path.starts_with('[') {
            self.path = format!("{step}{}", self.path);
        } else {
            self.path = format!("{step}.{}", self.path);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { at: None, path: String::new(), message: message.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(text) => format!("\"{text}\""),
            Unexpected::Bool(value) => value.to_string(),
            Unexpected::Signed(number) => format!("the number {number}"),
            Unexpected::Unsigned(number) => format!("the number {number}"),
            Unexpected::Float(number) => format!("the number {number}"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            other => other.to_string(),
        };
        Self::custom(format_args!("expects {}, found {found}", plain(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let near = near_or_all(variant, expected, "one of");
        Self::custom(format_args!("there is no \"{variant}\"{near}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown_field(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the field \"{field}\" is missing"))
    }
}

/// Names that other tools use for ours.
const SYNONYMS: [(&str, &str); 16] = [
    ("task_id", "id"),
    ("name", "id"),
    ("type", "operator"),
    ("needs", "depends_on"),
    ("upstream", "depends_on"),
    ("dependencies", "depends_on"),
    ("schedule_interval", "schedule"),
    ("cron", "schedule"),
    ("bash_command", "command"),
    ("script", "command"),
    ("run", "command"),
    ("timeout", "execution_timeout"),
    ("conn_id", "connection"),
    ("retry_exponential_backoff", "exponential_backoff"),
    ("filepath", "path"),
    ("endpoint", "url"),
];

/// The message about a field that does not exist.
pub(crate) fn unknown_field(field: &str, known: &[&str]) -> String {
    let synonym = SYNONYMS.iter().find(|(other, ours)| *other == field && known.contains(ours));
    let near = match synonym {
        Some((_, ours)) => format!("; here it is called \"{ours}\""),
        None => near_or_all(field, known, "the fields are"),
    };
    format!("there is no field \"{field}\"{near}")
}

fn near_or_all(word: &str, known: &[&str], lead: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!(" (did you mean \"{near}\"?)"),
        None => format!("; {lead} {}", known.join(", ")),
    }
}

/// serde names what it expects by Rust's types.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "a string" | "a character" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "a mapping".to_owned(),
            None => other.to_owned(),
        },
    }
}

/// Reads a typed value.
pub(crate) fn decode<'n, T: Deserialize<'n>>(node: &'n Node) -> Result<T, Fault> {
    T::deserialize(NodeReader(node)).map_err(|fault| fault.within(node.at, ""))
}

/// Reads a typed value out of some of the entries of a mapping at `at`.
pub(crate) fn decode_entries<'n, T: Deserialize<'n>>(at: Place, entries: Vec<&'n Entry>) -> Result<T, Fault> {
    T::deserialize(EntriesReader { entries }).map_err(|fault| fault.within(at, ""))
}

#[derive(Clone, Copy)]
struct NodeReader<'n>(&'n Node);

impl<'n> NodeReader<'n> {
    fn expects(self, what: &str) -> Fault {
        let hint = match &self.0.value {
            Yaml::Bool(_) | Yaml::Float(_) if what == "text" => ": put it in quotes",
            // `{{ ds }}` without quotes is a mapping in a mapping.
            Yaml::Map(_) if what == "text" => "; a template such as {{ ds }} needs quotes around it",
            _ => "",
        };
        let message = format!("expects {what}, found {}{hint}", self.0.described());
        Fault::new(self.0.at, "", message)
    }
}

impl<'n> Deserializer<'n> for NodeReader<'n> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        let at = self.0.at;
        match &self.0.value {
            Yaml::Null => visitor.visit_unit(),
            Yaml::Bool(value) => visitor.visit_bool(*value),
            Yaml::Int(value) => visitor.visit_i64(*value),
            Yaml::BigInt(value) => visitor.visit_u64(*value),
            Yaml::Float(value) => visitor.visit_f64(*value),
            Yaml::Text(text) => visitor.visit_borrowed_str(text),
            Yaml::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Yaml::Map(entries) => {
                visitor.visit_map(Fields { entries: entries.iter().collect::<Vec<_>>().into_iter(), value: None })
            }
        }
        .map_err(|fault: Fault| fault.within(at, ""))
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.value {
            Yaml::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        let at = self.0.at;
        match &self.0.value {
            Yaml::Text(text) => visitor.visit_borrowed_str(text),
            // Whole numbers have one spelling here (others stay text), so nothing is lost.
            Yaml::Int(value) => visitor.visit_string(value.to_string()),
            Yaml::BigInt(value) => visitor.visit_string(value.to_string()),
            _ => return Err(self.expects("text")),
        }
        .map_err(|fault: Fault| fault.within(at, ""))
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Yaml::List(_) => self.deserialize_any(visitor),
            _ => Err(self.expects("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Yaml::Map(_) => self.deserialize_any(visitor),
            _ => Err(self.expects("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let at = self.0.at;
        let Yaml::Text(text) = &self.0.value else {
            return Err(self.expects("text"));
        };
        visitor.visit_enum(UnitVariant(text)).map_err(|fault| fault.within(at, ""))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier
    }
}

/// An enum without data, by name.
struct UnitVariant<'n>(&'n str);

impl<'n> EnumAccess<'n> for UnitVariant<'n> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'n> VariantAccess<'n> for UnitVariant<'n> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, _seed: T) -> Result<T::Value, Fault> {
        Err(de::Error::custom("expects a mapping"))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _len: usize, _visitor: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("expects a list"))
    }

    fn struct_variant<V: Visitor<'n>>(self, _fields: &'static [&'static str], _visitor: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("expects a mapping"))
    }
}

struct EntriesReader<'n> {
    entries: Vec<&'n Entry>,
}

impl<'n> Deserializer<'n> for EntriesReader<'n> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Fields { entries: self.entries.into_iter(), value: None })
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
    index: usize,
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        self.index += 1;
        seed.deserialize(NodeReader(node))
            .map(Some)
            .map_err(|fault| fault.within(node.at, &format!("[{}]", self.index)))
    }
}

struct Fields<'n> {
    entries: std::vec::IntoIter<&'n Entry>,
    value: Option<&'n Entry>,
}

impl<'n> MapAccess<'n> for Fields<'n> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key = de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|fault: Fault| fault.within(entry.key_at, ""))
    }

    fn next_value_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let entry = self.value.take().ok_or_else(|| <Fault as de::Error>::custom("a value without a key"))?;
        seed.deserialize(NodeReader(&entry.node)).map_err(|fault| fault.within(entry.node.at, &entry.key))
    }
}

/// The names of the fields of a derived struct.
pub(crate) fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Fault;

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Fault> {
            Err(de::Error::custom("only the names are wanted"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Fault> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    // The error is the way out, once the names are there.
    let _ = T::deserialize(Names(&mut names));
    names
}
