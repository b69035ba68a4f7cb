//! Points and PostGIS values: Debezium delivers well-known binary, and for `point` its two numbers beside it.

use super::{
    Fidelity, Unconvertible, Written,
    binary::{nibble, push_base64},
    float,
};
use crate::notation::{HeaderText, Notation};

/// `(x,y)` as `{"x":…,"y":…,"wkb":…,"srid":null}`.
pub(crate) fn write_point<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    let [b'(', inner @ .., b')'] = text else {
        return Err(Unconvertible);
    };
    let comma = inner.iter().position(|&byte| byte == b',').ok_or(Unconvertible)?;
    let (x, y) = (&inner[..comma], &inner[comma + 1..]);
    out.extend_from_slice(b"{\"x\":");
    float::write_double::<N>(x, out)?;
    out.extend_from_slice(b",\"y\":");
    float::write_double::<N>(y, out)?;
    out.extend_from_slice(b",\"wkb\":\"");
    push_base64(&point_wkb(coordinate(x)?, coordinate(y)?), out);
    out.extend_from_slice(b"\",\"srid\":null}");
    Ok(Fidelity::Exact)
}

/// A geometric value with its numbers as Java prints doubles: `((2,2),(0,0))` is `((2.0,2.0),(0.0,0.0))`.
pub(crate) fn java_text(text: &[u8]) -> Result<Vec<u8>, Unconvertible> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let is_number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if !is_number(first) {
            out.push(*first);
            rest = after;
            continue;
        }
        let end = rest.iter().position(|byte| !is_number(byte)).unwrap_or(rest.len());
        float::write_double::<HeaderText>(&rest[..end], &mut out)?;
        rest = &rest[end..];
    }
    Ok(out)
}

fn coordinate(text: &[u8]) -> Result<f64, Unconvertible> {
    match text {
        b"NaN" => Ok(f64::NAN),
        b"Infinity" => Ok(f64::INFINITY),
        b"-Infinity" => Ok(f64::NEG_INFINITY),
        text => float::parse_double(text),
    }
}

/// Little-endian (1), type 1 (point), x, y.
fn point_wkb(x: f64, y: f64) -> [u8; 21] {
    let mut wkb = [0; 21];
    wkb[..5].copy_from_slice(&[1, 1, 0, 0, 0]);
    wkb[5..13].copy_from_slice(&x.to_le_bytes());
    wkb[13..].copy_from_slice(&y.to_le_bytes());
    wkb
}

/// PostGIS prints EWKB in hexadecimal: `{"wkb":…,"srid":…}`, the bytes as they are, the SRID read from them.
pub(crate) fn write_ewkb(text: &[u8], out: &mut Vec<u8>) -> Written {
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Ok(nibble(*high)? << 4 | nibble(*low)?));
    let bytes = bytes.collect::<Result<Vec<u8>, Unconvertible>>()?;
    if !rest.is_empty() {
        return Err(Unconvertible);
    }
    out.extend_from_slice(b"{\"wkb\":\"");
    push_base64(&bytes, out);
    out.extend_from_slice(b"\",\"srid\":");
    match srid(&bytes)? {
        Some(srid) => out.extend_from_slice(itoa::Buffer::new().format(srid).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(Fidelity::Exact)
}

fn srid(ewkb: &[u8]) -> Result<Option<i32>, Unconvertible> {
    const HAS_SRID: u32 = 0x2000_0000;
    let (&order, rest) = ewkb.split_first().ok_or(Unconvertible)?;
    let word = |bytes: &[u8; 4]| {
        if order == 0 {
            u32::from_be_bytes(*bytes)
        } else {
            u32::from_le_bytes(*bytes)
        }
    };
    let (kind, rest) = rest.split_first_chunk().ok_or(Unconvertible)?;
    if word(kind) & HAS_SRID == 0 {
        return Ok(None);
    }
    let (srid, _) = rest.split_first_chunk().ok_or(Unconvertible)?;
    Ok(Some(word(srid).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometric_text_has_javas_numbers() {
        for (text, expected) in [
            ("(2,2),(0,0)", "(2.0,2.0),(0.0,0.0)"),
            ("<(10,20),10>", "<(10.0,20.0),10.0>"),
            ("{1,-2.5,1e+30}", "{1.0,-2.5,1.0E30}"),
            ("[(0,0),(1,NaN)]", "[(0.0,0.0),(1.0,NaN)]"),
            ("", ""),
        ] {
            assert_eq!(java_text(text.as_bytes()).unwrap(), expected.as_bytes());
        }
        assert_eq!(java_text(b"(a,b)"), Err(Unconvertible));
    }
}
