//! What COPY writes comes back as it was stored.

use proptest::prelude::*;
use rowcast_event::Cell;

use super::{CopyTextError, split_row};

fn split(line: &[u8]) -> Result<Vec<Option<Vec<u8>>>, CopyTextError> {
    let (mut scratch, mut cells) = (b"left from the row before".to_vec(), Vec::new());
    split_row(line, &mut scratch, &mut cells)?;
    Ok(cells.iter().map(owned).collect())
}

fn owned(cell: &Cell<'_>) -> Option<Vec<u8>> {
    match cell {
        Cell::Text(text) => Some(text.to_vec()),
        Cell::Null => None,
        Cell::Unchanged => panic!("COPY knows no unchanged values"),
    }
}

fn one(line: &[u8]) -> Vec<u8> {
    let mut cells = split(line).expect("well-formed");
    assert_eq!(cells.len(), 1);
    cells.remove(0).expect("not null")
}

/// As PostgreSQL's `CopyAttributeOutText` writes it.
fn escape(cell: &Option<Vec<u8>>) -> Vec<u8> {
    let Some(text) = cell else { return b"\\N".to_vec() };
    let mut out = Vec::new();
    for &byte in text {
        match byte {
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x0b => out.extend(b"\\v"),
            b'\\' => out.extend(b"\\\\"),
            _ => out.push(byte),
        }
    }
    out
}

#[test]
fn null_is_told_from_its_spelling() {
    let cells = split(b"\\N\t\\\\N\tN\t\t\\NN\n").expect("well-formed");
    assert_eq!(
        cells,
        [
            None,
            Some(b"\\N".to_vec()),
            Some(b"N".to_vec()),
            Some(vec![]),
            Some(b"NN".to_vec())
        ]
    );
}

#[test]
fn every_escape_that_copy_documents_is_undone() {
    let cases: [(&[u8], &[u8]); 14] = [
        (b"\\b\\f\\n\\r\\t\\v", b"\x08\x0c\n\r\t\x0b"),
        (b"a\\\\b", b"a\\b"),
        (b"\\101\\60\\7", b"A0\x07"),
        (b"\\1018", b"A8"),
        (b"\\777", b"\xff"),
        (b"\\8", b"8"),
        (b"\\x41\\x4a\\x4A", b"AJJ"),
        (b"\\x4g", b"\x04g"),
        (b"\\x414", b"A4"),
        (b"\\xg", b"xg"),
        (b"\\x", b"x"),
        (b"\\.", b"."),
        (b"\\\t", b"\t"),
        (b"\\q", b"q"),
    ];
    for (line, expected) in cases {
        assert_eq!(one(line), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn a_row_without_a_backslash_is_not_copied() {
    let line = b"1\tAda\t\n";
    let (mut scratch, mut cells) = (vec![], vec![]);
    split_row(line, &mut scratch, &mut cells).expect("well-formed");
    assert_eq!(cells, [Cell::Text(b"1"), Cell::Text(b"Ada"), Cell::Text(b"")]);
    let Cell::Text(name) = cells[1] else {
        unreachable!("compared above")
    };
    assert!(line.as_ptr_range().contains(&name.as_ptr()));
}

#[test]
fn an_empty_line_is_one_empty_text() {
    assert_eq!(one(b"\n"), b"");
    assert_eq!(one(b""), b"");
}

#[test]
fn a_lone_backslash_at_the_end_is_refused_with_its_place() {
    assert_eq!(split(b"a\tb\\\n"), Err(CopyTextError { position: 3 }));
    assert_eq!(split(b"\\\\\\"), Err(CopyTextError { position: 2 }));
}

proptest! {
    #[test]
    fn rows_come_back_as_copy_wrote_them(
        row in prop::collection::vec(
            prop::option::of(prop::collection::vec(prop_oneof![3 => prop::sample::select(b"\\Nntx019\t\n\r\x0b\x0c\x08".to_vec()), 1 => any::<u8>()], 0..12)),
            1..8,
        ),
    ) {
        let mut line = row.iter().map(escape).collect::<Vec<_>>().join(&b'\t');
        line.push(b'\n');
        prop_assert_eq!(split(&line), Ok(row));
    }

    #[test]
    fn any_bytes_are_a_row_or_an_error(line in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = split(&line);
    }
}
