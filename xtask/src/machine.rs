//! Prepares the machine: the programs that cargo does not bring, fetched by their own clients when they are missing.
//!
//! Promises: looks before it installs; installs only as root or by `sudo`; otherwise the error names the package. Knows
//! nothing of what is built or tested with them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::{
    kafka, nginx,
    run::{self, command},
    tools_dir,
};

/// Vite, which builds the pages, runs on Node 20.19 and newer.
const NODE_MAJOR_MIN: u32 = 20;
/// Kafka 4 runs on Java 17 and newer.
const JAVA_MAJOR_MIN: u32 = 17;

/// What a Debian package gives us, and how we see that it is there.
struct Need {
    why: &'static str,
    package: &'static str,
    is_there: fn() -> bool,
}

const COMPILER: Need = Need {
    why: "a C compiler for the cryptography library",
    package: "build-essential",
    is_there: || run::exists("cc"),
};
const PKG_CONFIG: Need = Need {
    why: "pkg-config to find the libraries of the Kafka client",
    package: "pkg-config",
    is_there: || run::exists("pkg-config"),
};
const OPENSSL: Need = Need {
    why: "OpenSSL's headers for TLS and SASL in the Kafka client (librdkafka)",
    package: "libssl-dev",
    is_there: || library_is_there("libssl"),
};
const ZLIB: Need = Need {
    why: "zlib's headers for gzip in the Kafka client (librdkafka)",
    package: "zlib1g-dev",
    is_there: || library_is_there("zlib"),
};
const MAKE: Need = Need {
    why: "make to build the Kafka client (librdkafka)",
    package: "make",
    is_there: || run::exists("make"),
};
const NODE: Need = Need {
    why: "Node.js to build the pages",
    package: "nodejs",
    is_there: || run::exists("node"),
};
const NPM: Need = Need {
    why: "npm to fetch what the pages are built with",
    package: "npm",
    is_there: || run::exists("npm"),
};
const PYTHON: Need = Need {
    why: "pip to fetch test tools",
    package: "python3-pip",
    is_there: || {
        command("python3")
            .args(["-m", "pip", "--version"])
            .output()
            .is_ok_and(|o| o.status.success())
    },
};
const POSTGRES: Need = Need {
    why: "a PostgreSQL server with test_decoding",
    package: "postgresql",
    is_there: postgres_is_there,
};
const POSTGIS: Need = Need {
    why: "PostGIS, whose types are compared with Debezium's",
    package: "postgresql-postgis",
    is_there: || postgres_has_extension("postgis"),
};
const CHROMIUM: Need = Need {
    why: "Chromium for the pages' tests",
    package: "chromium",
    is_there: || chromium().is_some(),
};
const JAVA: Need = Need {
    why: "Java to run Kafka and Debezium beside ours",
    package: "openjdk-17-jre-headless",
    is_there: || {
        command("java")
            .arg("-version")
            .output()
            .is_ok_and(|o| o.status.success())
    },
};

const MAVEN: Need = Need {
    why: "Maven to fetch Kafka's and Debezium's jars",
    package: "maven",
    is_there: || run::exists("mvn"),
};
const STRACE: Need = Need {
    why: "strace to hold back the disk of a running server",
    package: "strace",
    is_there: || run::exists("strace"),
};

/// What any build needs: a C compiler and what librdkafka is built with, Node, the pages' packages.
const BUILD: [Need; 7] = [COMPILER, PKG_CONFIG, OPENSSL, ZLIB, MAKE, NODE, NPM];
/// What a server to run beside ours needs.
const SERVERS: [Need; 3] = [POSTGRES, JAVA, MAVEN];

/// All that a build needs.
pub(crate) fn prepare_build() -> anyhow::Result<()> {
    install(&BUILD)?;
    check_node()
}

/// All that the benchmarks need.
pub(crate) fn prepare_bench() -> anyhow::Result<()> {
    prepare_build()?;
    prepare_servers()
}

/// All that the tests need.
pub(crate) fn prepare_tests() -> anyhow::Result<()> {
    prepare_build()?;
    install(&[PYTHON, CHROMIUM, STRACE])?;
    prepare_servers()?;
    install(&[POSTGIS])
}

/// PostgreSQL, Kafka and a proxy, to run beside ours.
pub(crate) fn prepare_servers() -> anyhow::Result<()> {
    install(&SERVERS)?;
    check_java()?;
    kafka::prepare()?;
    nginx::prepare()
}

