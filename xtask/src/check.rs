//! `cargo xtask check`: what must hold before anyone reads a change.
//!
//! Promises: under two minutes on a warm machine; every stage runs even when one before it failed. Knows nothing of
//! tests: those are the other door.

use anyhow::bail;

use crate::{
    advisories, containers, direction, machine,
    run::{self, command},
    seeded, size,
    stages::Stages,
    web,
};

/// Runs every check and prints the table.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut stages = Stages::default();
    stages.run("machine", machine::prepare_build);
    stages.run("format (cargo fmt)", || quietly(&["fmt", "--all", "--check"]));
    stages.run("direction of crates", direction::check);
    // The binary embeds the pages, so lints see them, too.
    stages.run("pages", web::build);
    stages.run("lints (cargo clippy)", || {
        run::loud(
            "clippy",
            command("cargo").args([
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
        )
    });
    stages.run("docs (cargo doc)", || {
        let mut doc = command("cargo");
        doc.args(["doc", "--quiet", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings");
        run::loud("doc", &mut doc)
    });
    stages.run("licences, bans, sources (cargo deny)", || {
        deny(&["bans", "licenses", "sources"])
    });
    stages.run("known vulnerabilities (cargo deny)", || match advisories::prepare()? {
        Some(date) => {
            eprintln!("    advisory database of {date}");
            deny(&["advisories"])
        }
        None => {
            eprintln!("    note: skipped, there is no ../shared/advisory-db.bundle");
            Ok(())
        }
    });
    if web::has_script("check") {
        stages.run("types of the pages (npm run check)", || match web::script("check")? {
            (true, _) => Ok(()),
            (false, _) => bail!("npm run check failed"),
        });
    }
    stages.run("containers (dclint, hadolint)", containers::check);
    stages.run("seeded bugs apply", seeded::apply);
    stages.run("long files", || {
        size::long_files()?
            .iter()
            .for_each(|file| eprintln!("    note: {file}"));
        Ok(())
    });
    stages.print();
    if stages.succeeded() {
        Ok(())
    } else {
        bail!("check failed")
    }
}

fn quietly(arguments: &[&str]) -> anyhow::Result<()> {
    run::quiet(command("cargo").args(arguments)).map(drop)
}

fn deny(which: &[&str]) -> anyhow::Result<()> {
    // A build fetches only what its own system needs, and `--offline` wants every crate of the lock file.
    quietly(&["fetch", "--locked"])?;
    let mut deny = command(machine::rust_tool("cargo-deny")?);
    run::quiet(
        deny.args(["--offline", "--workspace", "check", "--hide-inclusion-graph"])
            .args(which),
    )
    .map(drop)
}
