//! Puts the database of known vulnerabilities where `cargo deny` looks for it, without a network.
//!
//! Promises: made once from the bundle beside the repository; its age is printed, since an old one knows less. Knows
//! nothing of the advisories themselves.

use std::{fs, path::PathBuf};

use crate::{
    root,
    run::{self, command},
    tools_dir,
};

/// The folder that cargo-deny makes of `https://github.com/RustSec/advisory-db`: the name and a hash of the address.
const FOLDER: &str = "advisory-db-3157b0e258782691";

/// The date of the database, or `None` when there is no bundle to make it from.
pub(crate) fn prepare() -> anyhow::Result<Option<String>> {
    let database = tools_dir().join("advisory-dbs").join(FOLDER);
    if !database.join(".git/shallow").exists() {
        let Some(bundle) = bundle() else { return Ok(None) };
        if database.exists() {
            fs::remove_dir_all(&database)?;
        }
        fs::create_dir_all(tools_dir().join("advisory-dbs"))?;
        run::quiet(command("git").args(["clone", "--quiet"]).arg(&bundle).arg(&database))?;
        // The bundle holds one commit without its parents; git must be told, or it looks for them.
        let head = run::quiet(command("git").arg("-C").arg(&database).args(["rev-parse", "HEAD"]))?;
        fs::write(database.join(".git/shallow"), head)?;
    }
    let date =
        run::quiet(
            command("git")
                .arg("-C")
                .arg(&database)
                .args(["show", "--no-patch", "--format=%cs", "HEAD"]),
        )?;
    Ok(Some(date.trim().to_owned()))
}

fn bundle() -> Option<PathBuf> {
    let bundle = root().parent()?.join("shared/advisory-db.bundle");
    bundle.exists().then_some(bundle)
}
