//! Fetches nginx, the proxy of `docker-compose.yml`, from Debian's packages.
//!
//! Promises: a machine's own nginx is used if it has one; else the package is unpacked into a folder and never installed,
//! since an installed one would begin to serve port 80. Knows nothing of how it runs: `tests/src/topology` does.

use std::{fs, path::Path};

use anyhow::{Context, bail};

use crate::{
    machine,
    run::{self, command},
    tools_dir,
};

/// Where Debian keeps it, on the machine and in the package.
const PROGRAM: &str = "usr/sbin/nginx";

/// Makes the program be there.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let folder = tools_dir().join("nginx");
    if Path::new("/").join(PROGRAM).exists() || folder.join(PROGRAM).exists() {
        return Ok(());
    }
    eprintln!("==> fetch nginx (apt-get download)");
    let unfinished = tools_dir().join("nginx.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    let mut download = command("apt-get");
    download.args(["download", "--quiet", "nginx"]).current_dir(&unfinished);
    if run::quiet(&mut download).is_err() {
        machine::refresh_package_lists()?;
        run::quiet(&mut download).context("missing: nginx to stand before the gateways; please install it by hand")?;
    }
    let package = fs::read_dir(&unfinished)?.flatten().map(|entry| entry.path());
    let package = package
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download nginx left no package")?;
    run::quiet(command("dpkg-deb").arg("--extract").arg(&package).arg(&unfinished))?;
    if !unfinished.join(PROGRAM).exists() {
        bail!("the package nginx of this system has no /{PROGRAM}; please install nginx by hand");
    }
    // A library that is missing here is better named now than when the proxy is to start.
    run::quiet(command(unfinished.join(PROGRAM)).arg("-v")).context("nginx does not run on this machine")?;
    Ok(fs::rename(unfinished, folder)?)
}
