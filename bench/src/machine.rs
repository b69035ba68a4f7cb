//! What a reader must know about the machine to judge the numbers.

use std::{fs, process::Command};

/// One fact a line: processor, memory, kernel, versions, what else was running.
pub(crate) fn facts(postgres: &str) -> Vec<String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut facts = vec![
        format!(
            "{cpus} cores of {}, {} of memory, {}",
            field("/proc/cpuinfo", "model name"),
            memory(),
            kernel()
        ),
        format!(
            "{postgres}; {}; client, server, load generator and PostgreSQL on the same cores",
            output("rustc", &["--version"])
        ),
    ];
    facts.push(format!("load average before the run: {}", load_average()));
    facts
}

/// Date and time in UTC, from `date`: the standard library has no calendar.
pub(crate) fn now() -> String {
    output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// The commit the binary was built from.
pub(crate) fn commit() -> String {
    output("git", &["describe", "--always", "--dirty"])
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_once(':'))
        .map_or(String::new(), |(_, value)| value.trim().to_owned())
}

fn memory() -> String {
    let kib: u64 = field("/proc/meminfo", "MemTotal")
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    format!("{} GiB", kib.div_ceil(1024 * 1024))
}

fn kernel() -> String {
    format!(
        "Linux {}",
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
    )
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
