//! The properties whose names say how columns are hidden: `column.mask.with.N.chars` and its kin.
//!
//! A salt is in a property's name, and a secret: errors name a property without it.

use rowcast_event::{ColumnMasks, Hash, HashAlgorithm, Mask, NamePattern};

use super::{
    captured::Patterns,
    property::{SALT, shown_name},
    values::Values,
};

/// Asterisks of a mask, which every row repeats.
///
/// Longer than any value that somebody would want to hide the length of.
const STARS_MAX: usize = 10_000;

/// All masks: in Debezium's order, but for those that only cut, which come last.
pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> ColumnMasks {
    let mut masks = Vec::new();
    for (name, list) in values.iter().filter(|(_, list)| !list.is_empty()) {
        let Some((place, mask)) = read(name) else { continue };
        match mask {
            Ok(mask) => {
                let patterns = Patterns::compile(values, name, errors);
                let pattern = NamePattern::new(list, move |column| patterns.match_any(column));
                masks.push((place, (pattern, mask)));
            }
            Err(takes) => errors.push(format!("{}: {takes}", shown_name(name))),
        }
    }
    masks.sort_by_key(|(place, _)| *place);
    masks.into_iter().map(|(_, mask)| mask).collect()
}

/// A property's place among the masks, and what it asks for or what its name must have; `None` if it is none.
fn read(name: &str) -> Option<(usize, Result<Mask, String>)> {
    let within = |before: &str, after: &str| name.strip_prefix(before)?.strip_suffix(after);
    if let Some(count) = within("column.mask.with.", ".chars") {
        let stars = count.parse().ok().filter(|count| *count <= STARS_MAX).map(Mask::Stars);
        return Some((
            0,
            stars.ok_or(format!("takes a number of characters up to {STARS_MAX} in its name")),
        ));
    }
    if let Some(count) = within("column.truncate.to.", ".chars") {
        let cut = count.parse().ok().map(Mask::Cut);
        return Some((3, cut.ok_or("takes a number of characters in its name".to_owned())));
    }
    let hash = name.strip_prefix("column.mask.hash.")?;
    Some(match hash.strip_prefix("v2.") {
        Some(hash) => (2, read_hash(hash, false)),
        None => (1, read_hash(hash, true)),
    })
}

fn read_hash(hash: &str, serialised: bool) -> Result<Mask, String> {
    let (name, salt) = hash.split_once(SALT).unwrap_or((hash, ""));
    let Some(algorithm) = HashAlgorithm::named(name) else {
        return Err(format!("takes one of {} in its name", HashAlgorithm::names()));
    };
    // What is shown of a configuration has an asterisk in the salt's place, and may come back.
    if salt.is_empty() || salt == "*" {
        return Err("takes a salt at the end of its name, which is not shown: give the one that it had".to_owned());
    }
    Ok(Mask::Hash(Hash {
        algorithm,
        salt: salt.as_bytes().to_vec(),
        serialised,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectorConfig, config::sample::config};

    #[test]
    fn masks_come_in_debeziums_order_and_cuts_last() {
        let config = config(
            r#","column.truncate.to.5.chars":"s\\.t\\..*","column.mask.hash.v2.sha-256.with.salt.a.b":"s\\.t\\.v2",
            "column.mask.hash.MD5.with.salt.canary":"s\\.t\\.md5,s\\.t\\.v2","column.mask.with.3.chars":"S\\.T\\.md5""#,
        );
        let options = config.event_options("");
        let masks: Vec<&Mask> = options.masks.iter().map(|(_, mask)| mask).collect();
        let hash = |algorithm, salt: &str, serialised| {
            Mask::Hash(Hash {
                algorithm,
                salt: salt.as_bytes().to_vec(),
                serialised,
            })
        };
        assert_eq!(
            masks,
            [
                &Mask::Stars(3),
                &hash(HashAlgorithm::Md5, "canary", true),
                &hash(HashAlgorithm::Sha256, "a.b", false),
                &Mask::Cut(5)
            ]
        );
        assert!(options.masks[0].0.matches("s.t.md5"));
        assert!(!format!("{options:?}{config:?}").contains("canary"));
    }

    #[test]
    fn what_a_name_cannot_mean_is_an_error_without_the_salt() {
        for (name, said) in [
            (
                "column.mask.with.three.chars",
                "column.mask.with.three.chars: takes a number",
            ),
            ("column.mask.with.99999.chars", "up to 10000"),
            ("column.truncate.to.-1.chars", "takes a number"),
            (
                "column.mask.hash.MD4.with.salt.canary",
                "column.mask.hash.MD4.with.salt.*: takes one of MD5, SHA",
            ),
            ("column.mask.hash.MD5.with.salt.*", "takes a salt"),
        ] {
            let json = format!(
                r#"{{"name":"c","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
                "database.hostname":"h","database.user":"u","database.dbname":"d","topic.prefix":"t","{name}":"s.t.c"}}}}"#
            );
            let error = ConnectorConfig::from_json(&json).expect_err(name).to_string();
            assert!(error.contains(said) && !error.contains("canary"), "{error}");
        }
    }
}
