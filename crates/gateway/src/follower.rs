//! The task that follows a topic's log: builds the view, then publishes what comes.
//!
//! The only one that reads the log's end. It applies each record to the view first and publishes its frames after, so a
//! snapshot taken in between meets the tail exactly. Partitions take turns, a chunk each: no busy one keeps another waiting.

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::select_all;
use rowcast_log::{Freshness, LogError, Offset, Record, TopicPartition};
use rowcast_protocol::Op;
use tokio::sync::watch;

use crate::{
    encode::{FilledRow, Format, Progress},
    envelope::{Envelope, NotAChange},
    feed::Feed,
    frames::FramesBuilder,
    options::{FOLLOW_BYTES, SCAN_BYTES},
    placed::{Placed, PlacedChunk},
    reading::Reading,
    sequence::Sequence,
    shapes::Shapes,
    topic::{Readiness, Topic},
    truncates::Truncation,
    view::{Fills, View},
};

/// Follows the topic until it is deleted.
pub(crate) async fn follow(topic: Arc<Topic>) {
    let result = match Follower::new(topic.clone()) {
        Ok(follower) => follower.run().await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) | Err(LogError::UnknownPartition(_)) => tracing::info!(topic = %topic.name, "topic is gone"),
        Err(error) => tracing::error!(topic = %topic.name, %error, "topic cannot be read; it is not served any more"),
    }
    topic.end();
}

/// See the module.
struct Follower {
    topic: Arc<Topic>,
    sources: Vec<Source>,
    freshness: watch::Receiver<Freshness>,
    /// The last one, in a topic of several partitions.
    truncation: Option<Truncation>,
    /// By format.
    progress: [Progress; Format::ALL.len()],
    builders: [FramesBuilder; Format::ALL.len()],
}

/// One partition.
struct Source {
    partition: TopicPartition,
    end: watch::Receiver<Offset>,
    next: Offset,
    reading: Reading,
    shapes: Shapes,
}

impl Source {
    fn new(topic: &Topic, partition: TopicPartition) -> Result<Source, LogError> {
        let log = &topic.shared.log;
        Ok(Source {
            end: log.end(&partition)?,
            next: log.earliest(&partition)?,
            reading: Reading::new(log.clone(), partition.clone()),
            shapes: Shapes::default(),
            partition,
        })
    }

    fn has_more(&self) -> bool {
        *self.end.borrow() > self.next
    }

    /// What a record says; its shape and what is wrong with it are noted for those who come later.
    fn look<'a>(&mut self, topic: &Topic, placed: &Placed<'a>, heard: bool) -> Result<Envelope<'a>, NotAChange> {
        let change = self.reading.read(&placed.record, heard);
        match &change {
            Ok(change) => {
                if let Some(schema) = self.shapes.next(&topic.name, &placed.record, change) {
                    topic.shared.schemas.learn(&topic.name, placed.place, schema);
                }
            }
            Err(NotAChange::NotJson(seen)) => topic.note_unreadable(placed.spot(), *seen),
            Err(NotAChange::Message | NotAChange::Echo) => {}
        }
        change
    }
}

/// The feeds that somebody listens to, by format.
type Listened<'t> = [Option<&'t Arc<Feed>>; Format::ALL.len()];

impl Follower {
    fn new(topic: Arc<Topic>) -> Result<Follower, LogError> {
        topic.shared.schemas.unlearn(&topic.name);
        let sources = topic
            .partitions()
            .into_iter()
            .map(|partition| Source::new(&topic, partition));
        Ok(Follower {
            sources: sources.collect::<Result<_, _>>()?,
            freshness: topic.shared.log.freshness(&topic.name),
            topic,
            truncation: None,
            progress: Default::default(),
            builders: Default::default(),
        })
    }

    async fn run(mut self) -> Result<(), LogError> {
        if self.is_not_begun() {
            self.topic.readiness.send_replace(Readiness::NotBegun);
            if !self.wait().await? {
                return Ok(());
            }
        }
        loop {
            self = self.scan().await?;
            if self.freshness.borrow_and_update().complete {
                break;
            }
            if !self.wait().await? {
                return Ok(());
            }
        }
        self.open();
        loop {
            self.read_more()?;
            if self.sources.iter().any(Source::has_more) {
                // Sessions get their turn between chunks.
                tokio::task::yield_now().await;
            } else if !self.wait().await? {
                return Ok(());
            }
        }
    }

    /// Whether no transaction has ended here. Whoever copies a topic may find it empty and knows that it is.
    fn is_not_begun(&self) -> bool {
        let is_copy = self.freshness.has_changed().is_ok();
        !is_copy && self.sources.iter().all(|source| *source.end.borrow() == Offset(0))
    }

