//! A PostgreSQL for tests that are not written in Rust: prints where it is, as one JSON line, and stops when its standard
//! input ends, however the test came to its end.

use rowcast_tests::postgres::{DATABASE, PASSWORD, Postgres, USER, Version};

fn main() -> anyhow::Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let place =
        serde_json::json!({ "port": postgres.port(), "user": USER, "password": PASSWORD, "database": DATABASE });
    println!("{place}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
