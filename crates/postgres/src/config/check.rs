//! Checks given properties against the table, and against each other.

use super::{
    document::Findings,
    kind::shown,
    property::{Property, Status, shown_name},
    suggest,
    table::{properties, property},
    values::Values,
};

/// Each given property by itself, then what is missing.
pub(super) fn each(values: &Values, findings: &mut Findings) {
    for (name, value) in values.iter() {
        match property(name) {
            Some(property) => given(property, name, value, findings),
            None => unknown(name, findings),
        }
    }
    for property in properties() {
        if let Status::Required(what) = property.status
            && values.given(property.name).is_none()
        {
            findings.errors.push(format!("{}: is required: {what}", property.name));
        }
    }
}

/// Ignored, as Debezium does, unless it seems to say what must not be seen.
fn unknown(name: &str, findings: &mut Findings) {
    let names = properties().filter(|property| !property.is_family());
    let nearest = suggest::nearest(name, names.map(|property| property.name));
    let name = shown(name);
    match nearest {
        Some(nearest) if nearest.ends_with(".include.list") || nearest.ends_with(".exclude.list") => {
            findings.errors.push(format!(
                "{name}: unknown, did you mean {nearest:?}? Without that list everything would be captured, so nothing is"
            ));
        }
        Some(nearest) => findings
            .remarks
            .push(format!("{name}: unknown, did you mean {nearest:?}? It is ignored")),
        None => findings.remarks.push(format!("{name}: unknown, and ignored")),
    }
}

/// What is said of one known property. A value equal to the default needs no words.
fn given(property: &Property, name: &str, value: &str, findings: &mut Findings) {
    let is_default = property
        .default
        .is_some_and(|default| property.kind.same(value, default));
    if value.is_empty() || is_default {
        return;
    }
    let name = shown_name(name);
    if is_provided(value) {
        return findings.errors.push(format!(
            "{name}: refers to a configuration provider (${{…}}), which is not supported yet; give the value itself"
        ));
    }
    if let Some(wrong) = property.kind.refuses(value) {
        return findings.errors.push(format!("{name}: {wrong}"));
    }
    let undo = match property.default {
        Some(default) => format!("remove it or set it to {default}"),
        None => "remove it".to_owned(),
    };
    match property.status {
        Status::Honoured | Status::Differs(_) | Status::Required(_) => {}
        Status::NotYet(instead) => {
            findings.errors.push(format!(
                "{name}: {} is not supported yet: {instead}; {undo}",
                shown(value)
            ));
        }
        Status::NotYetHarmless(instead) => {
            findings
                .remarks
                .push(format!("{name}: not supported yet and ignored: {instead}"));
        }
        Status::NotApplicable(why) => findings.remarks.push(format!("{name}: has no effect here: {why}")),
        Status::Deprecated(instead) => findings.remarks.push(format!("{name}: deprecated, use {instead}")),
        Status::Refused(why) => findings
            .errors
            .push(format!("{name}: not supported, because {why}; {undo}")),
    }
}

/// `${file:/secrets.properties:password}` and its like, which Connect would replace.
fn is_provided(value: &str) -> bool {
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| inner.contains(':') && !inner.contains('}'))
}

/// What no property can say alone.
pub(super) fn together(values: &Values, findings: &mut Findings) {
    let Findings { errors, remarks } = findings;
    if values.given("plugin.name").is_none() {
        remarks.push(
            "plugin.name: not given: Debezium would use decoderbufs, an extension of the server; pgoutput is used"
                .to_owned(),
        );
    }
    tls(values, errors);
    if placeholder(values.text("unavailable.value.placeholder")).is_none() {
        errors.push(
            "unavailable.value.placeholder: takes text, or hex: and hexadecimal digits, two for a byte".to_owned(),
        );
    }
    let none_and_more = values.word("skipped.operations");
    if none_and_more.contains("none") && none_and_more.contains(',') {
        errors.push("skipped.operations: takes none alone, or some of c, u, d and t".to_owned());
    }
    queue_above_batch(values, errors);
}

fn tls(values: &Values, errors: &mut Vec<String>) {
    let given = |name| values.given(name).is_some();
    let mode = values.word("database.sslmode");
    if mode.starts_with("verify-") && !given("database.sslrootcert") {
        errors.push(format!(
            "database.sslmode: {mode} needs database.sslrootcert, \
             the PEM file with the certificate of the authority that signed the server's"
        ));
    }
    for (one, other) in [
        ("database.sslcert", "database.sslkey"),
        ("database.sslkey", "database.sslcert"),
    ] {
        if given(one) && !given(other) {
            errors.push(format!(
                "{one}: needs {other} beside it: the certificate and its key go together"
            ));
        }
    }
}

/// Debezium refuses these at start, and they are harmless here: the check is kept, so that what starts here starts there.
fn queue_above_batch(values: &Values, errors: &mut Vec<String>) {
    let number = |name| values.text(name).parse::<u64>().ok();
    if let (Some(batch), Some(queue)) = (number("max.batch.size"), number("max.queue.size"))
        && queue <= batch
    {
        errors.push(format!(
            "max.queue.size: takes a number above max.batch.size ({batch}), got {queue}"
        ));
    }
}

/// `unavailable.value.placeholder` as text; `None` if what follows `hex:` is not hexadecimal.
pub(super) fn placeholder(value: &str) -> Option<String> {
    let Some(digits) = value.strip_prefix("hex:") else {
        return Some(value.to_owned());
    };
    let digits = digits.as_bytes();
    if digits.len() % 2 != 0 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
