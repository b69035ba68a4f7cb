//! The demo: a private PostgreSQL with the shop's `orders` table, and a believable shop that keeps it moving.
//!
//! Knows nothing of capture, log or gateway: it makes a database to look at and says where it is. The tests use the
//! same launcher, so what the demo promises about PostgreSQL is what the tests run on.

pub mod account;
pub mod binaries;
pub mod server;
pub mod shop;
pub mod show;
pub mod start;
