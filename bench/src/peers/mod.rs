//! The programs that stand beside us. Their sources and lock files lie in `bench/peers/`; what they need is installed
//! by their own package managers into the target directory, never into the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{bench::Bench, product::last_lines};

pub(crate) mod centrifuge;
pub(crate) mod node_ws;
pub(crate) mod recvlogical;
pub(crate) mod replaced_stack;

/// Where a peer's sources are.
pub(crate) fn source(bench: &Bench, name: &str) -> PathBuf {
    bench.root.join("bench/peers").join(name)
}

/// Where a peer is installed: beside the build's own output, so that `cargo clean` removes it.
fn cache(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("this program lies in target/<profile>/")?;
    let cache = target.join("bench-peers").join(name);
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// Runs an installer or a step of a script to its end; its output goes to a log.
pub(crate) fn run_to_end(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::File::options().create(true).append(true).open(log)?;
    let program = format!(
        "{} {:?}",
        command.get_program().display(),
        command.get_args().collect::<Vec<_>>()
    );
    let status = command
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("running {program}"))?;
    if !status.success() {
        bail!("{program}: {status}: {}", last_lines(log));
    }
    Ok(())
}
