//! The load of `fanout`: many clients on raw TCP that count frames and see how old each is.
//!
//! `fanout_clients ADDRESS CLIENTS FRAMES` subscribes each client, prints a line when all are live, and another when
//! each has its frames or ten seconds have passed without any.

use std::{
    cell::RefCell,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use memchr::memmem;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Semaphore};

const SUBSCRIBE: &[u8] = br#"{"type":"subscribe","topic":"orders.public.orders","snapshot":false}"#;

/// Ages in steps of 0.1 ms up to 20 s.
const BUCKETS: usize = 200_000;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

struct Seen {
    live: AtomicU64,
    changes: AtomicU64,
    lost: AtomicU64,
    ages: Vec<AtomicU64>,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let address = args.next().expect("an address");
    let clients: u64 = args.next().expect("clients").parse().expect("a number");
    let frames: u64 = args.next().expect("frames").parse().expect("a number");
    let seen = Arc::new(Seen {
        live: AtomicU64::new(0),
        changes: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        ages: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
    });
    let at_once = Arc::new(Semaphore::new(64));
    for _ in 0..clients {
        let place = at_once.clone().acquire_owned().await.expect("open");
        let (address, seen) = (address.clone(), seen.clone());
        tokio::spawn(async move {
            let stream = connect(&address).await;
            drop(place);
            if read(stream, &seen).await.is_err() {
                seen.lost.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    until(&seen.live, clients).await;
    println!("{} clients live", seen.live.load(Ordering::Relaxed));
    std::io::stdout().flush().expect("written");
    until(&seen.changes, clients * frames).await;
    report(&seen, clients * frames);
}

async fn connect(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowcast.v1\r\n\r\n"
    );
    let mut hello = request.into_bytes();
    // A mask of zeros leaves the payload as it is.
    hello.extend([0x81, 0x80 | SUBSCRIBE.len() as u8, 0, 0, 0, 0]);
    hello.extend(SUBSCRIBE);
    stream.write_all(&hello).await.expect("sent");
    stream
}

/// Counts frames for ever; what is left of one is kept for the next read.
async fn read(stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut rest: Vec<u8> = Vec::new();
    let mut in_head = true;
    loop {
        stream.readable().await?;
        BUFFER.with_borrow_mut(|buffer| {
            let count = match stream.try_read(buffer) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let joined;
            let mut bytes = &buffer[..count];
            if !rest.is_empty() {
                joined = [&rest[..], bytes].concat();
                bytes = &joined;
            }
            if in_head && let Some(end) = memmem::find(bytes, b"\r\n\r\n") {
                bytes = &bytes[end + 4..];
                in_head = false;
            }
            let left = if in_head { bytes } else { take_frames(bytes, seen) };
            rest = left.to_vec();
            Ok(())
        })?;
    }
}

fn take_frames<'a>(mut bytes: &'a [u8], seen: &Seen) -> &'a [u8] {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_micros() as u64;
    let mut changes = 0;
    loop {
        let (header, length) = match bytes {
            [_, 126, high, low, ..] => (4, usize::from(*high) << 8 | usize::from(*low)),
            [_, length @ 0..=125, ..] => (2, usize::from(*length)),
            [_, 127, ..] => panic!("frames are shorter here"),
            _ => break,
        };
        let Some(payload) = bytes.get(header..header + length) else {
            break;
        };
        if payload.starts_with(br#"{"type":"change""#) {
            changes += 1;
            see_age(payload, now, seen);
        } else if payload.starts_with(br#"{"type":"live""#) {
            seen.live.fetch_add(1, Ordering::Relaxed);
        }
        bytes = &bytes[header + length..];
    }
    seen.changes.fetch_add(changes, Ordering::Relaxed);
    bytes
}

fn see_age(payload: &[u8], now: u64, seen: &Seen) {
    let tail = &payload[payload.len().saturating_sub(160)..];
    let at = memmem::find(tail, b"\"ts_us\":").expect("a change says when") + 8;
    let digits = tail[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let committed = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let bucket = (now.saturating_sub(committed) / 100) as usize;
    seen.ages[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
}

async fn until(counter: &AtomicU64, target: u64) {
    let (mut before, mut quiet) = (0, 0);
    while counter.load(Ordering::Relaxed) < target && quiet < 100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = counter.load(Ordering::Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
}

fn report(seen: &Seen, expected: u64) {
    let ages: Vec<u64> = seen.ages.iter().map(|age| age.load(Ordering::Relaxed)).collect();
    let total: u64 = ages.iter().sum();
    let percentile = |share: f64| {
        let mut left = (total as f64 * share) as u64;
        let bucket = ages.iter().position(|count| match left.checked_sub(*count) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        bucket.unwrap_or(BUCKETS) as f64 / 10.0
    };
    println!(
        "{} of {expected} deliveries, {} clients lost; age p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        seen.changes.load(Ordering::Relaxed),
        seen.lost.load(Ordering::Relaxed),
        percentile(0.5),
        percentile(0.99),
        percentile(0.999_999),
    );
}
