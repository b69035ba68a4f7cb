//! Refuses two tables whose rows would go to one topic, where the same key is not the same row.
//!
//! Topics have Debezium's names, in which every character that Kafka forbids is an underscore and which end at 249
//! characters. Pure.

use crate::{SourceError, query::qualified};

/// A table by schema and name.
pub(crate) type Named<'a> = (&'a str, &'a str);

/// The sentence for two tables of one topic.
pub(crate) fn refusal(topic: &str, one: Named<'_>, other: Named<'_>) -> SourceError {
    SourceError::Refused(format!(
        "tables {} and {} would both be written to topic {topic}, and overwrite each other's rows there: leave one of them \
         out by table.exclude.list (or table.include.list), or rename it",
        qualified(one.0, one.1),
        qualified(other.0, other.1)
    ))
}

/// Checks that no two tables have the same topic. `topic_of` names it.
pub(crate) fn check<'t>(
    tables: impl Iterator<Item = Named<'t>>,
    topic_of: impl Fn(Named<'t>) -> String,
) -> Result<(), SourceError> {
    let mut named: Vec<(String, Named<'t>)> = tables.map(|table| (topic_of(table), table)).collect();
    named.sort();
    match named.windows(2).find(|two| two[0].0 == two[1].0) {
        Some(two) => Err(refusal(&two[0].0, two[0].1, two[1].1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rowcast_event::{EventOptions, topic_name};

    use super::*;

    #[test]
    fn two_tables_of_one_topic_are_refused_by_name() {
        let of = |(schema, table): Named<'_>| topic_name(&EventOptions::new("x", "", ""), schema, table);
        assert!(check([("public", "a_b"), ("public", "a-b"), ("other", "a_b")].into_iter(), of).is_ok());
        let error = check([("public", "a_b"), ("public", "c"), ("public", "a b")].into_iter(), of)
            .expect_err("both are x.public.a_b")
            .to_string();
        assert!(error.contains(r#""public"."a b" and "public"."a_b""#), "{error}");
        assert!(
            error.contains("x.public.a_b") && error.contains("table.exclude.list"),
            "{error}"
        );
    }
}
