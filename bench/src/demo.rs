//! The demo's PostgreSQL launcher, taken by path until the `rowcast` library builds as a dependency.
#![allow(dead_code, unreachable_pub, reason = "only a part of the launcher is needed here")]

#[path = "../../crates/rowcast/src/demo/account.rs"]
pub(crate) mod account;
#[path = "../../crates/rowcast/src/demo/binaries.rs"]
pub(crate) mod binaries;
#[path = "../../crates/rowcast/src/demo/server.rs"]
pub(crate) mod server;
