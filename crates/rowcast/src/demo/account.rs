//! Chooses the operating system's user that a private PostgreSQL runs as, because PostgreSQL refuses to run as root.
//!
//! Promises: an ordinary user stays who they are; root becomes `postgres`, or `nobody` where that user is missing.
//! Knows nothing of servers.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use anyhow::{Context, bail};

/// Tried in this order. `postgres` is Debian's; `nobody` is on every Unix.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// Who the server runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The user that we are.
    Own,
    /// Another one, by number, since we are root.
    Other {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
    },
}

/// True when this process runs as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

impl Account {
    /// The account for a server started by this process.
    pub fn choose() -> anyhow::Result<Account> {
        if !is_root() {
            return Ok(Account::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd to find an unprivileged user")?;
        for name in UNPRIVILEGED_USERS {
            if let Some((uid, gid)) = numbers_of(&passwd, name) {
                return Ok(Account::Other { uid, gid });
            }
        }
        bail!(
            "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`; run as another user"
        )
    }

    /// Makes `command` run as this account (and drops root's supplementary groups with it).
    pub fn apply(self, command: &mut Command) {
        if let Account::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives one file or directory to this account.
    pub fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Account::Own => Ok(()),
            Account::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
        }
    }

    /// Fails, with the folder's name, when this account cannot pass through a folder above `path`.
    pub fn check_reach(self, path: &Path) -> anyhow::Result<()> {
        let Account::Other { uid, gid } = self else {
            return Ok(());
        };
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            let Ok(metadata) = fs::metadata(folder) else { continue };
            let passes = match () {
                () if metadata.uid() == uid => metadata.mode() & 0o100,
                () if metadata.gid() == gid => metadata.mode() & 0o010,
                () => metadata.mode() & 0o001,
            };
            if passes == 0 {
                bail!(
                    "PostgreSQL runs as user {uid} (it refuses root), who may not enter {}; choose a --data-dir elsewhere",
                    folder.display()
                );
            }
        }
        Ok(())
    }
}

/// User and group number of `name` in the text of `/etc/passwd`.
fn numbers_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:\npostgres:x:101:104:PostgreSQL,,,:/var/lib:/bin/bash\n";
        assert_eq!(numbers_of(passwd, "postgres"), Some((101, 104)));
        assert_eq!(numbers_of(passwd, "nobody"), None);
    }
}
