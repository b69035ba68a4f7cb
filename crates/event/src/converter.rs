//! The one list of conversions: from the text of a PostgreSQL value to the text of a Connect value.
//!
//! A converter is named for what it delivers, with its settings as data, so that a mode (`time.precision.mode` and its
//! kin) is another choice in `types`, not another branch here. The work is done by the families in `values`.

use std::sync::Arc;

use crate::{
    BinaryMode, DecimalMode,
    mask::{self, Hasher},
    notation::Notation,
    values::{
        Written, array, binary, decimal, float, geometry, hstore, integer, interval,
        temporal::{self, DateReading, TimeForm},
        vector,
    },
};

/// How a column's text becomes its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Converter {
    Boolean,
    Int16,
    Int32,
    Int64,
    /// `oid`: 32 bits without sign, told in 64.
    UnsignedInt32,
    Float32,
    Float64,
    Decimal {
        scale: i32,
    },
    VariableScaleDecimal,
    DecimalDouble,
    DecimalText {
        /// Of the column, if it has one.
        scale: Option<i32>,
    },
    Money {
        mode: DecimalMode,
        /// None: as many as PostgreSQL has.
        fraction_digits: Option<u16>,
    },
    /// The text as it is: strings, and every type whose PostgreSQL text is what Debezium delivers.
    Text,
    Bytea(BinaryMode),
    /// The bytes of the text, for types that Debezium does not know.
    TextBytes(BinaryMode),
    /// The same for PostgreSQL's geometric types.
    GeometricText(BinaryMode),
    /// `bit(1)`.
    Bit,
    Bits,
    Date {
        iso: bool,
        reading: DateReading,
    },
    TimeOfDay(TimeForm),
    ZonedTime,
    Timestamp(TimeForm),
    ZonedTimestamp {
        fraction_digits: u8,
    },
    IntervalMicros,
    IntervalIso,
    Point,
    /// PostGIS `geometry` and `geography`.
    Ewkb,
    /// pgvector: `halfvec` in single precision, `vector` in double.
    Vector {
        single: bool,
    },
    SparseVector,
    HstoreJson,
    HstoreMap,
    Array {
        element: Box<Converter>,
        delimiter: u8,
        /// Whether arrays in arrays are told as one.
        flat: bool,
    },
    /// The hash of a text.
    Hashed(Arc<Hasher>),
    /// No more than so many characters of what another gives, or bytes if that is base64 of bytes.
    Cut {
        whole: Box<Converter>,
        max: usize,
    },
}

impl Converter {
    /// Appends the value. On an error `out` may hold a part of it, which the caller cuts off.
    #[inline]
    pub(crate) fn write<N: Notation>(&self, text: &[u8], out: &mut Vec<u8>) -> Written {
        match self {
            Converter::Text => Ok(N::string(text, out)),
            Converter::Int32 => integer::write(text, i32::MIN.into(), i32::MAX.into(), out),
            Converter::Int64 => integer::write(text, i64::MIN, i64::MAX, out),
            Converter::Int16 => integer::write(text, i16::MIN.into(), i16::MAX.into(), out),
            Converter::UnsignedInt32 => integer::write(text, 0, u32::MAX.into(), out),
            Converter::Boolean => integer::write_boolean(text, out),
            Converter::Float32 => float::write_float::<N>(text, out),
            Converter::Float64 => float::write_double::<N>(text, out),
            Converter::Decimal { scale } => decimal::write_decimal::<N>(text, *scale, out),
            Converter::VariableScaleDecimal => decimal::write_variable_scale(text, out),
            Converter::DecimalDouble => decimal::write_double::<N>(text, out),
            Converter::DecimalText { scale } => decimal::write_text::<N>(text, *scale, out),
            Converter::Money { mode, fraction_digits } => decimal::write_money::<N>(text, *mode, *fraction_digits, out),
            Converter::Bytea(mode) => binary::write_bytea(text, *mode, out),
            Converter::TextBytes(mode) => binary::write_text(text, *mode, out),
            Converter::GeometricText(mode) => binary::write_text(&geometry::java_text(text)?, *mode, out),
            Converter::Bit => binary::write_bit(text, out),
            Converter::Bits => binary::write_bits(text, out),
            Converter::Date { iso, reading } => temporal::write_date(text, *iso, *reading, out),
            Converter::TimeOfDay(form) => temporal::write_time(text, *form, out),
            Converter::ZonedTime => temporal::write_zoned_time(text, out),
            Converter::Timestamp(form) => temporal::write_timestamp(text, *form, out),
            Converter::ZonedTimestamp { fraction_digits } => {
                temporal::write_zoned_timestamp(text, *fraction_digits, out)
            }
            Converter::IntervalMicros => interval::write_micros(text, out),
            Converter::IntervalIso => interval::write_iso(text, out),
            Converter::Point => geometry::write_point::<N>(text, out),
            Converter::Ewkb => geometry::write_ewkb(text, out),
            Converter::Vector { single } => vector::write_dense::<N>(text, *single, out),
            Converter::SparseVector => vector::write_sparse::<N>(text, out),
            Converter::HstoreJson => hstore::write_json::<N>(text, out),
            Converter::HstoreMap => hstore::write_map::<N>(text, out),
            Converter::Array {
                element,
                delimiter,
                flat,
            } => array::write::<N>(text, element, *delimiter, *flat, out),
            Converter::Hashed(hasher) => hasher.write(text, out),
            Converter::Cut { whole, max } => {
                let start = out.len();
                let written = whole.write::<N>(text, out)?;
                whole.cut(*max, start, out);
                Ok(written)
            }
        }
    }

    /// Cuts what it has written at the end of `out`.
    pub(crate) fn cut(&self, max: usize, start: usize, out: &mut Vec<u8>) {
        match self.is_bytes() {
            true => mask::cut_base64(max, start, out),
            false => mask::cut_text(max, start, out),
        }
    }

    /// Bytes as Connect knows them, which JSON tells in base64.
    pub(crate) fn is_bytes(&self) -> bool {
        let (Converter::Bytea(mode) | Converter::TextBytes(mode) | Converter::GeometricText(mode)) = self else {
            return false;
        };
        *mode == BinaryMode::Bytes
    }
}
