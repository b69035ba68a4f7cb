//! Ten thousand browsers in one thread: the load generator, a process of its own.
//!
//! Connects, says so, counts every row that every client gets, and prints what it found as one JSON object a line. A
//! client's rows must come as 1, 2, 3, ... up to the number that the parent says on standard input: anything else is
//! counted as lost, repeated or out of order. Costs one `epoll_wait` per wake-up and one `read` per readable socket, so
//! that the server, not its measuring device, has the machine. Knows nothing of PostgreSQL or of which server it is.

use std::{
    io::{BufRead as _, Write as _},
    net::Ipv4Addr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use mio::{Events, Interest, Poll, Token, Waker};
use serde::{Deserialize, Serialize};

use crate::{
    client::{Client, Delivered, Tally},
    process,
    websocket::Endpoint,
};

/// Clients per source address: well under the 28,000 ephemeral ports of one address, TIME_WAIT of earlier runs included.
const CLIENTS_PER_ADDRESS: usize = 2_500;
/// One read takes at most this much: two thousand rows, enough that a saturated client needs one call.
const READ_BYTES: usize = 1024 * 1024;
/// The waker's token; clients are numbered from 0.
const WAKE: Token = Token(usize::MAX);

/// `rowcast-bench load`, started by the benchmark itself.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// How many clients.
    #[arg(long)]
    pub(crate) clients: usize,
    /// Give up when nothing has arrived for so many seconds.
    #[arg(long, default_value_t = 20)]
    pub(crate) patience_s: u64,
}

/// What the load generator says, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report {
    /// Every client has shaken hands.
    Connected,
    /// Every client has received at least one row that is not counted.
    Warm,
    /// Everything that was expected has come, or nothing has come for too long.
    Result(LoadResult),
}

/// The whole run, from the first counted row's statement to the last delivery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LoadResult {
    /// Counted rows delivered in order.
    pub(crate) deliveries: u64,
    /// Rows that a client should have had and never got.
    pub(crate) lost: u64,
    /// Rows that came a second time or before their turn.
    pub(crate) out_of_order: u64,
    /// Connections that the server closed.
    pub(crate) dropped: u64,
    /// Close codes, with how often each came.
    pub(crate) close_codes: Vec<(u16, u64)>,
    /// From the first statement to the last delivery.
    pub(crate) seconds: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// CPU seconds of the load generator since it was warm.
    pub(crate) cpu_s: f64,
    /// Mean payload bytes of a counted row.
    pub(crate) row_bytes: f64,
}

/// What the parent tells, a line each.
enum Order {
    /// Rows 1 to this are all that will be sent.
    Count(u64),
    Quit,
}

pub(crate) fn run(args: &LoadArgs) -> Result<()> {
    let mut poll = Poll::new()?;
    let (orders, inbox) = mpsc::channel();
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    // A second owner: a waker that goes away with its thread takes its last wake-up with it.
    let waker_of_orders = waker.clone();
    std::thread::Builder::new()
        .name("orders".into())
        .spawn(move || read_orders(&orders, &waker_of_orders))?;
    let mut clients = connect_all(args, &poll)?;
    say(&Report::Connected)?;
    let end = Generator::new(args, &mut clients).run(&mut poll, &inbox);
    drop(waker);
    end
}

fn read_orders(orders: &mpsc::Sender<Order>, waker: &Waker) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let order = line
            .strip_prefix("count ")
            .and_then(|n| n.parse().ok())
            .map_or(Order::Quit, Order::Count);
        let _ = orders.send(order);
        let _ = waker.wake();
    }
    let _ = orders.send(Order::Quit);
    let _ = waker.wake();
}

fn connect_all(args: &LoadArgs, poll: &Poll) -> Result<Vec<Client>> {
    (0..args.clients)
        .map(|number| {
            let host = 1 + number / CLIENTS_PER_ADDRESS;
            let host = u8::try_from(host)
                .ok()
                .filter(|host| *host < 255)
                .context("too many clients for 127.0.0.0/24")?;
            let connected = args
                .endpoint
                .connect(Ipv4Addr::new(127, 0, 0, host))
                .with_context(|| format!("client {} of {}", number + 1, args.clients))?;
            let mut client = Client::new(connected)?;
            poll.registry()
                .register(client.source(), Token(number), Interest::READABLE)?;
            Ok(client)
        })
        .collect()
}

