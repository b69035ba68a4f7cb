//! The proxy outside of its container: nginx with the deployment's own configuration.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::places::Places;

/// Folders that Debian's nginx would make below `/var`.
const TEMPORARY: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// The words of the image's own entry point, and what containers have by their file system: a place for the process's
/// number, and a log that somebody reads.
pub(crate) fn arguments(configuration: &Path, folder: &Path) -> Vec<String> {
    let (configuration, folder) = (configuration.display().to_string(), folder.display().to_string());
    let directives = format!("daemon off; pid {folder}/nginx.pid; error_log stderr notice;");
    ["-p", &folder, "-c", &configuration, "-e", "stderr", "-g", &directives]
        .map(str::to_owned)
        .into()
}

/// The configuration with the places of this machine. Nothing that it says is left out.
pub(crate) fn translate(places: &mut Places, own: &str, text: &str, folder: &Path) -> anyhow::Result<String> {
    let mut translated = String::new();
    for line in places.translate(own, text)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["listen", port] => {
                let port = port.trim_end_matches(';').parse().context("nginx listens on a port")?;
                translated += &format!("listen {};", places.address(own, port)?);
            }
            ["http", "{"] => {
                translated += "http {\naccess_log off;";
                for name in TEMPORARY {
                    translated += &format!("\n{name}_temp_path {}/{name};", folder.display());
                }
            }
            _ => translated += line,
        }
        translated.push('\n');
    }
    Ok(translated)
}

/// The program: the one that `cargo xtask prepare` fetched, or the machine's own.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nginx/usr/sbin");
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps it where only root's path leads.
    let folders = [fetched]
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(["/usr/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join("nginx"));
    let found = programs.find(|program| program.is_file());
    Ok(found
        .context("nginx is missing; fetch it: cargo xtask prepare")?
        .canonicalize()?)
}
