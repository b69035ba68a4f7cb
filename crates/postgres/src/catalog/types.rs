//! `pg_type` and `pg_enum`, read whole: a few hundred rows, so that any column's type resolves without another question.

use std::collections::HashMap;

use rowcast_event::{PgType, PgTypeKind, TypeCatalog};

use crate::{
    connection::{Connection, error::ConnectionError},
    query::{Row, number, text},
};

/// `element` is the type whose `typarray` this one is: that tells true arrays from `int2vector`, `name` and `point`,
/// which also have a `typelem`.
const TYPES: &str = "SELECT t.oid, t.typname, t.typtype, coalesce(e.oid, 0), t.typbasetype, t.typtypmod \
     FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid AND e.oid = t.typelem";

const LABELS: &str = "SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum ORDER BY enumtypid, enumsortorder";

/// Reads every type of the database.
pub(crate) async fn load(session: &mut Connection) -> Result<TypeCatalog, ConnectionError> {
    let mut labels: HashMap<u32, Vec<String>> = HashMap::new();
    for row in session.query(LABELS).await? {
        labels
            .entry(number(&row, 0, "pg_enum.enumtypid")?)
            .or_default()
            .push(text(&row, 1).to_owned());
    }
    let mut types = TypeCatalog::default();
    for row in session.query(TYPES).await? {
        types.insert(pg_type(&row, &mut labels)?);
    }
    Ok(types)
}

fn pg_type(row: &Row, labels: &mut HashMap<u32, Vec<String>>) -> Result<PgType, ConnectionError> {
    let oid = number(row, 0, "pg_type.oid")?;
    let element: u32 = number(row, 3, "pg_type.typelem")?;
    let kind = match text(row, 2) {
        _ if element != 0 => PgTypeKind::Array(element),
        "e" => PgTypeKind::Enum(labels.remove(&oid).unwrap_or_default()),
        "d" => PgTypeKind::Domain {
            base: number(row, 4, "pg_type.typbasetype")?,
            type_modifier: number(row, 5, "pg_type.typtypmod")?,
        },
        "c" => PgTypeKind::Composite,
        _ => PgTypeKind::Base,
    };
    Ok(PgType {
        oid,
        name: text(row, 1).to_owned(),
        kind,
    })
}
