//! A TRUNCATE is one record in one partition, and takes away what is older in all of them, whichever is read first.
#![allow(clippy::unwrap_used, reason = "in a test a refusal is a failure")]

mod stage;

use std::{collections::BTreeMap, net::SocketAddr};

use rowcast_log::{Appender, Log, NewRecord, TopicPartition, Visibility};
use rowcast_protocol::{Op, ResetReason, ServerMessage};
use stage::{Client, PATIENCE, Stage, TOPIC, Table, envelope, key, row, spread};

const PARTITIONS: u32 = 3;

/// Writes to the partition that is asked for, as of the LSN that is asked for.
struct Hand {
    appender: Box<dyn Appender>,
    written: u64,
}

impl Hand {
    fn new(log: &dyn Log) -> Hand {
        Hand {
            appender: spread(log, PARTITIONS),
            written: 0,
        }
    }

    /// Version and LSN of a row are one.
    fn row(&mut self, partition: u32, id: u64, lsn: u64) {
        self.write(partition, Some(id), &envelope('c', "null", &row(id, lsn)), lsn);
    }

    fn truncate(&mut self, partition: u32, lsn: u64) {
        self.write(partition, None, &envelope('t', "null", "null"), lsn);
    }

    /// Commits have the order of their LSNs.
    fn write(&mut self, partition: u32, id: Option<u64>, value: &str, lsn: u64) {
        let (start, rest) = value.split_once(r#""ts_us":"#).unwrap();
        let (_, rest) = rest.split_once(',').unwrap();
        self.append(partition, id, &format!(r#"{start}"ts_us":{lsn},{rest}"#), lsn);
    }

    /// As it is, but for the LSN.
    fn append(&mut self, partition: u32, id: Option<u64>, value: &str, lsn: u64) {
        self.written += 1;
        let value = value.replace(r#""lsn":1"#, &format!(r#""lsn":{lsn}"#));
        let key = id.map(key);
        let record = NewRecord {
            timestamp_ms: self.written as i64,
            key: key.as_deref().map(str::as_bytes),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        let partition = TopicPartition {
            topic: TOPIC.into(),
            partition,
        };
        self.appender.append(&partition, record).unwrap();
        self.appender.commit(&self.written.to_be_bytes()).unwrap();
        self.appender.flush(Visibility::Now).unwrap();
    }
}

/// A client that keeps the table, and whether it was told to begin anew.
struct Keeper {
    client: Client,
    table: Table,
    resets: usize,
}

impl Keeper {
    async fn come(address: SocketAddr, cursor: Option<String>) -> Keeper {
        let mut client = Client::connect(address, Some("rowcast.v1")).await;
        client.subscribe(|subscribe| subscribe.cursor = cursor).await;
        Keeper {
            client,
            table: Table::default(),
            resets: 0,
        }
    }

    async fn take(&mut self) {
        match self.client.next().await {
            ServerMessage::Reset(reset) => {
                assert_eq!(reset.reason, ResetReason::Truncated);
                self.resets += 1;
                self.table = Table::default();
            }
            ServerMessage::Change(change) if change.op == Op::Truncate => {
                self.table.cursor = Some(change.cursor);
                self.table.rows.clear();
            }
            other => self.table.take(other),
        }
    }

    /// Takes messages in until the table holds these versions of these rows.
    async fn holds(&mut self, rows: &[(u64, u64)]) {
        let wanted = BTreeMap::from_iter(rows.iter().copied());
        // The server's pings go on, whatever does not come.
        let come = async {
            while self.table.rows != wanted {
                self.take().await;
            }
        };
        tokio::time::timeout(PATIENCE, come)
            .await
            .expect("the table is never that one");
    }

    async fn live(&mut self) {
        while self.table.lives == 0 {
            self.take().await;
        }
    }
}

async fn stage() -> (Stage, Hand) {
    let stage = Stage::set().await;
    let hand = Hand::new(&*stage.log);
    (stage, hand)
}

#[tokio::test]
async fn what_was_written_after_it_and_read_before_it_stays() {
    let (stage, mut hand) = stage().await;
    for (partition, id) in [(0, 1), (1, 2), (2, 3)] {
        hand.row(partition, id, 10 + id);
    }
    let mut keeper = Keeper::come(stage.address, None).await;
    keeper.holds(&[(1, 11), (2, 12), (3, 13)]).await;
    keeper.live().await;
    let before = keeper.table.cursor.clone();
    hand.row(1, 4, 34);
    hand.row(2, 3, 33);
    keeper.holds(&[(1, 11), (2, 12), (3, 33), (4, 34)]).await;
    let after_newer = keeper.table.cursor.clone();
    hand.truncate(0, 20);
    keeper.holds(&[(3, 33), (4, 34)]).await;
    keeper.live().await;
    assert_eq!(keeper.resets, 1);

    // Who comes now, here or at a gateway that reads the topic anew; and who comes back with a cursor from before.
    let elsewhere = stage.another_gateway().await;
    for address in [stage.address, elsewhere] {
        let mut late = Keeper::come(address, None).await;
        late.holds(&[(3, 33), (4, 34)]).await;
        late.live().await;
        assert_eq!(late.resets, 0);
        for cursor in [&before, &after_newer] {
            let mut back = Keeper::come(address, cursor.clone()).await;
            back.holds(&[(3, 33), (4, 34)]).await;
            back.live().await;
            assert_eq!(back.resets, 1);
        }
    }
    // Who was told goes on.
    hand.row(0, 5, 45);
    keeper.holds(&[(3, 33), (4, 34), (5, 45)]).await;
    assert_eq!(keeper.resets, 1);
    let mut back = Keeper::come(elsewhere, keeper.table.cursor.clone()).await;
    hand.row(2, 6, 46);
    back.holds(&[(6, 46)]).await;
    assert_eq!(back.resets, 0);
}

#[tokio::test]
async fn what_was_written_before_it_and_read_after_it_is_gone() {
    let (stage, mut hand) = stage().await;
    hand.row(1, 1, 11);
    let mut keeper = Keeper::come(stage.address, None).await;
    keeper.holds(&[(1, 11)]).await;
    keeper.live().await;
    hand.truncate(0, 20);
    keeper.holds(&[]).await;
    assert_eq!(keeper.resets, 0, "nothing was read ahead of it: the change says all");
    let between = keeper.table.cursor.clone();
    hand.row(1, 2, 15);
    hand.row(2, 3, 33);
    keeper.holds(&[(3, 33)]).await;
    keeper.live().await;
    assert_eq!(keeper.resets, 1);
    let elsewhere = stage.another_gateway().await;
    for address in [stage.address, elsewhere] {
        let mut late = Keeper::come(address, None).await;
        late.holds(&[(3, 33)]).await;
        let mut back = Keeper::come(address, between.clone()).await;
        back.holds(&[(3, 33)]).await;
        back.live().await;
        assert_eq!(back.resets, 1);
    }
}

#[tokio::test]
async fn who_only_hears_changes_hears_all_of_them() {
    let (stage, mut hand) = stage().await;
    hand.row(1, 1, 11);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    while !matches!(client.next().await, ServerMessage::Live(_)) {}
    hand.row(2, 2, 32);
    hand.truncate(0, 20);
    hand.row(1, 3, 13);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        match client.next().await {
            ServerMessage::Change(change) => heard.push(change.op),
            other => panic!("{}", other.to_json()),
        }
    }
    heard.sort_by_key(|op| op.letter());
    assert_eq!(heard, [Op::Create, Op::Create, Op::Truncate]);
}

#[tokio::test]
async fn of_two_the_newer_counts_and_a_restored_server_counts_anew() {
    let (stage, mut hand) = stage().await;
    hand.row(1, 1, 11);
    hand.row(2, 2, 35);
    hand.truncate(0, 30);
    // Another producer may put each in another partition.
    hand.truncate(1, 20);
    hand.row(1, 3, 25);
    hand.row(0, 4, 40);
    for address in [stage.address, stage.another_gateway().await] {
        Keeper::come(address, None).await.holds(&[(2, 35), (4, 40)]).await;
    }
    // Committed later than everything, at an LSN that was there before.
    hand.append(1, Some(9), &envelope('c', "null", &row(9, 50)), 12);
    for address in [stage.address, stage.another_gateway().await] {
        let mut keeper = Keeper::come(address, None).await;
        keeper.holds(&[(2, 35), (4, 40), (9, 50)]).await;
    }
}
