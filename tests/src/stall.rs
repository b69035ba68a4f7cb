//! A disk that does not answer: chosen system calls of the running product, held back by `strace`.
//!
//! Promises: the product is the ordinary binary, and knows nothing of it; what was held back goes on when the [`Stall`]
//! ends, or never happens when it is killed. Knows nothing of what the calls do.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    PATIENCE,
    process::{Rowcast, signal},
};

/// The call by which the log puts bytes into its files; sockets use others.
pub const WRITE: &str = "pwrite64";
/// The call by which the log makes them durable.
pub const SYNC: &str = "fdatasync";
/// Longer than any test: held back until the stall ends.
pub const FOR_EVER: Duration = Duration::from_secs(3_600);

/// System calls that are being held back.
#[derive(Debug)]
pub struct Stall {
    strace: Child,
}

impl Stall {
    /// From now on each `call` of this process takes `each` longer.
    pub async fn begin(process_id: u32, call: &str, each: Duration) -> anyhow::Result<Stall> {
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-p", &process_id.to_string(), "-o", "/dev/null"])
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:delay_enter={}", each.as_micros())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut strace = strace
            .spawn()
            .context("strace could not be started; install it (Debian: apt-get install strace)")?;
        let mut said = BufReader::new(strace.stderr.take().context("its stderr was piped")?).lines();
        let attached = tokio::time::timeout(PATIENCE, said.next_line())
            .await
            .context("strace says nothing")??;
        match attached {
            Some(line) if line.contains("attached") => {}
            line => bail!("strace could not attach (may this user trace its processes?): {line:?}"),
        }
        // It goes on to name new threads, and must never wait for somebody who reads that.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Ok(Stall { strace })
    }

    /// Kills the process in the middle of what is held back, which then never happens.
    pub async fn kill(mut self, rowcast: &mut Rowcast) -> anyhow::Result<()> {
        rowcast.signal("KILL")?;
        // A traced process is not gone before its tracer is, and strace waits for one that will not come back.
        self.strace.kill().await?;
        rowcast.kill().await
    }

    /// Lets everything go on.
    pub async fn end(mut self) -> anyhow::Result<()> {
        // Killed, strace would leave the threads that it holds back stopped; asked, it lets go of them.
        signal(self.strace.id().context("strace runs")?, "TERM")?;
        tokio::time::timeout(PATIENCE, self.strace.wait())
            .await
            .context("strace does not end")??;
        Ok(())
    }
}
