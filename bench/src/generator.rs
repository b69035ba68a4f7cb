//! The conductor's handle on the load generator's process, and the course of one fan-out measurement.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench::Bench,
    feed::{Feed, Pace},
    load::{LoadResult, Report},
    mark::{Mark, now_us},
    process::{self, Running},
    results::{Figure, figure},
    websocket::Endpoint,
};

/// Ten thousand handshakes on two busy cores take some seconds.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(120);
/// Between two rows that only warm up: seldom enough that ten thousand clients can take one before the next.
const WARM_UP_PAUSE: Duration = Duration::from_millis(300);
/// Warm-up rows until we say that some client gets nothing at all.
const WARM_UP_ROWS_MAX: u32 = 100;
/// How long a saturated server may need for the backlog; the generator itself gives up earlier when nothing moves.
const RESULT_TIME_MAX: Duration = Duration::from_secs(600);

/// Clients that are connected and count.
pub(crate) struct Generator {
    running: Running,
    reports: mpsc::Receiver<Report>,
}

impl Generator {
    /// Starts the load generator; returns when every client has shaken hands.
    pub(crate) fn connect(bench: &Bench, endpoint: &Endpoint, clients: usize) -> Result<Generator> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("load")
            .args(["--address", &endpoint.address.to_string(), "--path", &endpoint.path]);
        command.args(["--clients", &clients.to_string()]);
        if let Some(subprotocol) = &endpoint.subprotocol {
            command.args(["--subprotocol", subprotocol]);
        }
        if let Some(hello) = &endpoint.hello {
            command.args(["--hello", hello]);
        }
        let errors = std::fs::File::options()
            .create(true)
            .append(true)
            .open(bench.folder().join("load.log"))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(errors));
        let mut running = Running::start_piped("load generator", &mut command)?;
        let output = running.child().stdout.take().context("its output was piped")?;
        let (sender, reports) = mpsc::channel();
        std::thread::Builder::new().name("load-reports".into()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    let _ = sender.send(report);
                }
            }
        })?;
        let generator = Generator { running, reports };
        match generator.report(CONNECT_TIME_MAX)? {
            Some(Report::Connected) => Ok(generator),
            Some(_) => bail!("the load generator is out of step"),
            None => bail!(
                "not all of {clients} clients connected within {} s",
                CONNECT_TIME_MAX.as_secs()
            ),
        }
    }

    fn report(&self, limit: Duration) -> Result<Option<Report>> {
        match self.reports.recv_timeout(limit) {
            Ok(report) => Ok(Some(report)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the load generator died; see load.log (--keep keeps it)"),
        }
    }

    /// Sends uncounted rows until every client has had one: only then is every client sure to be attached.
    fn warm_up(&self, feed: &mut dyn Feed) -> Result<()> {
        for _ in 0..WARM_UP_ROWS_MAX {
            feed.send(&[Mark {
                sequence: 0,
                sent_us: now_us(),
            }])?;
            if let Some(Report::Warm) = self.report(WARM_UP_PAUSE)? {
                return Ok(());
            }
        }
        bail!("some client got none of {WARM_UP_ROWS_MAX} rows")
    }

    /// Feeds at `pace`, then waits until every row has reached every client.
    fn measure(&mut self, feed: &mut dyn Feed, pace: &Pace) -> Result<(LoadResult, crate::feed::Fed)> {
        self.warm_up(feed)?;
        let fed = pace.run(feed)?;
        Ok((self.count(fed.rows)?, fed))
    }

    /// Waits until `rows` rows from before, and an uncounted one ahead of them, have reached every client.
    pub(crate) fn replay(&mut self, rows: u64) -> Result<LoadResult> {
        match self.report(RESULT_TIME_MAX)? {
            Some(Report::Warm) => self.count(rows),
            _ => bail!("some client got no row in {} s", RESULT_TIME_MAX.as_secs()),
        }
    }

    fn count(&mut self, rows: u64) -> Result<LoadResult> {
        let input = self.running.child().stdin.as_mut().context("its input was piped")?;
        writeln!(input, "count {rows}")?;
        match self.report(RESULT_TIME_MAX)? {
            Some(Report::Result(result)) => Ok(result),
            Some(_) => bail!("the load generator is out of step"),
            None => bail!("the load generator had no result after {} s", RESULT_TIME_MAX.as_secs()),
        }
    }

    /// Closes all connections.
    pub(crate) fn quit(mut self) -> Result<()> {
        drop(self.running.child().stdin.take());
        self.running.wait()
    }
}

/// What a fan-out measurement found, with what it cost.
pub(crate) struct FanOut {
    pub(crate) load: LoadResult,
    server_cpu_s: f64,
    server_peak_bytes: u64,
    late_max: Duration,
    fed_rows_per_s: f64,
}

/// Runs one fan-out: `clients` on `endpoint`, rows through `feed`, costs read from `server_pid`.
pub(crate) fn fan_out(
    bench: &Bench,
    endpoint: &Endpoint,
    clients: usize,
    pace: &Pace,
    feed: &mut dyn Feed,
    server_pid: u32,
) -> Result<FanOut> {
    let mut generator = Generator::connect(bench, endpoint, clients)?;
    let cpu_before_s = process::tree_cpu_seconds(server_pid)?;
    let (load, fed) = generator.measure(feed, pace)?;
    let found = FanOut {
        server_cpu_s: process::tree_cpu_seconds(server_pid)? - cpu_before_s,
        server_peak_bytes: process::memory(server_pid)?.peak_bytes,
        late_max: fed.late_max,
        fed_rows_per_s: fed.rows as f64 / fed.took.as_secs_f64(),
        load,
    };
    generator.quit()?;
    Ok(found)
}

impl FanOut {
    pub(crate) fn deliveries_per_s(&self) -> f64 {
        self.load.deliveries as f64 / self.load.seconds.max(1e-6)
    }

    /// Rows missed, repeated or out of order, and connections lost: all must be 0.
    pub(crate) fn failures(&self) -> f64 {
        (self.load.lost + self.load.out_of_order + self.load.dropped) as f64
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            figure("deliveries", self.deliveries_per_s(), "/s"),
            figure("p50", self.load.p50_us as f64 / 1e3, "ms"),
            figure("p99", self.load.p99_us as f64 / 1e3, "ms"),
            figure("max", self.load.max_us as f64 / 1e3, "ms"),
            figure("lost", self.load.lost as f64, "rows"),
            figure("out of order", self.load.out_of_order as f64, "rows"),
            figure("dropped", self.load.dropped as f64, "clients"),
            figure("a row", self.load.row_bytes, "bytes"),
            figure("server peak", self.server_peak_bytes as f64 / 1e6, "MB"),
            figure("server", self.server_cpu_s, "CPU s"),
            figure("load generator", self.load.cpu_s, "CPU s"),
            figure("over", self.load.seconds, "s"),
            figure("fed", self.fed_rows_per_s, "rows/s"),
            figure("fed late by at most", self.late_max.as_secs_f64() * 1e3, "ms"),
        ];
        for (code, count) in &self.load.close_codes {
            figures.push(figure(&format!("close code {code}"), *count as f64, "times"));
        }
        figures
    }
}
