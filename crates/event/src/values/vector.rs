//! pgvector's types: arrays of numbers, and for sparse ones the places that are not zero.

use super::{Fidelity, Unconvertible, Written, float, integer};
use crate::notation::Notation;

/// pgvector's `[1,2,3]` as an array of doubles, halfvec's as one of floats.
pub(crate) fn write_dense<N: Notation>(text: &[u8], single: bool, out: &mut Vec<u8>) -> Written {
    let [b'[', inner @ .., b']'] = text else {
        return Err(Unconvertible);
    };
    out.push(b'[');
    // pgvector has no vector without numbers; the filler of a required column is one.
    let numbers = (!inner.is_empty()).then(|| inner.split(|&byte| byte == b','));
    for (place, number) in numbers.into_iter().flatten().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        if single {
            float::write_float::<N>(number, out)?
        } else {
            float::write_double::<N>(number, out)?
        };
    }
    out.push(b']');
    Ok(Fidelity::Exact)
}

/// `{1:1,3:2}/5` as `{"dimensions":5,"vector":[[1,1.0],[3,2.0]]}`.
pub(crate) fn write_sparse<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    let slash = text.iter().rposition(|&byte| byte == b'/').ok_or(Unconvertible)?;
    let ([b'{', pairs @ .., b'}'], [_, dimensions @ ..]) = text.split_at(slash) else {
        return Err(Unconvertible);
    };
    out.extend_from_slice(b"{\"dimensions\":");
    write_int16(dimensions, out)?;
    out.extend_from_slice(b",\"vector\":[");
    for (place, pair) in pairs
        .split(|&byte| byte == b',')
        .filter(|pair| !pair.is_empty())
        .enumerate()
    {
        let colon = pair.iter().position(|&byte| byte == b':').ok_or(Unconvertible)?;
        out.extend_from_slice(if place == 0 { b"[" } else { b",[" });
        write_int16(&pair[..colon], out)?;
        out.push(b',');
        float::write_double::<N>(&pair[colon + 1..], out)?;
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
    Ok(Fidelity::Exact)
}

fn write_int16(text: &[u8], out: &mut Vec<u8>) -> Written {
    integer::write(text, i16::MIN.into(), i16::MAX.into(), out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::Json;

    fn sparse(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write_sparse::<Json>(text.as_bytes(), &mut out)
            .ok()
            .map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn sparse_vectors_name_the_places_that_are_not_zero() {
        assert_eq!(
            sparse("{1:1,3:2}/5").as_deref(),
            Some(r#"{"dimensions":5,"vector":[[1,1.0],[3,2.0]]}"#)
        );
        assert_eq!(sparse("{}/5").as_deref(), Some(r#"{"dimensions":5,"vector":[]}"#));
        for garbage in ["", "/", "{}", "{1}/5", "{1:x}/5", "{}/99999"] {
            assert_eq!(sparse(garbage), None, "{garbage}");
        }
    }
}