fn say(report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// The event loop's state between two wake-ups.
struct Generator<'a> {
    clients: &'a mut [Client],
    patience: Duration,
    tally: Tally,
    buffer: Vec<u8>,
    warm: usize,
    said_warm: bool,
    cpu_at_warm_s: f64,
    expected: Option<u64>,
    last_progress: Instant,
}

impl<'a> Generator<'a> {
    fn new(args: &LoadArgs, clients: &'a mut [Client]) -> Generator<'a> {
        Generator {
            clients,
            patience: Duration::from_secs(args.patience_s),
            tally: Tally::new(),
            buffer: vec![0; READ_BYTES],
            warm: 0,
            said_warm: false,
            cpu_at_warm_s: 0.0,
            expected: None,
            last_progress: Instant::now(),
        }
    }

    /// Until told to quit. Orders first (they are rare and change what "done" means), then sockets.
    fn run(&mut self, poll: &mut Poll, inbox: &mpsc::Receiver<Order>) -> Result<()> {
        let mut events = Events::with_capacity(4096);
        for number in 0..self.clients.len() {
            self.readable(number)?;
        }
        loop {
            // Sleeps for good while nothing is expected: an idle measurement must not see a timer of ours.
            poll.poll(&mut events, self.expected.map(|_| Duration::from_millis(200)))?;
            for event in &events {
                match event.token() {
                    WAKE => {}
                    Token(number) => self.readable(number)?,
                }
            }
            while let Ok(order) = inbox.try_recv() {
                match order {
                    Order::Count(expected) => self.expect(expected),
                    Order::Quit => return Ok(()),
                }
            }
            self.report_if_due()?;
        }
    }

    fn expect(&mut self, expected: u64) {
        self.expected = Some(expected);
        self.last_progress = Instant::now();
    }

    fn readable(&mut self, number: usize) -> Result<()> {
        let client = &mut self.clients[number];
        let Delivered { warm, rows } = client.read(&mut self.buffer, &mut self.tally)?;
        self.warm += usize::from(warm);
        if rows > 0 {
            self.last_progress = Instant::now();
        }
        Ok(())
    }

    fn report_if_due(&mut self) -> Result<()> {
        if !self.said_warm && self.warm == self.clients.len() {
            self.said_warm = true;
            self.cpu_at_warm_s = process::cpu_seconds(std::process::id())?;
            say(&Report::Warm)?;
        }
        let Some(expected) = self.expected else { return Ok(()) };
        let wanted = expected * self.clients.len() as u64;
        if self.tally.latency_us.total() >= wanted || self.last_progress.elapsed() > self.patience {
            say(&Report::Result(self.result(wanted)?))?;
            self.expected = None;
        }
        Ok(())
    }

    fn result(&self, wanted: u64) -> Result<LoadResult> {
        let tally = &self.tally;
        if tally.first_sent_us > tally.last_received_us && tally.latency_us.total() > 0 {
            bail!("the clock went backwards during the run; run again");
        }
        let deliveries = tally.latency_us.total();
        Ok(LoadResult {
            deliveries,
            lost: wanted.saturating_sub(deliveries),
            out_of_order: tally.out_of_order,
            dropped: tally.dropped,
            close_codes: tally.close_codes.iter().map(|(code, count)| (*code, *count)).collect(),
            seconds: tally
                .last_received_us
                .saturating_sub(tally.first_sent_us.min(tally.last_received_us)) as f64
                / 1e6,
            p50_us: tally.latency_us.quantile(0.50),
            p90_us: tally.latency_us.quantile(0.90),
            p99_us: tally.latency_us.quantile(0.99),
            max_us: tally.latency_us.max(),
            cpu_s: process::cpu_seconds(std::process::id())? - self.cpu_at_warm_s,
            row_bytes: tally.message_bytes as f64 / deliveries.max(1) as f64,
        })
    }
}
