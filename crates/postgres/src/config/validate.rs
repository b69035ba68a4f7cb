//! The answer of Kafka Connect's `PUT /connector-plugins/{name}/config/validate`, made from the table of properties.
//!
//! Knows nothing of the server: whoever serves the answer tries the connection once the values are right, and puts what
//! went wrong to `database.hostname`, as Debezium does ([`Validation::add_error`]).

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    ConnectorConfig, check, document,
    document::Findings,
    kind::{Kind, shown_in_documents},
    property::{Importance, Property, Status},
    shown::shown,
    table::{CHAPTERS, property},
    values::Values,
};

/// The answer, in Connect's shape.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// The connector's class.
    pub name: String,
    /// How many errors there are.
    pub error_count: usize,
    /// Titles of chapters.
    pub groups: Vec<&'static str>,
    /// Every property, and every given one of a family.
    pub configs: Vec<ValidatedProperty>,
}

/// One property, and what is wrong with its value.
#[derive(Clone, Debug, Serialize)]
pub struct ValidatedProperty {
    definition: Definition,
    value: ValidatedValue,
}

#[derive(Clone, Debug, Serialize)]
struct Definition {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    default_value: Option<&'static str>,
    importance: &'static str,
    documentation: String,
    group: &'static str,
    order_in_group: usize,
    width: &'static str,
    display_name: String,
    dependents: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct ValidatedValue {
    name: String,
    value: Option<String>,
    recommended_values: Vec<&'static str>,
    errors: Vec<String>,
    visible: bool,
}

/// Validates a flat map of properties, as Connect's users send it. Secrets are not in the answer.
pub fn validate(config: &Map<String, Value>) -> Validation {
    let json = Value::Object(config.clone()).to_string();
    let (values, errors) = match document::read(&json) {
        Ok((values, findings)) => {
            let errors = errors(&values, findings);
            (values, errors)
        }
        Err(errors) => (Values::default(), errors.0),
    };
    let mut validation = Validation {
        name: values.text("connector.class").to_owned(),
        error_count: 0,
        groups: CHAPTERS.iter().map(|chapter| chapter.title).collect(),
        configs: configs(&values),
    };
    for error in errors {
        let (name, sentence) = error.split_once(": ").unwrap_or(("connector.class", &error));
        validation.add_error(name, sentence);
    }
    validation
}

fn errors(values: &Values, mut findings: Findings) -> Vec<String> {
    check::each(values, &mut findings);
    check::together(values, &mut findings);
    match ConnectorConfig::compile(values, findings) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0,
    }
}

impl Validation {
    /// Adds an error to a property. One of a name that is not there goes to the property that the name begins with, or to
    /// the connector's class.
    pub fn add_error(&mut self, name: &str, sentence: &str) {
        let named = |wanted: &str| self.configs.iter().position(|config| config.value.name == wanted);
        let mut shorter = name;
        let place = loop {
            match (named(shorter), shorter.rsplit_once('.')) {
                (Some(place), _) => break Some(place),
                (None, Some((before, _))) => shorter = before,
                (None, None) => break named("connector.class"),
            }
        };
        let Some(place) = place else { return };
        self.error_count += 1;
        self.configs[place]
            .value
            .errors
            .push(format!("The '{name}' value is invalid: {sentence}"));
    }
}

fn configs(values: &Values) -> Vec<ValidatedProperty> {
    let mut configs = Vec::new();
    for chapter in CHAPTERS {
        for (order, property) in chapter.properties.iter().enumerate() {
            let named = |name: &str| validated(property, name, chapter.title, order + 1, values);
            match property.is_family() {
                false => configs.push(named(property.name)),
                true => configs.extend(of_family(property, values).map(named)),
            }
        }
    }
    configs
}

/// The given names that are of this family and of no other.
fn of_family<'a>(family: &'a Property, values: &'a Values) -> impl Iterator<Item = &'a str> {
    let is_its = move |name: &&str| property(name).is_some_and(|found| found.name == family.name);
    values.iter().map(|(name, _)| name).filter(is_its)
}

fn validated(
    property: &Property,
    name: &str,
    group: &'static str,
    order_in_group: usize,
    values: &Values,
) -> ValidatedProperty {
    let value = match values.given(name) {
        Some(value) => Some(shown(name, value)),
        None => property.default,
    };
    let name = super::property::shown_name(name);
    ValidatedProperty {
        definition: Definition {
            kind: kind(property),
            required: matches!(property.status, Status::Required(_)),
            default_value: property.default,
            importance: match property.importance {
                Importance::Must => "HIGH",
                Importance::Often => "MEDIUM",
                Importance::Rare => "LOW",
            },
            documentation: shown_in_documents(property),
            group,
            order_in_group,
            width: match property.kind {
                Kind::Switch | Kind::Whole(..) | Kind::Retries => "SHORT",
                Kind::Patterns => "LONG",
                _ => "MEDIUM",
            },
            display_name: display_name(&name),
            dependents: Vec::new(),
            name: name.clone(),
        },
        value: ValidatedValue {
            value: value.map(str::to_owned),
            recommended_values: match property.kind {
                Kind::Words(words) | Kind::WordList(words) => words.to_vec(),
                _ => Vec::new(),
            },
            errors: Vec::new(),
            visible: true,
            name,
        },
    }
}

/// Connect's word for what the property takes.
fn kind(property: &Property) -> &'static str {
    match property.kind {
        Kind::Secret => "PASSWORD",
        Kind::Switch => "BOOLEAN",
        Kind::Whole(_, most) if most > i32::MAX as u64 => "LONG",
        Kind::Whole(..) | Kind::Retries => "INT",
        Kind::Patterns | Kind::WordList(_) => "LIST",
        _ => "STRING",
    }
}

/// `slot.drop.on.stop` as "Slot drop on stop".
fn display_name(name: &str) -> String {
    let words = name.replace(['.', '_'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
