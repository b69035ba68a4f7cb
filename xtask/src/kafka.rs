//! Fetches Apache Kafka, Kafka Connect and Debezium from Maven Central, and the client that reads topics beside ours from npm.
//!
//! Promises: one folder for tests, benchmarks and the demo, kept between runs and fetched again only when the list of jars
//! changed; a download that was cut short is never taken for a whole one. Knows nothing of how a broker runs:
//! `tests/src/kafka` does.

use std::fs;

use anyhow::Context;

use crate::{
    npm, root,
    run::{self, command},
    tools_dir,
};

/// Makes the jars and the reader's packages be there.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let dir = root().join("tests/kafka");
    npm::fetch("the topic reader's package", &dir)?;
    let list = dir.join("pom.xml");
    let wanted = fs::read(&list).with_context(|| format!("reading {}", list.display()))?;
    let folder = tools_dir().join("kafka");
    if fs::read(folder.join("pom.xml")).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    let unfinished = tools_dir().join("kafka.unfinished");
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished)?;
    let mut maven = command("mvn");
    maven.args(["--quiet", "--batch-mode", "package", "--file"]).arg(&list);
    maven.arg(format!("-Dfolder={}", unfinished.display()));
    run::loud("fetch Kafka and Debezium (mvn)", &mut maven)?;
    fs::write(unfinished.join("pom.xml"), wanted)?;
    remove(&folder)?;
    Ok(fs::rename(unfinished, folder)?)
}

fn remove(folder: &std::path::Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}
