//! The topics that are filled: where their records go, and which of them a partition holds already.

use std::sync::Arc;

use rowcast_event::{EncodedRecords, Lsn, Origin, Table, TransactionMark};
use rowcast_log::{Appender, LogError, Memory, NewRecord, Offset, TopicPartition, partition_of};

use super::Pipeline;
use crate::{
    held::Held,
    parts,
    state::{State, StateStore, last_mark},
    under_way::{Of, UnderWay},
};

/// One topic.
pub(super) struct Filled {
    /// In order.
    pub(super) partitions: Vec<TopicPartition>,
    /// What each of them holds.
    held: Vec<Held>,
}

/// What was appended, and whether the log took it.
pub(super) struct Appended {
    pub(super) records: u64,
    pub(super) bytes: usize,
    pub(super) outcome: Result<(), LogError>,
}

impl Filled {
    /// Whether the whole transaction is there.
    pub(super) fn holds(&self, commit_lsn: Lsn) -> bool {
        self.held.iter().all(|held| held.holds(commit_lsn))
    }

    /// Whether any of the encoded records is lacking.
    pub(super) fn wants_any(&self, encoded: &EncodedRecords, commit_lsn: Lsn, origin: &Origin) -> bool {
        let mut held = self.held.clone();
        let mut any = false;
        encoded.for_each(|record| {
            let partition = partition_of(record.key, held.len() as u32) as usize;
            any |= held[partition].wants(commit_lsn, origin);
        });
        any
    }

    /// Appends what was encoded, as far as the partitions lack it. `place` is its transaction's and its own.
    pub(super) fn append(
        &mut self,
        encoded: &EncodedRecords,
        (commit_lsn, origin): (Lsn, &Origin),
        now_ns: i64,
        appender: &mut dyn Appender,
        under_way: &mut UnderWay,
    ) -> Appended {
        let held = &mut self.held;
        let (mut records, mut bytes, mut outcome) = (0, 0, Ok(()));
        encoded.for_each(|record| {
            let partition = partition_of(record.key, held.len() as u32) as usize;
            if outcome.is_err() || !held[partition].wants(commit_lsn, origin) {
                return;
            }
            let (key, value) = (record.key, record.value);
            let new = NewRecord {
                timestamp_ms: now_ns / 1_000_000,
                key,
                value,
                headers: record.headers,
            };
            under_way.append(commit_lsn, Of::origin(origin));
            outcome = appender.append(&self.partitions[partition], new);
            records += 1;
            bytes += value.map_or(0, <[u8]>::len);
        });
        Appended {
            records,
            bytes,
            outcome,
        }
    }

    /// The source starts over from somewhere before this point.
    pub(super) fn rewind(&mut self) {
        self.held.iter_mut().for_each(Held::rewind);
    }
}

impl Pipeline {
    /// Records go to this topic from now on; it is made if it is missing.
    pub(super) async fn fill(&mut self, topic: &Arc<str>) -> Result<(), LogError> {
        let partitions = self.topics.open(topic).await?.all();
        let held = match self.filled.remove(topic) {
            Some(known) => known.held,
            None => {
                let mut held = Vec::with_capacity(partitions.len());
                for partition in &partitions {
                    held.push(self.find_held(partition)?);
                }
                held
            }
        };
        self.filled.insert(topic.clone(), Filled { partitions, held });
        Ok(())
    }

    /// What a partition holds from before this pipeline.
    fn find_held(&mut self, partition: &TopicPartition) -> Result<Held, LogError> {
        // What ends where the confirmed position is, begins to commit before it.
        let confirmed = Some(Lsn(self.beginning.confirmed.saturating_sub(1)));
        Ok(match self.memory {
            Memory::Position => {
                let committed = last_mark(&*self.log, partition)?.map(|mark| mark.commit_lsn);
                if committed.is_none() {
                    // A table that has no rows is shown as empty once its first transaction has ended, and not before.
                    self.appender.include(partition)?;
                }
                Held::up_to(committed)
            }
            Memory::Flush => {
                let mark = self.beginning.mark.map(TransactionMark::from);
                Held::up_to(confirmed.max(mark.map(|mark| mark.commit_lsn)))
            }
            Memory::Records => {
                let from = self.beginning.offsets.get(&*partition.topic);
                let from = from.and_then(|offsets| offsets.get(partition.partition as usize));
                let (parts, end) = parts::read(&*self.log, partition, Offset(from.copied().unwrap_or(0)))?;
                self.appender.expect_end(partition, end)?;
                Held::with_parts(confirmed, parts)
            }
        })
    }

    /// Removes what an unfinished first snapshot left on our own files, where a topic goes as a whole: nobody has seen it, and
    /// who has seen older things is told to begin anew.
    pub(crate) fn discard(&self, store: &StateStore) -> Result<(), LogError> {
        if self.memory != Memory::Position {
            return Ok(());
        }
        let topics = store.topics()?;
        topics.iter().try_for_each(|topic| self.log.empty_topic(&topic.name))
    }

    /// Whether a table's topic has records.
    pub(crate) fn holds_records(&self, table: &Table) -> Result<bool, LogError> {
        for partition in &self.filled[&table.topic].partitions {
            if *self.log.end(partition)?.borrow() > self.log.earliest(partition)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes what a table's topic has, as far as the log can, unless it had some of it before this connector began.
    pub(crate) fn empty_own(&self, table: &Table) -> Result<(), LogError> {
        match self.beginning.offsets.contains_key(&*table.topic) {
            true => Ok(()),
            false => self.log.empty_topic(&table.topic),
        }
    }

    /// After a snapshot: everything so far lies below these offsets.
    pub(crate) async fn note_ends(&mut self, state: &mut State) -> Result<(), LogError> {
        if self.memory != Memory::Records {
            return Ok(());
        }
        self.fill_beside().await?;
        for (topic, filled) in &self.filled {
            let mut ends = Vec::with_capacity(filled.partitions.len());
            for partition in &filled.partitions {
                ends.push(self.appender.next_offset(partition)?.0);
            }
            state.offsets.insert(topic.to_string(), ends);
        }
        self.beginning = state.clone();
        Ok(())
    }
}
