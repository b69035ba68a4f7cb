//! A load that nobody tuned the product for: several writers, transactions of every size and ending, from one seed.
//!
//! Promises: writers go on over crashes of the server; every row says who wrote it and in which order. What was committed
//! is for [`crate::oracle`] to say: a writer whose connection broke cannot know.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::SinkExt;
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::Client;

use crate::{
    PATIENCE,
    client::Follower,
    oracle,
    postgres::{self, DATABASE, Postgres},
    random::Random,
};

/// The tables written to, all of one shape.
pub const TABLES: [&str; 2] = ["ledger", "journal"];
/// Rows of the middle-sized transaction.
const TRANSACTION_ROWS: i64 = 1_000;
/// Rows of one COPY. All of them have the same LSN in PostgreSQL's WAL, or nearly.
const COPY_ROWS: i64 = 10_000;
/// A writer's own range of keys.
const KEYS_PER_WRITER: i64 = 1_000_000_000;
/// How long a writer rests at most between two transactions: four writers then make some 400 transactions a second.
const REST_MAX: Duration = Duration::from_millis(20);
/// Before a writer tries again to reach a server that is down.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    /// Transactions that writers know to be committed.
    committed: watch::Sender<u64>,
    writers: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// Makes the tables, empty.
pub async fn create_tables(client: &Client) -> anyhow::Result<()> {
    for table in TABLES {
        let sql = format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, writer integer NOT NULL, seq bigint NOT NULL, note text)"
        );
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Both tables on this server, and an oracle that tells what was committed to them; how to ask it.
pub async fn watched_tables(postgres: &Postgres) -> anyhow::Result<Client> {
    let client = postgres.connect().await?;
    create_tables(&client).await?;
    oracle::create(&client).await?;
    Ok(client)
}

