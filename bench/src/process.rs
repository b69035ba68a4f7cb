//! Starts the programs under measurement, sees what they use, and leaves none behind.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::interrupt;

/// How long a program may take to leave after SIGTERM before it is killed (Rowcast drains within 10 s).
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// A child process that is stopped when this goes out of scope.
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts `command`, its output going to `output`, a file to show when something fails.
    pub(crate) fn start(name: &str, command: &mut Command, output: &Path) -> Result<Running> {
        let file = File::options().create(true).append(true).open(output)?;
        command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file));
        Running::start_piped(name, command)
    }

    /// Starts `command` with the pipes as the caller set them.
    pub(crate) fn start_piped(name: &str, command: &mut Command) -> Result<Running> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {name}: {program}"))?;
        interrupt::remember(child.id());
        Ok(Running {
            name: name.to_owned(),
            child,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error if the program has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(anyhow!("{} ended by itself: {status}", self.name)),
            None => Ok(()),
        }
    }

    /// Waits until it ends by itself; an error if it failed.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} failed: {status}", self.name);
        }
        Ok(())
    }

    /// SIGTERM, then SIGKILL if that is not heard.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let _ = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > STOP_TIME_MAX {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.terminate();
        interrupt::forget(self.child.id());
    }
}

/// Kernel ticks per second in `/proc/PID/stat`; fixed at 100 for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of all threads so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name, in brackets, may hold anything: fields are counted from the last bracket (proc(5): utime is field 14).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
}

/// The sum over `pid` and every process below it (PostgreSQL is a process per connection).
pub(crate) fn tree_cpu_seconds(pid: u32) -> Result<f64> {
    descendants(pid)?
        .into_iter()
        .map(|pid| Ok(cpu_seconds(pid).unwrap_or(0.0)))
        .sum()
}

fn descendants(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(family)
}

/// Resident memory now and at its highest, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) now_bytes: u64,
    pub(crate) peak_bytes: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(Memory {
        now_bytes: kib("VmRSS:") * 1024,
        peak_bytes: kib("VmHWM:") * 1024,
    })
}

/// Resident memory of a process and all below it.
pub(crate) fn tree_memory_bytes(pid: u32) -> Result<u64> {
    Ok(descendants(pid)?
        .into_iter()
        .filter_map(|pid| memory(pid).ok())
        .map(|memory| memory.now_bytes)
        .sum())
}

/// A port that was free a moment ago on 127.0.0.1.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The status of a GET over a connection of its own; `None` while nobody listens.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((
        status,
        answer
            .split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()),
    ))
}

/// Asks again every `pause` until `ready` says yes; an error after `limit` or when the program is gone.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    pause: Duration,
    program: &mut Running,
    mut ready: impl FnMut() -> bool,
) -> Result<()> {
    let started = Instant::now();
    while !ready() {
        program.check()?;
        if started.elapsed() > limit {
            bail!("{what}: nothing after {} s", limit.as_secs());
        }
        std::thread::sleep(pause);
    }
    Ok(())
}