/// The browser's program, by its name on the usual systems.
pub(crate) fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .map(|name| Path::new("/usr/bin").join(name))
        .find(|path| path.exists())
}

/// A Rust tool from PyPI (a `cargo install` of the same takes ten minutes): the path of its program.
pub(crate) fn rust_tool(name: &str) -> anyhow::Result<PathBuf> {
    let folder = tools_dir().join(name);
    let program = folder.join("bin").join(name);
    if !program.exists() {
        python_package(&folder, &format!("astral-dev-toolchain-{name}"))?;
    }
    Ok(program)
}

/// Fetches a package from PyPI into a folder of its own.
pub(crate) fn python_package(folder: &Path, package: &str) -> anyhow::Result<()> {
    install(&[PYTHON])?;
    fs::create_dir_all(folder)?;
    let mut pip = command("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--target",
    ]);
    run::loud(&format!("fetch {package}"), pip.arg(folder).arg(package))
}

/// Installs what is missing, all in one call; package lists are refreshed only when they do not know a package.
fn install(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let whys = missing
        .iter()
        .map(|need| format!("{} ({})", need.why, need.package))
        .collect::<Vec<_>>()
        .join(", ");
    if !run::exists("apt-get") {
        bail!("missing: {whys}; this is not a Debian-like system, so please install them by hand");
    }
    if !may_install()? {
        bail!("missing: {whys}; run: sudo apt-get install {}", packages.join(" "));
    }
    let mut words = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    words.extend(&packages);
    eprintln!("==> install {whys}");
    if run::quiet(&mut apt(&words)?).is_err() {
        refresh_package_lists()?;
        run::quiet(&mut apt(&words)?).with_context(|| format!("missing: {whys}"))?;
    }
    match missing.iter().find(|need| !(need.is_there)()) {
        Some(need) => bail!("{} was installed, and there is still no {}", need.package, need.why),
        None => Ok(()),
    }
}

/// Fetches the lists that `apt-get` finds packages by.
pub(crate) fn refresh_package_lists() -> anyhow::Result<()> {
    run::quiet(&mut apt(&["update", "--quiet"])?).map(drop)
}

fn may_install() -> anyhow::Result<bool> {
    let sudo = || command("sudo").args(["-n", "true"]).output();
    Ok(is_root()? || sudo().is_ok_and(|output| output.status.success()))
}

fn is_root() -> anyhow::Result<bool> {
    Ok(run::quiet(command("id").arg("-u"))?.trim() == "0")
}

/// `apt-get`, as root.
fn apt(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut apt = match is_root()? {
        true => command("apt-get"),
        false => command("sudo"),
    };
    if apt.get_program() == "sudo" {
        apt.args(["-n", "apt-get"]);
    }
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(apt)
}

fn library_is_there(name: &str) -> bool {
    command("pkg-config")
        .args(["--exists", name])
        .status()
        .is_ok_and(|status| status.success())
}

fn postgres_is_there() -> bool {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    debian
        .map(|entry| entry.path())
        .any(|dir| dir.join("bin/postgres").exists() && dir.join("lib/test_decoding.so").exists())
}

/// Whether Debian's newest server, which the tests run, has the extension.
fn postgres_has_extension(name: &str) -> bool {
    let majors = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let majors = majors.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    majors.max().is_some_and(|major| {
        let control = format!("/usr/share/postgresql/{major}/extension/{name}.control");
        Path::new(&control).exists()
    })
}

fn check_node() -> anyhow::Result<()> {
    let version = run::quiet(command("node").arg("--version"))?;
    match first_number(&version) {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => bail!(
            "node --version says {}; the pages need Node {NODE_MAJOR_MIN} or newer: https://nodejs.org",
            version.trim()
        ),
    }
}

fn check_java() -> anyhow::Result<()> {
    let output = command("java")
        .arg("-version")
        .output()
        .context("java could not be started")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match first_number(&said) {
        Some(major) if major >= JAVA_MAJOR_MIN => Ok(()),
        _ => bail!(
            "java -version says {}; Kafka needs Java {JAVA_MAJOR_MIN} or newer",
            said.lines().next().unwrap_or("nothing")
        ),
    }
}

fn first_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_the_first_number() {
        assert_eq!(first_number("v20.20.2\n"), Some(20));
        assert_eq!(first_number("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(first_number("none"), None);
    }
}
