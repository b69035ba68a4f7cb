//! The shape of a value in Kafka Connect's words, and the two texts it is told in: the `schema` part of a record as
//! JsonConverter writes it, and the shorter list of a topic's columns that clients and the internal topic
//! `__rowcast_schemas` get.
//!
//! The same table version always gives the same bytes.

use crate::{column::Column, json::string};

/// A value's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    /// Whether null is allowed, where no column says it: for an array's elements, a struct's fields, a map's values.
    pub(crate) optional: bool,
    /// Connect's schema name and its version.
    pub(crate) semantic: Option<(&'static str, u32)>,
    pub(crate) doc: Option<&'static str>,
    pub(crate) parameters: Vec<(&'static str, String)>,
}

/// Connect's type, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// By its type word (`int32`, `string`...).
    Plain(&'static str),
    Array(Box<Schema>),
    /// From the keys' schema to the values'.
    Map(Box<[Schema; 2]>),
    Struct(Vec<(&'static str, Schema)>),
}

impl Schema {
    fn of(shape: Shape) -> Schema {
        Schema {
            shape,
            optional: false,
            semantic: None,
            doc: None,
            parameters: Vec::new(),
        }
    }

    pub(crate) fn plain(type_word: &'static str) -> Schema {
        Schema::of(Shape::Plain(type_word))
    }

    pub(crate) fn named(type_word: &'static str, semantic: &'static str) -> Schema {
        Schema::plain(type_word).name(semantic)
    }

    pub(crate) fn array_of(items: Schema) -> Schema {
        Schema::of(Shape::Array(Box::new(items)))
    }

    pub(crate) fn map_of(keys: Schema, values: Schema) -> Schema {
        Schema::of(Shape::Map(Box::new([keys, values])))
    }

    pub(crate) fn struct_of(fields: &[(&'static str, Schema)]) -> Schema {
        Schema::of(Shape::Struct(fields.to_vec()))
    }

    /// Version 1, as all of Debezium's and Connect's own.
    pub(crate) fn name(mut self, semantic: &'static str) -> Schema {
        self.semantic = Some((semantic, 1));
        self
    }

    pub(crate) fn doc(mut self, doc: &'static str) -> Schema {
        self.doc = Some(doc);
        self
    }

    pub(crate) fn optional(mut self) -> Schema {
        self.optional = true;
        self
    }

    pub(crate) fn with(mut self, parameter: &'static str, value: impl ToString) -> Schema {
        self.parameters.push((parameter, value.to_string()));
        self
    }

    pub(crate) fn type_word(&self) -> &'static str {
        match self.shape {
            Shape::Plain(word) => word,
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Struct(_) => "struct",
        }
    }

    /// `{"type":…}` as JsonConverter writes it: members in its order, what is not there left out.
    pub(crate) fn write(&self, place: &Place<'_>, out: &mut String) {
        out.push_str(r#"{"type":""#);
        out.push_str(self.type_word());
        out.push('"');
        self.write_parts(out);
        out.push_str(if place.optional.unwrap_or(self.optional) {
            r#","optional":true"#
        } else {
            r#","optional":false"#
        });
        if let Some((name, version)) = self.semantic {
            out.push_str(&format!(r#","name":{},"version":{version}"#, string(name)));
        }
        if let Some(doc) = self.doc {
            out.push_str(&format!(r#","doc":{}"#, string(doc)));
        }
        if self.parameters.len() + place.parameters.len() > 0 {
            out.push_str(&format!(
                r#","parameters":{}"#,
                object(self.parameters.iter().chain(place.parameters))
            ));
        }
        if let Some(default) = place.default {
            out.push_str(&format!(r#","default":{default}"#));
        }
        if let Some(field) = place.field {
            out.push_str(&format!(r#","field":{}"#, string(field)));
        }
        out.push('}');
    }

    fn write_parts(&self, out: &mut String) {
        match &self.shape {
            Shape::Plain(_) => {}
            Shape::Array(items) => {
                out.push_str(r#","items":"#);
                items.write(&Place::default(), out);
            }
            Shape::Map(parts) => {
                let [keys, values] = &**parts;
                out.push_str(r#","keys":"#);
                keys.write(&Place::default(), out);
                out.push_str(r#","values":"#);
                values.write(&Place::default(), out);
            }
            Shape::Struct(fields) => {
                out.push_str(r#","fields":["#);
                for (place, (name, schema)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    schema.write(&Place::field(name), out);
                }
                out.push(']');
            }
        }
    }

    /// `"type":…,"semantic":…,"version":…,"parameters":{…}[,"items":{…}]`.
    fn members(&self) -> String {
        let (semantic, version) = match self.semantic {
            Some((name, version)) => (string(name), version.to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        let items = match &self.shape {
            Shape::Array(items) => format!(r#","items":{{{},"optional":{}}}"#, items.members(), items.optional),
            _ => String::new(),
        };
        format!(
            r#""type":"{}","semantic":{semantic},"version":{version},"parameters":{}{items}"#,
            self.type_word(),
            object(self.parameters.iter()),
        )
    }
}

/// What a schema is told by where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The name in the struct around it.
    pub(crate) field: Option<&'a str>,
    /// Where a column decides it.
    pub(crate) optional: Option<bool>,
    /// JSON of the default.
    pub(crate) default: Option<&'a str>,
    /// After the type's own.
    pub(crate) parameters: &'a [(&'static str, String)],
}

impl<'a> Place<'a> {
    pub(crate) fn field(name: &'a str) -> Place<'a> {
        Place {
            field: Some(name),
            ..Place::default()
        }
    }
}

fn object<'a>(parameters: impl Iterator<Item = &'a (&'static str, String)>) -> String {
    let members: Vec<String> = parameters
        .map(|(name, value)| format!("{}:{}", string(name), string(value)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The whole topic's schema; `key` says of a tuple index whether it belongs to the key.
pub(crate) fn topic_schema(topic: &str, table: &str, columns: &[Column], key: impl Fn(usize) -> bool) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let default = column
                .default_json
                .as_ref()
                .map_or(String::new(), |json| format!(r#","default":{json}"#));
            format!(
                r#"{{"name":{},{},"key":{},"optional":{}{default}}}"#,
                string(&column.name),
                column.schema.members(),
                key(column.tuple_index),
                column.optional,
            )
        })
        .collect();
    format!(
        r#"{{"topic":{},"table":{},"columns":[{}]}}"#,
        string(topic),
        string(table),
        columns.join(",")
    )
}
