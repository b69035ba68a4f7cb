//! PostgreSQL's array text, `{a,"b c",NULL}`, as JSON arrays.
//!
//! Lower bounds are dropped. Debezium has nothing sensible for arrays of several dimensions (it delivers nulls or Java
//! object identities); here they are arrays of arrays, or one array of all elements where a schema stands beside them,
//! which can say one dimension only.

use std::borrow::Cow;

use super::{Fidelity, Unconvertible, Written};
use crate::{converter::Converter, notation::Notation};

/// PostgreSQL's `MAXDIM`; also keeps hostile text from exhausting the stack.
const DIMENSIONS_MAX: usize = 6;

/// Writes the array with each element converted by `element`; `flat` if arrays in it are told as one.
pub(crate) fn write<N: Notation>(
    text: &[u8],
    element: &Converter,
    delimiter: u8,
    flat: bool,
    out: &mut Vec<u8>,
) -> Written {
    let mut parser = Parser {
        rest: without_bounds(text)?,
        element,
        delimiter,
        flat,
        fidelity: Fidelity::Exact,
    };
    parser.array::<N>(DIMENSIONS_MAX, out)?;
    if parser.rest.is_empty() {
        Ok(parser.fidelity)
    } else {
        Err(Unconvertible)
    }
}

/// Cuts `[0:1][2:3]=`.
fn without_bounds(text: &[u8]) -> Result<&[u8], Unconvertible> {
    if text.first() != Some(&b'[') {
        return Ok(text);
    }
    let equals = text.iter().position(|&byte| byte == b'=').ok_or(Unconvertible)?;
    Ok(&text[equals + 1..])
}

struct Parser<'a> {
    rest: &'a [u8],
    element: &'a Converter,
    delimiter: u8,
    flat: bool,
    fidelity: Fidelity,
}

impl<'a> Parser<'a> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(found)..];
        found
    }

    fn array<N: Notation>(&mut self, dimensions: usize, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        if dimensions == 0 || !self.take(b'{') {
            return Err(Unconvertible);
        }
        let brackets = !self.flat || dimensions == DIMENSIONS_MAX;
        if brackets {
            out.push(b'[');
        }
        if !self.take(b'}') {
            loop {
                match self.rest.first() {
                    Some(b'{') => self.array::<N>(dimensions - 1, out)?,
                    _ => self.element::<N>(out)?,
                }
                if self.take(b'}') {
                    break;
                }
                if !self.take(self.delimiter) {
                    return Err(Unconvertible);
                }
                out.push(b',');
            }
        }
        if brackets {
            out.push(b']');
        }
        Ok(())
    }

    fn element<N: Notation>(&mut self, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let quoted = self.take(b'"');
        let raw = if quoted {
            self.until_quote()?
        } else {
            self.until_separator()?
        };
        if !quoted && raw == b"NULL" {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if self.element.write::<N>(&unescaped(raw), out)? == Fidelity::Repaired {
            self.fidelity = Fidelity::Repaired;
        }
        Ok(())
    }

    fn until_quote(&mut self) -> Result<&'a [u8], Unconvertible> {
        let mut end = 0;
        loop {
            match self.rest.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(Unconvertible),
            }
        }
        let raw = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(raw)
    }

    fn until_separator(&mut self) -> Result<&'a [u8], Unconvertible> {
        let separator = |byte: &u8| *byte == self.delimiter || matches!(byte, b'}' | b'{' | b'"' | b'\\');
        let end = self.rest.iter().position(separator).ok_or(Unconvertible)?;
        let raw = &self.rest[..end];
        self.rest = &self.rest[end..];
        if raw.is_empty() { Err(Unconvertible) } else { Ok(raw) }
    }
}

/// Text with each backslash taken as "the next byte as it is".
fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        text.push(if byte == b'\\' {
            *bytes.next().unwrap_or(&byte)
        } else {
            byte
        });
    }
    Cow::Owned(text)
}
