//! Whatever a crash leaves on disk, the log opens to whole transactions, and no durable one is missing.
//!
//! Crash images are copies of a data directory, damaged as a kill, a torn write or a power cut would: random ones print
//! their seed. The child process that is killed is this test binary, run again.

#![allow(clippy::unwrap_used, reason = "in a test a refusal is a failure")]

mod faults;
mod image;
mod kill;
mod recovery;
