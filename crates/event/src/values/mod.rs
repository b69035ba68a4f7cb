//! The text of one value as PostgreSQL prints it, turned into the text of one value as Kafka Connect writes it.
//!
//! One file per family of types. Every function appends to a buffer and either succeeds or says [`Unconvertible`], in
//! which case the caller cuts off what was begun. None allocates on its usual path, none panics on any bytes.

pub(crate) mod array;
pub(crate) mod binary;
pub(crate) mod calendar;
pub(crate) mod decimal;
pub(crate) mod float;
pub(crate) mod geometry;
pub(crate) mod hstore;
pub(crate) mod integer;
pub(crate) mod interval;
pub(crate) mod temporal;
pub(crate) mod vector;

/// The text is not one of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unconvertible;

/// What became of a value that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fidelity {
    /// All of it arrived.
    Exact,
    /// Bytes that are not UTF-8 were replaced.
    Repaired,
}

/// What a converter says.
pub(crate) type Written = Result<Fidelity, Unconvertible>;
