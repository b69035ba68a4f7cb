//! What must hold for any value: no panic, always JSON, and the same value that went in.
//!
//! proptest prints the failing case and keeps its seed in `proptest-regressions/`.

mod tables;

use std::sync::LazyLock;

use proptest::prelude::*;
use rowcast_event::{
    BinaryMode, Cell, ColumnDescription, DecimalMode, EventOptions, HstoreMode, IntervalMode, NameAdjustment, OldRow,
    Operation, Table, TimeMode, ValueModes,
};
use serde_json::Value;
use tables::{column, delivered, description, encode, options, table, text};

/// A column of every type in `golden/type_oids.json`, every other one NOT NULL, in several sets of modes.
static ALL_TYPES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let oids: serde_json::Map<String, Value> =
        serde_json::from_str(include_str!("golden/type_oids.json")).expect("golden/type_oids.json is JSON");
    let describe = |(place, (name, oid)): (usize, (&String, &Value))| ColumnDescription {
        nullable: place % 2 == 0,
        ..column(name, oid.as_u64().expect("an oid") as u32, [-1, 3, 1][place % 3])
    };
    let columns: Vec<_> = oids.iter().enumerate().map(describe).collect();
    let table = |options| {
        let described = description("all", columns.clone(), &[0, 5, 18, 40]);
        Table::compile(described, &tables::catalog(), &options)
    };
    sets_of_modes().into_iter().map(table).collect()
});

fn sets_of_modes() -> Vec<EventOptions> {
    let mut strings = options();
    strings.modes = ValueModes {
        decimal: DecimalMode::String,
        time: TimeMode::IsoString,
        interval: IntervalMode::String,
        binary: BinaryMode::Hex,
        hstore: HstoreMode::Map,
        include_unknown: true,
        money_fraction_digits: 0,
    };
    strings.field_names = NameAdjustment::AvroUnicode;
    let mut numbers = options();
    numbers.modes.decimal = DecimalMode::Double;
    numbers.modes.time = TimeMode::Nanoseconds;
    numbers.modes.binary = BinaryMode::Base64UrlSafe;
    let mut schemas = options();
    schemas.modes.time = TimeMode::Connect;
    for converter in [&mut schemas.key_converter, &mut schemas.value_converter] {
        converter.schemas = true;
        converter.decimal_is_number = true;
        converter.null_is_default = false;
    }
    vec![options(), strings, numbers, schemas]
}

/// Bytes, and texts made of what values are made of.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[-+0-9.,:eE TZBC{}()\\[\\]\"\\\\NULainfty$x=>]{0,40}".prop_map(String::into_bytes),
        "-?[0-9]{1,7}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?([+-][0-9]{2}(:[0-9]{2}){0,2})?)?( BC)?"
            .prop_map(String::into_bytes),
        "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,7})?([+-][0-9]{2})?".prop_map(String::into_bytes),
        "-?[0-9]{1,60}(\\.[0-9]{0,20})?".prop_map(String::into_bytes),
        "\\{[{}a1,\"\\\\ ]{0,30}\\}".prop_map(String::into_bytes),
        "\"[a-z\"\\\\😀]{0,5}\"=>(\"[a-z]{0,3}\"|NULL)(, )?".prop_map(String::into_bytes),
        any::<String>().prop_map(String::into_bytes),
    ]
}

#[derive(Clone, Debug)]
enum OwnedCell {
    Null,
    Unchanged,
    Text(Vec<u8>),
}

fn any_row() -> impl Strategy<Value = Vec<OwnedCell>> {
    let cell = prop_oneof![
        1 => Just(OwnedCell::Null),
        1 => Just(OwnedCell::Unchanged),
        8 => any_text().prop_map(OwnedCell::Text),
    ];
    prop::collection::vec(cell, 0..80)
}

fn cells(row: &[OwnedCell]) -> Vec<Cell<'_>> {
    row.iter().map(OwnedCell::borrow).collect()
}