    /// Waits for news of any kind; false when the topic is gone.
    async fn wait(&mut self) -> Result<bool, LogError> {
        let ends = match &mut self.sources[..] {
            [only] => {
                let next = only.next;
                futures_util::future::Either::Left(async move { only.end.wait_for(|end| *end > next).await.is_ok() })
            }
            many => {
                let waits = many.iter_mut().map(|source| {
                    let next = source.next;
                    Box::pin(async move { source.end.wait_for(|end| *end > next).await.is_ok() })
                });
                let first = select_all(waits);
                futures_util::future::Either::Right(async move { first.await.0 })
            }
        };
        tokio::select! {
            biased;
            is_there = ends => return Ok(is_there),
            () = news(&mut self.freshness) => {}
            () = self.topic.grown.notified() => {}
        }
        self.tell_freshness();
        self.grow()?;
        Ok(true)
    }

    fn grow(&mut self) -> Result<(), LogError> {
        for partition in self.topic.partitions().into_iter().skip(self.sources.len()) {
            let mut source = Source::new(&self.topic, partition)?;
            source.next = Offset(0);
            self.sources.push(source);
        }
        self.topic.sequence.write().grow(self.sources.len());
        Ok(())
    }

    /// Builds the view from all that the log holds, off the runtime's threads.
    async fn scan(mut self) -> Result<Follower, LogError> {
        let scan = move || {
            while self.scan_more()? {}
            Ok(self)
        };
        let scanned = tokio::task::spawn_blocking(scan).await;
        scanned.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Applies what every partition has, up to where the first chunk ends; false when none has more. Of two records the
    /// one with the earlier time comes first: a key may have changed its partition when the topic was given more.
    fn scan_more(&mut self) -> Result<bool, LogError> {
        let topic = self.topic.clone();
        let is_alone = self.sources.len() == 1;
        let mut chunks = Vec::new();
        for (number, source) in self
            .sources
            .iter_mut()
            .enumerate()
            .filter(|(_, source)| source.has_more())
        {
            let chunk = match topic.shared.log.read(&source.partition, source.next, SCAN_BYTES) {
                // Retention was faster. Nobody has been shown anything yet.
                Err(LogError::OutOfRange { earliest, .. }) => {
                    source.next = Offset(earliest);
                    topic.shared.log.read(&source.partition, source.next, SCAN_BYTES)?
                }
                read => read?,
            };
            if !chunk.is_empty() {
                chunks.push((number, chunk));
            }
        }
        let mut heads: Vec<_> = chunks
            .iter()
            .map(|(number, chunk)| (*number, chunk.records().peekable(), chunk.next_offset()))
            .collect();
        let mut view = topic.view.lock();
        loop {
            let times = heads.iter_mut().enumerate().map(|(index, (_, records, _))| {
                let time = records
                    .peek()
                    .map_or(i64::MIN, |record: &Record<'_>| record.timestamp_ms);
                (time, index)
            });
            let Some((_, earliest)) = times.min() else {
                return Ok(false);
            };
            let (number, records, next) = &mut heads[earliest];
            let source = &mut self.sources[*number];
            let Some(record) = records.next() else {
                source.next = *next;
                return Ok(true);
            };
            source.next = Offset(record.offset.0 + 1);
            let placed = Placed {
                place: if is_alone { record.offset.0 } else { 0 },
                partition: *number as u32,
                record,
            };
            let change = source.look(&topic, &placed, false);
            self.apply(&mut view, &placed, change.as_ref().map_err(|not| *not))?;
        }
    }

    /// The view holds everything: whoever waits for it may begin.
    fn open(&mut self) {
        let topic = &self.topic;
        let sequence = Sequence::new(self.sources.iter().map(|source| source.next.0).collect());
        let place = sequence.end();
        *topic.sequence.write() = sequence;
        topic.view.lock().set_next_place(place);
        topic.published.store(place, Ordering::Release);
        topic.feeds().for_each(|feed| feed.skip_to(place));
        self.progress = [Progress::from(place); Format::ALL.len()];
        topic.readiness.send_replace(Readiness::Ready);
        topic.wake_all();
        self.tell_freshness();
    }

    /// Applies and publishes one chunk of each partition that has more.
    fn read_more(&mut self) -> Result<(), LogError> {
        for number in 0..self.sources.len() {
            if self.sources[number].has_more() {
                self.read_source(number)?;
            }
        }
        Ok(())
    }

    fn read_source(&mut self, number: usize) -> Result<(), LogError> {
        let topic = self.topic.clone();
        let source = &mut self.sources[number];
        let chunk = topic.shared.log.read(&source.partition, source.next, FOLLOW_BYTES)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let listened: Listened<'_> =
            Format::ALL.map(|format| topic.feeds[format as usize].get().filter(|feed| feed.has_members()));
        let heard = listened.iter().any(Option::is_some);
        if heard {
            topic.shared.schemas.catch_up();
        }
        let (first, mut offsets) = {
            let sequence = topic.sequence.read();
            (sequence.end(), sequence.ends().to_vec())
        };
        let chunk = PlacedChunk::new(chunk, number as u32, source.next.0, first, u64::MAX);
        let mut view = topic.view.lock();
        for placed in chunk.records() {
            let source = &mut self.sources[number];
            let change = source.look(&topic, &placed, heard);
            let change = change.as_ref().map_err(|not| *not);
            let fills = self.apply(&mut view, &placed, change)?;
            let row = change.ok().and_then(|change| change.after);
            let filled = fills.zip(row).map(|(fills, row)| topic.filled(row, &fills, false));
            offsets[number] = placed.record.offset.0 + 1;
            self.encode(&listened, &placed, &offsets, change, filled.as_ref());
        }
        self.sources[number].next = Offset(chunk.next_offset());
        topic.sequence.write().extend(number as u32, chunk.next_offset());
        view.set_next_place(chunk.next_place());
        drop(view);
        self.publish(&listened, first, chunk.next_place());
        topic.published.store(chunk.next_place(), Ordering::Release);
        Ok(())
    }

    /// Brings the view up to the record. Gives back where the values are that it left out, if it did.
    fn apply(
        &mut self,
        view: &mut View,
        placed: &Placed<'_>,
        change: Result<&Envelope<'_>, NotAChange>,
    ) -> Result<Option<Fills>, LogError> {
        if let Ok(change) = change
            && self.sources.len() > 1
        {
            let number = placed.partition as usize;
            let truncation = self.truncation.as_mut();
            if truncation.is_some_and(|truncation| truncation.took(number, change)) {
                let mut cut = self.topic.cuts.offsets.lock();
                cut.set(placed.partition, placed.record.offset.0 + 1);
                self.cut_after(placed);
                return Ok(None);
            }
            if change.op == Op::Truncate
                && let Some(truncation) = Truncation::of(change)
            {
                self.truncate(view, placed, truncation)?;
                return Ok(None);
            }
        }
        Ok(view.apply(placed, change))
    }

    /// Takes away what is older, in the other partitions too.
    fn truncate(&mut self, view: &mut View, placed: &Placed<'_>, mut truncation: Truncation) -> Result<(), LogError> {
        let mut cut = self.topic.cuts.offsets.lock();
        cut.set(placed.partition, placed.record.offset.0 + 1);
        for (number, source) in self.sources.iter().enumerate() {
            if number == placed.partition as usize {
                continue;
            }
            let read = cut.get(number as u32)..source.next.0;
            let newer = truncation.first_newer(&*self.topic.shared.log, &source.partition, read)?;
            if newer < source.next.0 {
                truncation.pass(number);
                self.cut_after(placed);
            }
            cut.set(number as u32, newer);
        }
        view.truncate(&cut);
        self.truncation = Some(truncation);
        Ok(())
    }

    /// What clients were told does not tell the table that the view holds from here on.
    fn cut_after(&self, placed: &Placed<'_>) {
        // As long as the view is being built, nobody was told anything.
        if self.topic.is_ready() {
            self.topic.cuts.cut(placed.place + 1);
        }
    }

    fn encode(
        &mut self,
        listened: &Listened<'_>,
        placed: &Placed<'_>,
        offsets: &[u64],
        change: Result<&Envelope<'_>, NotAChange>,
        filled: Option<&FilledRow>,
    ) {
        for (index, feed) in listened.iter().enumerate() {
            let progress = &mut self.progress[index];
            match feed {
                Some(feed) => {
                    let schemas = &self.topic.shared.schemas;
                    feed.voice.record(
                        placed,
                        offsets,
                        change,
                        filled,
                        schemas,
                        progress,
                        &mut self.builders[index],
                    );
                }
                // Whoever comes later is told the shape that holds then.
                None if change.is_ok() => *progress = Progress::from(placed.place + 1),
                None => {}
            }
        }
    }

    fn publish(&mut self, listened: &Listened<'_>, first: u64, next: u64) {
        for (index, feed) in listened.iter().enumerate() {
            match feed {
                Some(feed) => feed.publish(first, self.builders[index].take(), next),
                None => {
                    if let Some(feed) = self.topic.feeds[index].get() {
                        feed.skip_to(next);
                        feed.wake_all();
                    }
                }
            }
        }
    }

    /// Tells everyone, between two changes, that what they see has become old, or is new again.
    fn tell_freshness(&mut self) {
        let topic = self.topic.clone();
        let since_ms = self.freshness.borrow_and_update().stale_since_ms;
        if std::mem::replace(&mut *topic.stale_since_ms.lock(), since_ms) == since_ms {
            return;
        }
        let place = topic.published();
        for feed in topic.feeds().filter(|feed| feed.has_members()) {
            let frames = feed.voice.block(place, |voice, out| voice.freshness(since_ms, out));
            feed.publish(place, frames, place);
        }
    }
}

/// Waits for a word on freshness. A log that copies nothing has none to say, ever.
async fn news(freshness: &mut watch::Receiver<Freshness>) {
    if freshness.changed().await.is_err() {
        std::future::pending().await
    }
}
