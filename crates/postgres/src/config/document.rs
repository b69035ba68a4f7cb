//! From JSON to names and values: the two shapes that Kafka Connect's users send, and nothing looser.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{ConfigErrors, kind::shown, property::shown_name, values::Values};

/// The longest configuration that is read.
///
/// A list of 10,000 tables with long names is below 1 MiB.
const JSON_BYTES_MAX: usize = 1024 * 1024;

/// What was found while reading and checking.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// Reads `{"name":…,"config":{…}}` or the config object alone. An `Err` is for text that is no such document at all.
pub(super) fn read(json: &str) -> Result<(Values, Findings), ConfigErrors> {
    if json.len() > JSON_BYTES_MAX {
        return Err(alone(format!(
            "a connector configuration has at most {JSON_BYTES_MAX} bytes, this one {}",
            json.len()
        )));
    }
    let Pairs(pairs) = serde_json::from_str(json).map_err(|error| alone(not_an_object(&error)))?;
    let mut findings = Findings::default();
    let pairs = match pairs.iter().any(|(name, value)| name == "config" && !is_plain(value)) {
        true => unwrap(pairs, &mut findings)?,
        false => pairs,
    };
    let mut values = Values::default();
    for (name, value) in pairs {
        insert(&mut values, name, value, &mut findings.errors);
    }
    Ok((values, findings))
}

fn alone(error: String) -> ConfigErrors {
    ConfigErrors(vec![error])
}

/// serde_json's own text may quote the document, and the document has a password: only the place is kept.
fn not_an_object(error: &serde_json::Error) -> String {
    format!(
        "the connector configuration is not a JSON object of the form {{\"name\": …, \"config\": {{…}}}}: line {}, column {}",
        error.line(),
        error.column()
    )
}

fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// The pairs inside `config`, with the name beside it among them.
fn unwrap(outer: Vec<(String, Value)>, findings: &mut Findings) -> Result<Vec<(String, Value)>, ConfigErrors> {
    let mut inner = Vec::new();
    let mut name = None;
    for (key, value) in outer {
        match key.as_str() {
            "config" => inner.extend(config_object(value)?),
            "name" => name = Some(value),
            // What Connect's GET says of a connector, sent back as it came.
            "tasks" | "type" => {}
            "initial_state"
                if value
                    .as_str()
                    .is_some_and(|state| state.eq_ignore_ascii_case("RUNNING")) => {}
            "initial_state" => findings.errors.push(
                "initial_state: takes RUNNING; a connector that starts stopped or paused is not supported yet"
                    .to_owned(),
            ),
            _ => findings
                .remarks
                .push(format!("unknown key {} beside \"config\" is ignored", shown(&key))),
        }
    }
    let Some(name) = name else { return Ok(inner) };
    match inner.iter().find(|(key, _)| key == "name") {
        Some((_, same)) if *same == name => {}
        Some(_) => findings
            .errors
            .push("name: is given twice, and differs; the name in \"config\" must be the one beside it".to_owned()),
        None => inner.insert(0, ("name".to_owned(), name)),
    }
    Ok(inner)
}

fn config_object(value: Value) -> Result<impl Iterator<Item = (String, Value)>, ConfigErrors> {
    match value {
        Value::Object(pairs) => Ok(pairs.into_iter()),
        _ => Err(alone("config: takes an object of properties".to_owned())),
    }
}

fn insert(values: &mut Values, name: String, value: Value, errors: &mut Vec<String>) {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(switch) => switch.to_string(),
        // As in Connect: not given.
        Value::Null => return,
        Value::Array(_) | Value::Object(_) => {
            return errors.push(format!(
                "{}: takes a string, number or boolean, got an object or array",
                shown_name(&name)
            ));
        }
    };
    let text = match name == "database.password" {
        true => text,
        false => text.trim().to_owned(),
    };
    if !values.insert(name.clone(), text) {
        errors.push(format!("{}: is given twice; keep one", shown_name(&name)));
    }
}

/// A JSON object as it is written: serde_json's map would drop a repeated key without a word.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor).map(Pairs)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
