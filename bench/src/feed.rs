//! Where measured rows are put in: a table, or the standard input of a peer that has no database.
//!
//! Open loop: rows go out when they are due, whether or not the ones before have been answered, so that a system that stalls
//! cannot slow down the very load it is measured by (coordinated omission).

use std::{
    io::{BufWriter, Write as _},
    net::TcpStream,
    process::ChildStdin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    mark::{Mark, now_us},
    wire::{Connection, query_message},
};

/// Fills the change event of one row up to the 600 bytes of the issue's measurements.
const PRODUCT_NAME: &str = "Walnut desk organiser, 12 compartments, oiled, with cork feet and a lid";

/// Takes the rows of one transaction.
pub(crate) trait Feed {
    /// Sends them; returns before they are committed.
    fn send(&mut self, marks: &[Mark]) -> Result<()>;

    /// Waits until everything sent has been committed.
    fn finish(&mut self) -> Result<()>;
}

/// The statement that inserts the rows of one transaction.
pub(crate) fn insert_statement(marks: &[Mark]) -> String {
    let rows: Vec<String> = marks
        .iter()
        .map(|mark| format!("('{}','{PRODUCT_NAME}','pending')", mark.text()))
        .collect();
    format!(
        "INSERT INTO orders(customer_name,product_name,status) VALUES {}",
        rows.join(",")
    )
}

/// Inserts one row with this number, as of now.
pub(crate) fn insert_row(connection: &mut Connection, sequence: u64) -> Result<()> {
    let mark = Mark {
        sequence,
        sent_us: now_us(),
    };
    connection.query(&insert_statement(&[mark])).map(drop).context("a row")
}

/// Statements of one connection, pipelined: a thread reads the answers.
pub(crate) struct TableFeed {
    writer: TcpStream,
    sent: u64,
    answers: Option<JoinHandle<Result<()>>>,
    sent_in_all: Arc<AtomicU64>,
}

impl TableFeed {
    pub(crate) fn new(mut connection: Connection) -> Result<TableFeed> {
        let writer = connection.writer()?;
        let sent_in_all = Arc::new(AtomicU64::new(u64::MAX));
        let wanted = sent_in_all.clone();
        let answers = std::thread::Builder::new()
            .name("commit-answers".into())
            .spawn(move || {
                let mut answered = 0;
                while answered < wanted.load(Ordering::Acquire) {
                    connection.finish()?;
                    answered += 1;
                }
                Ok(())
            })?;
        Ok(TableFeed {
            writer,
            sent: 0,
            answers: Some(answers),
            sent_in_all,
        })
    }
}

impl Feed for TableFeed {
    fn send(&mut self, marks: &[Mark]) -> Result<()> {
        self.sent += 1;
        Ok(self.writer.write_all(&query_message(&insert_statement(marks)))?)
    }

    fn finish(&mut self) -> Result<()> {
        // One more statement than promised wakes the thread after it has learnt the number.
        self.sent_in_all.store(self.sent + 1, Ordering::Release);
        self.writer.write_all(&query_message("SELECT 1"))?;
        let answers = self.answers.take().ok_or_else(|| anyhow!("a feed is finished once"))?;
        answers
            .join()
            .map_err(|_| anyhow!("the thread that reads commit answers panicked"))?
    }
}

/// Ready-made messages, one a line.
pub(crate) struct LineFeed {
    input: BufWriter<ChildStdin>,
}

impl LineFeed {
    pub(crate) fn new(input: ChildStdin) -> LineFeed {
        LineFeed {
            input: BufWriter::new(input),
        }
    }
}

impl Feed for LineFeed {
    fn send(&mut self, marks: &[Mark]) -> Result<()> {
        for mark in marks {
            writeln!(self.input, "{}", event_like_debezium(mark))?;
        }
        Ok(self.input.flush()?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The text that Rowcast and Debezium (without schemas) send for the same row, so that every server moves equal bytes.
fn event_like_debezium(mark: &Mark) -> String {
    let (id, ms) = (mark.sequence, mark.sent_us / 1000);
    format!(
        r#"{{"before":null,"after":{{"id":{id},"customer_name":"{}","product_name":"{PRODUCT_NAME}","status":"pending","updated_at":{us}}},"source":{{"version":"3.6.1.Final","connector":"postgresql","name":"orders","ts_ms":{ms},"snapshot":"false","db":"orders_db","sequence":"[\"24023128\",\"24023128\"]","ts_us":{us},"ts_ns":{us}000,"schema":"public","table":"orders","txId":5500,"lsn":24023128,"xmin":null}},"transaction":null,"op":"c","ts_ms":{ms},"ts_us":{us},"ts_ns":{us}000}}"#,
        mark.text(),
        us = mark.sent_us,
    )
}

/// How much is put in, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) transactions_per_s: u32,
    pub(crate) rows_per_transaction: u32,
    pub(crate) duration: Duration,
}

/// What was really put in.
pub(crate) struct Fed {
    pub(crate) rows: u64,
    /// The longest that a transaction was sent after it was due: shows a feeder that could not keep up.
    pub(crate) late_max: Duration,
    /// From the first statement to the last commit.
    pub(crate) took: Duration,
}

impl Pace {
    /// Sends everything, waits for the last commit.
    pub(crate) fn run(&self, feed: &mut dyn Feed) -> Result<Fed> {
        let interval = Duration::from_secs(1) / self.transactions_per_s;
        let transactions = (self.duration.as_secs_f64() * f64::from(self.transactions_per_s)).round() as u32;
        let (started, mut late_max, mut next) = (Instant::now(), Duration::ZERO, 1);
        for number in 0..transactions {
            let due = started + interval * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            late_max = late_max.max(due.elapsed());
            let sent_us = now_us();
            let last = next + u64::from(self.rows_per_transaction);
            let marks: Vec<Mark> = (next..last).map(|sequence| Mark { sequence, sent_us }).collect();
            feed.send(&marks)?;
            next = last;
        }
        feed.finish()?;
        Ok(Fed {
            rows: next - 1,
            late_max,
            took: started.elapsed(),
        })
    }
}
