//! `cargo xtask test --seeded`: plants one known bug at a time and demands that a named test fails, because a test that
//! cannot fail proves nothing.
//!
//! Promises: works in a copy below `target/`, never in the tree; a bug that does not apply or does not compile is an error,
//! not a catch. By hand only: each bug takes a build. Knows nothing of the bugs: `tests/seeded/*.patch` holds them, each
//! with the sentence that says what it is and the test that must fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::{
    counts::Counts,
    root,
    run::{self, command},
    stages::Stages,
};

/// Before the arguments of `cargo test` and the test's name, in a patch's head.
const MUST_FAIL: &str = "Must fail: ";

/// A bug and the test that must see it.
struct Seed {
    patch: PathBuf,
    name: String,
    /// What `cargo test` needs to find it: the package and the kind of test.
    place: Vec<String>,
    test: String,
}

/// Plants every bug whose name contains `only`, and prints which test saw it.
pub(crate) fn seeded(only: &str) -> anyhow::Result<()> {
    let mut seeds = all()?;
    seeds.retain(|seed| seed.name.contains(only));
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    let copy = root().join("target/seeded/source");
    let mut stages = Stages::default();
    for seed in &seeds {
        stages.run(&format!("{} -> {}", seed.name, short(&seed.test)), || {
            refresh(&copy)?;
            seed.is_seen(&copy)
        });
    }
    refresh(&copy)?;
    stages.print();
    match stages.succeeded() {
        true => Ok(()),
        false => bail!("a seeded bug was not seen by its test"),
    }
}

/// Whether every bug can still be planted where the code is now.
pub(crate) fn apply() -> anyhow::Result<()> {
    for seed in all()? {
        let mut apply = Command::new("git");
        apply.args(["apply", "--check"]).arg(&seed.patch).current_dir(root());
        run::quiet(&mut apply).with_context(|| format!("{} does not apply", seed.patch.display()))?;
    }
    Ok(())
}

fn all() -> anyhow::Result<Vec<Seed>> {
    let folder = fs::read_dir(root().join("tests/seeded"))?;
    folder.map(|entry| Seed::read(entry?.path())).collect()
}

impl Seed {
    fn read(patch: PathBuf) -> anyhow::Result<Seed> {
        let text = fs::read_to_string(&patch)?;
        let words = text.lines().find_map(|line| line.strip_prefix(MUST_FAIL));
        let words = words.with_context(|| format!("{} does not say what must fail", patch.display()))?;
        let mut place: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let test = place.pop().context("the last word is the test")?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Seed {
            patch,
            name,
            place,
            test,
        })
    }

    /// `Ok` when the test fails with the bug planted.
    fn is_seen(&self, copy: &Path) -> anyhow::Result<()> {
        let mut apply = Command::new("git");
        apply
            .arg("apply")
            .arg(&self.patch)
            .current_dir(copy)
            .env("GIT_CEILING_DIRECTORIES", root().join("target/seeded"));
        run::quiet(&mut apply)?;
        // Promise tests start the binary beside them.
        run::quiet(cargo(copy).args(["build", "--quiet", "--package", "rowcast"]))?;
        run::quiet(cargo(copy).args(["test", "--quiet"]).args(&self.place).arg("--no-run"))?;
        let mut test = cargo(copy);
        test.arg("test").args(&self.place).args(["--", "--exact", &self.test]);
        let (succeeded, said) = run::heard(&mut test)?;
        match Counts::read(&said) {
            Counts { failed: 1, .. } if !succeeded => Ok(()),
            Counts { passed: 1, .. } => bail!("{} passed with the bug in place", self.test),
            counts => bail!("{} did not run: {counts}", self.test),
        }
    }
}

/// Cargo in the copy, with a target folder of its own.
fn cargo(copy: &Path) -> Command {
    let mut cargo = command("cargo");
    cargo
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", root().join("target/seeded/target"))
        .env("RUST_BACKTRACE", "0")
        .env_remove("ROWCAST_BIN");
    cargo
}

/// Makes the copy equal to the tree. Only files that differ are written, so that cargo builds only what they touch.
fn refresh(copy: &Path) -> anyhow::Result<()> {
    let listed = run::quiet(command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), copy.join(name));
        let Ok(bytes) = fs::read(&from) else {
            // Deleted in the tree, and still in its index.
            continue;
        };
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

/// The test's own name, without the modules around it.
fn short(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}
