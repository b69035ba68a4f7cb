//! Finds the members of JSON objects as they are written, so that text can be compared and replaced byte by byte.
//!
//! Knows nothing of what they mean, and never writes JSON anew: what two encoders write differently must stay different.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};

/// The members of the object, in their order: name as written between its quotes, and where the value is.
pub(crate) fn members(object: &[u8]) -> Result<Vec<(String, Range<usize>)>> {
    let mut at = expect(object, 0, b'{')?;
    let mut members = Vec::new();
    if object.get(at) == Some(&b'}') {
        return Ok(members);
    }
    loop {
        let name = string_end(object, at)?;
        let text = String::from_utf8_lossy(&object[at + 1..name - 1]).into_owned();
        let from = expect(object, name, b':')?;
        let to = value_end(object, from)?;
        members.push((text, from..to));
        match object.get(to) {
            Some(b',') => at = to + 1,
            Some(b'}') => return Ok(members),
            _ => bail!("an object goes on strangely at byte {to}"),
        }
    }
}

/// Where the elements of the array are.
pub(crate) fn elements(array: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut at = expect(array, 0, b'[')?;
    let mut elements = Vec::new();
    if array.get(at) == Some(&b']') {
        return Ok(elements);
    }
    loop {
        let to = value_end(array, at)?;
        elements.push(at..to);
        match array.get(to) {
            Some(b',') => at = to + 1,
            Some(b']') => return Ok(elements),
            _ => bail!("an array goes on strangely at byte {to}"),
        }
    }
}

/// Where the member's value is, if the object has it.
pub(crate) fn member(object: &[u8], name: &str) -> Result<Option<Range<usize>>> {
    let found = members(object)?.into_iter().find(|(member, _)| member == name);
    Ok(found.map(|(_, span)| span))
}

fn value_end(text: &[u8], from: usize) -> Result<usize> {
    match text.get(from) {
        Some(b'"') => string_end(text, from),
        Some(b'{' | b'[') => nested_end(text, from),
        Some(_) => {
            let rest = text[from..].iter();
            let length = rest.take_while(|byte| !b",}]".contains(byte)).count();
            ensure!(length > 0, "there is no value at byte {from}");
            Ok(from + length)
        }
        None => bail!("the text ends at byte {from}"),
    }
}

fn nested_end(text: &[u8], from: usize) -> Result<usize> {
    let (mut at, mut depth) = (from, 0);
    loop {
        match text.get(at).context("an object or array has no end")? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Ok(at);
        }
    }
}

/// Behind the closing quote of the string that begins here.
fn string_end(text: &[u8], from: usize) -> Result<usize> {
    let mut at = expect(text, from, b'"')?;
    loop {
        match text.get(at).context("a string has no end")? {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn expect(text: &[u8], at: usize, byte: u8) -> Result<usize> {
    ensure!(
        text.get(at) == Some(&byte),
        "there is no {:?} at byte {at}",
        char::from(byte)
    );
    Ok(at + 1)
}

#[test]
fn members_are_found_as_they_are_written() {
    let text = br#"{"a":{"b":"}\"]"},"c":[1,[],{}],"\u00e4":-1.0E-7,"d":null}"#;
    let found = members(text).unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|(name, span)| (name.as_str(), std::str::from_utf8(&text[span.clone()]).unwrap()))
        .collect();
    let wanted = [
        ("a", r#"{"b":"}\"]"}"#),
        ("c", "[1,[],{}]"),
        ("\\u00e4", "-1.0E-7"),
        ("d", "null"),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(elements(b"[1,[],{\"a\":[2]}]").unwrap().len(), 3);
    assert!(members(b"{\"a\":1").is_err() && members(b"{\"a\" :1}").is_err() && members(b"[]").is_err());
}