impl OwnedCell {
    fn borrow(&self) -> Cell<'_> {
        match self {
            OwnedCell::Null => Cell::Null,
            OwnedCell::Unchanged => Cell::Unchanged,
            OwnedCell::Text(text) => Cell::Text(text),
        }
    }
}

/// `a"b` as PostgreSQL quotes it in an array.
fn array_text(elements: &[Option<String>]) -> String {
    let quote = |element: &Option<String>| match element {
        None => "NULL".to_owned(),
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", elements.iter().map(quote).collect::<Vec<_>>().join(","))
}

/// The unscaled number of base64 two's complement bytes, by schoolbook arithmetic on decimal digits.
fn decimal_digits(base64: &str) -> String {
    let mut bits = 0_u32;
    let mut width = 0;
    let mut bytes = Vec::new();
    for character in base64.bytes().filter(|&byte| byte != b'=') {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bits = bits << 6 | alphabet.iter().position(|&letter| letter == character).expect("base64") as u32;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push((bits >> width) as u8);
            bits &= (1 << width) - 1;
        }
    }
    let redundant = bytes.len() > 1 && matches!((bytes[0], bytes[1] >> 7), (0, 0) | (0xff, 1));
    assert!(!redundant, "not the shortest form: {bytes:?}");
    let negative = bytes[0] & 0x80 != 0;
    let mut digits = vec![0_u32];
    let multiply_add = |digits: &mut Vec<u32>, factor: u32, addend: u32| {
        let mut carry = addend;
        for digit in digits.iter_mut() {
            let sum = *digit * factor + carry;
            *digit = sum % 10;
            carry = sum / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    };
    // A negative number is minus (its complement plus one).
    for byte in &bytes {
        multiply_add(&mut digits, 256, if negative { !*byte } else { *byte }.into());
    }
    if negative {
        multiply_add(&mut digits, 1, 1);
    }
    let text: String = digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + *digit as u8))
        .collect();
    let text = text.trim_start_matches('0');
    if text.is_empty() {
        "0".into()
    } else {
        format!("{}{text}", if negative { "-" } else { "" })
    }
}