/// A client for each table at this address.
pub fn follow_tables(address: &str) -> [(&'static str, Follower); 2] {
    TABLES.map(|table| (table, Follower::start(address, table, true)))
}

/// The same, once all of them are live.
pub async fn follow_tables_live(address: &str) -> anyhow::Result<[(&'static str, Follower); 2]> {
    let followers = follow_tables(address);
    for (_, follower) in &followers {
        follower.live().await?;
    }
    Ok(followers)
}

/// Both tables as `table.include.list` has them.
pub fn include_list() -> String {
    TABLES.map(|table| format!("public.{table}")).join(",")
}

/// Inserts `rows` rows into each table, before anybody watches.
pub async fn fill(client: &Client, rows: i64) -> anyhow::Result<()> {
    for table in TABLES {
        let sql =
            format!("INSERT INTO {table} SELECT n, 0, n, 'filled ' || md5(n::text) FROM generate_series(1, {rows}) n");
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Inserts one row into each table, with a key that no writer uses: who sees it has seen all before it.
pub async fn write_marker(client: &Client, id: i64) -> anyhow::Result<()> {
    assert!(id < 0, "writers use positive keys");
    for table in TABLES {
        client
            .execute(&format!("INSERT INTO {table} VALUES ($1, -1, 0, 'marker')"), &[&id])
            .await?;
    }
    Ok(())
}

impl Load {
    /// Starts `writers` writers on the server at `port`.
    pub fn start(port: u16, writers: u32, random: &mut Random) -> Load {
        Self::start_after(port, writers, random, 0)
    }

    /// The same; each writer's keys begin after its `used`-th, for tables that another load has written to.
    pub fn start_after(port: u16, writers: u32, random: &mut Random, used: i64) -> Load {
        let (stop, stopped) = watch::channel(false);
        let committed = watch::Sender::new(0);
        let writer = |number| Writer {
            number,
            next: used,
            seq: 0,
            random: random.fork(),
            stopped: stopped.clone(),
            committed: committed.clone(),
        };
        let writers = (1..=writers)
            .map(writer)
            .map(|writer| tokio::spawn(writer.run(port)))
            .collect();
        Load {
            stop,
            committed,
            writers,
        }
    }

    /// Waits until `transactions` more were committed.
    pub async fn wrote(&self, transactions: u64) -> anyhow::Result<()> {
        let mut committed = self.committed.subscribe();
        let wanted = *committed.borrow() + transactions;
        let wait = tokio::time::timeout(PATIENCE, committed.wait_for(|committed| *committed >= wanted)).await;
        wait.context("the load does not get on")?
            .context("the load holds the sender")?;
        Ok(())
    }

    /// Lets each writer finish its transaction and tells how many were committed, as far as writers know.
    pub async fn stop(self) -> anyhow::Result<u64> {
        self.stop.send_replace(true);
        for writer in self.writers {
            writer.await??;
        }
        Ok(*self.committed.borrow())
    }
}

struct Writer {
    number: u32,
    /// Keys are never used twice, whatever became of the transaction.
    next: i64,
    seq: i64,
    random: Random,
    stopped: watch::Receiver<bool>,
    committed: watch::Sender<u64>,
}

impl Writer {
    /// Writes until stopped; connects again when the server went away.
    async fn run(mut self, port: u16) -> anyhow::Result<()> {
        while !*self.stopped.borrow() {
            if let Ok(client) = postgres::connect(port, DATABASE).await {
                self.write(client).await?;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        Ok(())
    }

    /// Writes on one connection, until stopped or until it breaks. An error that is not the connection's end is ours.
    async fn write(&mut self, mut client: Client) -> anyhow::Result<()> {
        while !*self.stopped.borrow() {
            match self.transaction(&mut client).await {
                Ok(()) => self.committed.send_modify(|committed| *committed += 1),
                Err(error) if is_end_of_connection(&error, &client) => break,
                Err(error) => return Err(error).context("the load's own SQL"),
            }
            tokio::time::sleep(self.random.pause(REST_MAX)).await;
        }
        Ok(())
    }

    async fn transaction(&mut self, client: &mut Client) -> anyhow::Result<()> {
        let table = TABLES[self.random.below(TABLES.len() as u64) as usize];
        match self.random.below(1000) {
            0..450 => self.insert(client, table).await,
            450..700 => {
                self.on_one(client, &format!("UPDATE {table} SET seq = $2, note = $3"))
                    .await
            }
            700..800 => {
                self.on_one(
                    client,
                    &format!("WITH i AS (SELECT $2::bigint, $3::text) DELETE FROM {table}"),
                )
                .await
            }
            800..840 => self.change_key(client, table).await,
            840..900 => self.both_tables(client).await,
            900..930 => self.rolled_back(client, table).await,
            930..970 => self.partly_rolled_back(client, table).await,
            970..980 => self.many(client, table).await,
            980..985 => self.delete_many(client, table).await,
            985..990 => self.copy(client, table).await,
            _ => self.empty(client).await,
        }
    }

    fn key(&mut self) -> i64 {
        self.next += 1;
        i64::from(self.number) * KEYS_PER_WRITER + self.next
    }

    fn seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// Text with what breaks naive code: quotes, backslashes, line ends, characters of two to four bytes, markup.
    fn note(&mut self) -> Option<String> {
        const PIECES: [&str; 8] = [
            "it's",
            "a \"b\"",
            "\\u0000 \\",
            "line\nbreak",
            "šđ",
            "語",
            "🦀",
            "<b>&amp;",
        ];
        let pieces = self.random.below(5);
        let mut piece = || PIECES[self.random.below(PIECES.len() as u64) as usize];
        (pieces > 0).then(|| (0..pieces).map(|_| piece()).collect::<Vec<_>>().join(" "))
    }

    async fn insert(&mut self, client: &impl tokio_postgres::GenericClient, table: &str) -> anyhow::Result<()> {
        let (id, writer, seq, note) = (self.key(), self.number as i32, self.seq(), self.note());
        client
            .execute(
                &format!("INSERT INTO {table} VALUES ($1, $2, $3, $4)"),
                &[&id, &writer, &seq, &note],
            )
            .await?;
        Ok(())
    }

    /// Updates or deletes one of the writer's own rows; none may be hit, then nothing happens.
    async fn on_one(&mut self, client: &impl tokio_postgres::GenericClient, sql: &str) -> anyhow::Result<()> {
        let (some, seq, note) = (self.some_key(), self.seq(), self.note());
        client
            .execute(&format!("{sql} WHERE id = $1"), &[&some, &seq, &note])
            .await?;
        Ok(())
    }

    /// A key that this writer has used, more often a recent one.
    fn some_key(&mut self) -> i64 {
        let reach = self.next.clamp(1, 200) as u64;
        i64::from(self.number) * KEYS_PER_WRITER + self.next - self.random.below(reach) as i64
    }

    async fn change_key(&mut self, client: &Client, table: &str) -> anyhow::Result<()> {
        let (old, new) = (self.some_key(), self.key());
        client
            .execute(&format!("UPDATE {table} SET id = $2 WHERE id = $1"), &[&old, &new])
            .await?;
        Ok(())
    }

    async fn both_tables(&mut self, client: &mut Client) -> anyhow::Result<()> {
        let transaction = client.transaction().await?;
        for table in TABLES {
            self.insert(&transaction, table).await?;
            self.on_one(&transaction, &format!("UPDATE {table} SET seq = $2, note = $3"))
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn rolled_back(&mut self, client: &mut Client, table: &str) -> anyhow::Result<()> {
        let transaction = client.transaction().await?;
        self.insert(&transaction, table).await?;
        Ok(transaction.rollback().await?)
    }

    async fn partly_rolled_back(&mut self, client: &mut Client, table: &str) -> anyhow::Result<()> {
        let mut transaction = client.transaction().await?;
        self.insert(&transaction, table).await?;
        let savepoint = transaction.transaction().await?;
        self.insert(&savepoint, table).await?;
        savepoint.rollback().await?;
        self.insert(&transaction, table).await?;
        Ok(transaction.commit().await?)
    }

    async fn many(&mut self, client: &Client, table: &str) -> anyhow::Result<()> {
        let (first, writer, seq) = (self.key(), self.number as i32, self.seq());
        self.next += TRANSACTION_ROWS;
        let sql = format!(
            "INSERT INTO {table} SELECT $1 + n, $2, $3, 'one of many' FROM generate_series(0, $4::bigint - 1) n"
        );
        client
            .execute(&sql, &[&first, &writer, &seq, &TRANSACTION_ROWS])
            .await?;
        Ok(())
    }

    async fn delete_many(&mut self, client: &Client, table: &str) -> anyhow::Result<()> {
        let last = self.some_key();
        let sql = format!("DELETE FROM {table} WHERE writer = $1 AND id BETWEEN $2 - $3::bigint AND $2");
        client
            .execute(&sql, &[&(self.number as i32), &last, &TRANSACTION_ROWS])
            .await?;
        Ok(())
    }

    async fn copy(&mut self, client: &Client, table: &str) -> anyhow::Result<()> {
        let (first, seq) = (self.key(), self.seq());
        self.next += COPY_ROWS;
        let line = |n: i64| format!("{}\t{}\t{seq}\tcopied\n", first + n, self.number);
        let text: String = (0..COPY_ROWS).map(line).collect();
        copy_in(client, table, text).await
    }

    /// A transaction that takes an id and changes nothing.
    async fn empty(&mut self, client: &Client) -> anyhow::Result<()> {
        client.execute("SELECT pg_current_xact_id()", &[]).await?;
        Ok(())
    }
}

/// One COPY of these lines.
pub async fn copy_in(client: &Client, table: &str, lines: String) -> anyhow::Result<()> {
    let mut sink = Box::pin(client.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?);
    sink.send(Bytes::from(lines)).await?;
    sink.as_mut().finish().await?;
    Ok(())
}

/// True for what a stopped, killed or starting server does to a connection.
fn is_end_of_connection(error: &anyhow::Error, client: &Client) -> bool {
    let sql_state = error
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(|error| error.code());
    // Class 57P: the operator stopped it.
    client.is_closed() || sql_state.is_none_or(|state| state.code().starts_with("57P"))
}