/// Days since 1970 by counting years and months one by one.
fn days_by_counting(year: i64, month: u32, day: u32) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let year_days = |year: i64| if leap(year) { 366 } else { 365 };
    let years: i64 = if year >= 1970 {
        (1970..year).map(year_days).sum()
    } else {
        -(year..1970).map(year_days).sum::<i64>()
    };
    let months = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    years + months[..month as usize - 1].iter().sum::<i64>() + i64::from(day) - 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_cells_give_json(old in any_row(), new in any_row()) {
        let (old, new) = (cells(&old), cells(&new));
        for operation in [
            Operation::Read(&new),
            Operation::Insert(&new),
            Operation::Update { old: None, new: &new },
            Operation::Update { old: Some(OldRow::Key(&old)), new: &new },
            Operation::Update { old: Some(OldRow::Full(&old)), new: &new },
            Operation::Delete(OldRow::Full(&old)),
        ] {
            for record in ALL_TYPES.iter().flat_map(|table| encode(table, operation, i64::MIN)) {
                for part in [&record.key, &record.value].into_iter().flatten() {
                    prop_assert!(serde_json::from_str::<Value>(part).is_ok(), "{}", part);
                }
            }
        }
    }

    #[test]
    fn text_arrives_as_it_was_with_nothing_beyond_the_basic_plane(value in any::<String>()) {
        let found = delivered(column("c", 25, -1), text(&value));
        prop_assert_eq!(serde_json::from_str::<String>(&found).unwrap(), value);
        prop_assert!(found.bytes().all(|byte| byte < 0xf0));
    }

    #[test]
    fn decimals_are_the_number_they_were(digits in "[1-9][0-9]{0,119}", scale in 0_usize..20, negative: bool) {
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let value = format!("{}{whole}{}{fraction}", if negative { "-" } else { "" }, if scale > 0 { "." } else { "" });
        let found = delivered(column("c", 1700, ((200 << 16) | scale as i32) + 4), text(&value));
        let expected = format!("{}{}", if negative { "-" } else { "" }, digits.trim_start_matches('0'));
        prop_assert_eq!(decimal_digits(found.trim_matches('"')), expected);
    }

    #[test]
    fn timestamps_are_microseconds_since_1970(
        year in 1_i64..9999, month in 1_u32..=12, day in 1_u32..=28, seconds in 0_i64..86_400, micros in 0_i64..1_000_000,
    ) {
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let date = format!("{year:04}-{month:02}-{day:02}");
        let clock = format!("{hour:02}:{minute:02}:{second:02}.{micros:06}");
        let days = days_by_counting(year, month, day);
        let expected = (days * 86_400 + seconds) * 1_000_000 + micros;
        let moment = format!("{date} {clock}");
        prop_assert_eq!(delivered(column("c", 1114, -1), text(&moment)), expected.to_string());
        prop_assert_eq!(delivered(column("c", 1114, 3), text(&moment)), expected.div_euclid(1000).to_string());
        prop_assert_eq!(delivered(column("c", 1082, -1), text(&date)), days.to_string());
        let zoned = delivered(column("c", 1184, -1), text(&format!("{moment}+00")));
        prop_assert_eq!(zoned, format!("\"{date}T{clock}Z\""));
        let before_christ = format!("{moment} BC");
        let expected = (days_by_counting(1 - year, month, day) * 86_400 + seconds) * 1_000_000 + micros;
        prop_assert_eq!(delivered(column("c", 1114, -1), text(&before_christ)), expected.to_string());
    }

    #[test]
    fn a_zone_moves_the_clock_by_its_offset(
        day in 2_u32..28, seconds in 0_i64..86_400, hours in -15_i64..=15, minutes in 0_i64..60,
    ) {
        let sign = if hours < 0 { '-' } else { '+' };
        let offset = hours * 3600 + if hours < 0 { -minutes } else { minutes } * 60;
        let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let value = format!("2024-02-{day:02} {clock}{sign}{:02}:{minutes:02}", hours.abs());
        let utc = seconds - offset;
        let (day, utc) = (i64::from(day) + utc.div_euclid(86_400), utc.rem_euclid(86_400));
        let expected = format!("\"2024-02-{day:02}T{:02}:{:02}:{:02}Z\"", utc / 3600, utc / 60 % 60, utc % 60);
        prop_assert_eq!(delivered(column("c", 1184, 0), text(&value)), expected);
    }

    #[test]
    fn arrays_hold_the_elements_they_held(elements in prop::collection::vec(any::<Option<String>>(), 0..6)) {
        let found = delivered(column("c", 1009, -1), text(&array_text(&elements)));
        prop_assert_eq!(serde_json::from_str::<Vec<Option<String>>>(&found).unwrap(), elements);
    }

    #[test]
    fn floats_read_back_as_they_were(bits: u64) {
        let (double, single) = (f64::from_bits(bits), f32::from_bits(bits as u32));
        if double.is_finite() {
            let found = delivered(column("c", 701, -1), text(&format!("{double:e}")));
            prop_assert_eq!(found.parse::<f64>().unwrap().to_bits(), double.to_bits(), "{}", found);
            prop_assert!(found.contains('.') && !found.contains('+'), "{}", found);
        }
        if single.is_finite() {
            let found = delivered(column("c", 700, -1), text(&format!("{single:e}")));
            prop_assert_eq!(found.parse::<f32>().unwrap().to_bits(), single.to_bits(), "{}", found);
        }
    }

    #[test]
    fn any_default_expression_compiles(expression in any::<String>(), quoted in "'[^']{0,9}'(::[a-z]{1,5})?") {
        for expression in [expression, quoted] {
            for oid in [16, 23, 25, 701, 1082, 1114, 1184, 1186, 1700, 2950, 3802, tables::MOOD] {
                let column = ColumnDescription { default_expression: Some(expression.clone()), ..column("c", oid, -1) };
                let table = table("t", vec![column], &[]);
                prop_assert!(serde_json::from_str::<Value>(&table.schema_json()).is_ok());
            }
        }
    }
}
