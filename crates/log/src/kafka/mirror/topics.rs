//! What is copied at this moment, brought to what the cluster has: topics come, go, grow, and are made again.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{Local, choice::names_topics, follow::follow};
use crate::{
    Freshness, Log, LogError, Offset, TopicInfo, TopicPartition,
    kafka::{
        admin::{Cluster, Reach},
        client::Link,
    },
};

/// A topic that is being copied.
pub(super) struct Followed {
    pub(super) info: TopicInfo,
    pub(super) partitions: Vec<Rc<Part>>,
    freshness: watch::Sender<Freshness>,
}

/// A partition that is being copied.
pub(super) struct Part {
    pub(super) id: TopicPartition,
    /// Its records say which topics there are.
    pub(super) names_topics: bool,
    /// Where the copy ends.
    pub(super) next: Cell<u64>,
    /// Everything that there was has been copied, as far as the broker's last answer tells.
    pub(super) at_end: Cell<bool>,
    /// It has been at its end once.
    pub(super) complete: Cell<bool>,
    /// The consumer for those that are behind reads it.
    pub(super) catches_up: Cell<bool>,
    /// The broker has no record at the offset that we asked for.
    pub(super) lost: Cell<bool>,
    reach: Cell<Reach>,
    pub(super) task: RefCell<Option<JoinHandle<()>>>,
}

/// What a look found.
type Seen = Vec<(TopicInfo, Vec<Reach>)>;

impl Local {
    /// Asks what there is, and copies that.
    pub(super) async fn look_once(self: Rc<Self>) {
        // Nothing of ours but what is asked: a question may outlive the copies.
        let (cluster, names) = (Arc::clone(&self.cluster), Arc::clone(&self.shared.names));
        let is_met = self.is_met.get();
        let asked = tokio::task::spawn_blocking(move || {
            let cluster_id = if is_met { None } else { Some(cluster.id()?) };
            let exact = names.lock().exact();
            let mut chosen = exact.map_or_else(|| cluster.names(), Ok)?;
            chosen.retain(|name| names.lock().chooses(name));
            let seen = ask(&cluster, &chosen.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok((cluster_id, seen))
        });
        let seen = asked.await.unwrap_or_else(|e| Err(LogError::Away(e.to_string())));
        let seen = seen.and_then(|(cluster_id, seen)| self.meet(cluster_id).map(|()| seen));
        let seen = seen.inspect(|_| self.link.is_up());
        let applied = match seen {
            Ok(seen) => self.apply(seen).await,
            Err(e) => Err(e),
        };
        self.retry.set(applied.is_err());
        let denied = match &applied {
            Err(LogError::Denied(why)) => Some(why.clone()),
            _ => None,
        };
        if std::mem::replace(&mut *self.shared.denied.lock(), denied.clone()) != denied
            && let Some(why) = denied
        {
            tracing::warn!("{why}");
        }
        match applied {
            Ok(()) | Err(LogError::Denied(_)) => {}
            Err(LogError::Away(why)) => {
                tracing::debug!(why, "Kafka's topics cannot be looked at");
                self.link.is_down();
            }
            // A topic went between two questions.
            Err(LogError::UnknownPartition(_)) => {}
            Err(e) => self.fail(&e),
        }
        self.shared.looks.send_modify(|looks| *looks += 1);
    }

    /// The first answer tells whether this is the cluster whose topics were copied before.
    fn meet(&self, cluster_id: Option<String>) -> Result<(), LogError> {
        if let Some(id) = cluster_id {
            self.shared.copies.confirm_origin(&id)?;
            self.is_met.set(true);
        }
        Ok(())
    }

    async fn apply(self: &Rc<Self>, seen: Seen) -> Result<(), LogError> {
        let has: BTreeMap<&str, &TopicInfo> = seen.iter().map(|(info, _)| (&*info.name, info)).collect();
        for copy in self.shared.copies.topics() {
            if !has.contains_key(&*copy.name) {
                tell_gone(&copy.name);
                self.forget(&copy.name).await?;
            }
        }
        for (info, reach) in &seen {
            self.bring(info, reach).await?;
        }
        Ok(())
    }

    /// Brings one topic's copy to what there is.
    async fn bring(self: &Rc<Self>, info: &TopicInfo, reach: &[Reach]) -> Result<(), LogError> {
        let copies = &self.shared.copies;
        if copies.topic(&info.name).is_some_and(|copy| copy.epoch != info.epoch) {
            tracing::info!(
                topic = &*info.name,
                "the topic was deleted and made again; its copy begins anew"
            );
            self.forget(&info.name).await?;
        }
        if self.has_holes(info, reach)? {
            tracing::warn!(
                topic = &*info.name,
                "Kafka no longer holds what follows the copy's end, or never did; the copy begins anew"
            );
            self.forget(&info.name).await?;
        }
        let starts: Vec<Offset> = reach.iter().map(|reach| reach.earliest).collect();
        let copy = copies.copy_topic(&info.name, info.epoch, &starts)?;
        let is_met = self.topics.borrow().contains_key(&info.name);
        if !is_met && self.shared.names.lock().is_named(&info.name) {
            copies.note_named(&copy)?;
        }
        for (id, reach) in copy.all().iter().zip(reach) {
            copies.forget_below(id, reach.earliest)?;
        }
        self.follow_all(copy, reach)
    }

    /// True when a partition cannot go on where its copy ends.
    fn has_holes(&self, info: &TopicInfo, reach: &[Reach]) -> Result<bool, LogError> {
        let Some(copy) = self.shared.copies.topic(&info.name) else {
            return Ok(false);
        };
        let topics = self.topics.borrow();
        let followed = topics.get(&info.name);
        for ((place, id), reach) in copy.all().iter().enumerate().zip(reach) {
            let part = followed.and_then(|topic| topic.partitions.get(place));
            if part.is_some_and(|part| !part.lost.get()) {
                // It is being read: what it has read to the end of may go.
                continue;
            }
            let next = self.copier.borrow_mut().next_offset(id)?;
            if next < reach.earliest || next > reach.end {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Follows the partitions that are not followed yet, or whose place the broker did not know.
    fn follow_all(self: &Rc<Self>, copy: TopicInfo, reach: &[Reach]) -> Result<(), LogError> {
        let all = copy.all();
        let mut topics = self.topics.borrow_mut();
        let followed = topics.entry(Arc::clone(&copy.name)).or_insert_with(|| Followed {
            info: copy.clone(),
            partitions: Vec::new(),
            freshness: self.shared.freshness_of(&copy.name),
        });
        followed.info = copy;
        for (place, (id, reach)) in all.iter().zip(reach).enumerate() {
            match followed.partitions.get(place).cloned() {
                Some(part) => {
                    part.reach.set(*reach);
                    if part.lost.replace(false) {
                        self.unassign(&part);
                        self.assign(&part)?;
                    }
                }
                None => {
                    let next = self.copier.borrow_mut().next_offset(id)?;
                    let part = Rc::new(Part {
                        id: id.clone(),
                        names_topics: names_topics(&id.topic),
                        next: Cell::new(next.0),
                        at_end: Cell::new(false),
                        complete: Cell::new(false),
                        catches_up: Cell::new(false),
                        lost: Cell::new(false),
                        reach: Cell::new(*reach),
                        task: RefCell::new(None),
                    });
                    if next >= reach.end {
                        self.is_complete(&part)?;
                    }
                    self.assign(&part)?;
                    followed.partitions.push(part);
                }
            }
        }
        followed.tell(*self.link.down_since_ms().borrow());
        Ok(())
    }

    fn assign(self: &Rc<Self>, part: &Rc<Part>) -> Result<(), LogError> {
        part.catches_up.set(part.next.get() < part.reach.get().end.0);
        let failed = |why: String| LogError::Away(format!("{} cannot be read ({why})", part.id));
        let consumer = self.consumer_of(part);
        // Before it is assigned, so that all its records come by its own queue.
        let queue = consumer.split_partition_queue(&part.id.topic, part.id.partition as i32);
        let queue = queue.ok_or_else(|| failed("librdkafka knows no such partition".to_owned()))?;
        let place = places(part, rdkafka::Offset::Offset(part.next.get().cast_signed()));
        consumer.incremental_assign(&place).map_err(|e| failed(e.to_string()))?;
        let task = tokio::task::spawn_local(follow(Rc::clone(self), Rc::clone(part), queue));
        *part.task.borrow_mut() = Some(task);
        Ok(())
    }

    /// A partition that was behind has met its end: from now on it is read where it may be waited for.
    pub(super) fn hand_over(self: &Rc<Self>, part: &Rc<Part>) {
        self.unassign(part);
        // Whatever came since is little.
        let end = Offset(part.next.get());
        part.reach.set(Reach {
            end,
            ..part.reach.get()
        });
        if let Err(error) = self.assign(part) {
            tracing::debug!(%error, "a partition is tried again");
            part.lost.set(true);
            self.shared.look();
        }
    }

    fn unassign(&self, part: &Part) {
        let place = places(part, rdkafka::Offset::Invalid);
        if let Err(error) = self.consumer_of(part).incremental_unassign(&place) {
            tracing::debug!(partition = %part.id, %error, "a partition could not be given up");
        }
    }

    fn consumer_of(&self, part: &Part) -> &Arc<StreamConsumer<Link>> {
        match part.catches_up.get() {
            true => &self.catch_up,
            false => &self.tail,
        }
    }

    /// Stops to follow a topic and removes its copy.
    async fn forget(&self, topic: &Arc<str>) -> Result<(), LogError> {
        let followed = self.topics.borrow_mut().remove(topic);
        if let Some(followed) = followed {
            for part in &followed.partitions {
                self.unassign(part);
                part.end_task().await;
            }
            followed.freshness.send_replace(Freshness::default());
        }
        let copy = self.shared.copies.topic(topic);
        for id in copy.iter().flat_map(TopicInfo::all) {
            self.copier.borrow_mut().release(&id)?;
        }
        match copy {
            Some(_) => self.shared.copies.delete_topic(topic),
            None => Ok(()),
        }
    }

    pub(super) fn stop_all(&self) {
        for followed in self.topics.take().into_values() {
            followed.partitions.iter().for_each(|part| self.unassign(part));
        }
    }

    /// Tells readers of every topic how fresh it is.
    pub(super) fn tell_all(&self) {
        let stale = *self.link.down_since_ms().borrow();
        let followed = self.topics.borrow();
        followed.values().for_each(|topic| topic.tell(stale));
        if stale.is_some() {
            let copies = self.shared.copies.topics();
            let unasked = copies.iter().filter(|copy| !followed.contains_key(&copy.name));
            unasked.for_each(|copy| self.serve_stale(copy, stale));
        }
    }

    /// A copy of an earlier process, about which Kafka cannot be asked: it is as it was then.
    fn serve_stale(&self, copy: &TopicInfo, stale_since_ms: Option<i64>) {
        let freshness = Freshness {
            complete: self.shared.copies.was_complete(copy),
            stale_since_ms,
            ..Freshness::default()
        };
        self.shared.freshness_of(&copy.name).send_replace(freshness);
    }

    /// Everything that there was when the partition was met is copied.
    pub(super) fn is_complete(&self, part: &Part) -> Result<(), LogError> {
        if part.complete.replace(true) {
            return Ok(());
        }
        let end = self.copier.borrow_mut().next_offset(&part.id)?;
        self.shared.copies.note_complete(&part.id, end)
    }

    /// The same of one topic.
    pub(super) fn tell(&self, topic: &str) {
        let stale = *self.link.down_since_ms().borrow();
        if let Some(topic) = self.topics.borrow().get(topic) {
            topic.tell(stale);
        }
    }
}

impl Followed {
    fn tell(&self, stale_since_ms: Option<i64>) {
        let sum = |of: fn(&Part) -> u64| self.partitions.iter().map(|part| of(part)).sum();
        let now = Freshness {
            missing: sum(Part::missing),
            total: sum(Part::total),
            complete: self.partitions.iter().all(|part| part.complete.get()),
            stale_since_ms,
        };
        self.freshness
            .send_if_modified(|known| std::mem::replace(known, now) != now);
    }
}

impl Part {
    /// Ends the task that follows it. Its queue must be gone before the partition may have another.
    async fn end_task(&self) {
        let task = self.task.borrow_mut().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    fn missing(&self) -> u64 {
        match self.at_end.get() {
            true => 0,
            false => self.reach.get().end.0.saturating_sub(self.next.get()),
        }
    }

    fn total(&self) -> u64 {
        let reach = self.reach.get();
        reach.end.0.max(self.next.get()) - reach.earliest.0.min(self.next.get())
    }
}

fn tell_gone(topic: &str) {
    match names_topics(topic) {
        true => tracing::warn!(
            topic,
            "the topic is gone from Kafka; the topics that it named stay, new ones are met when a capture makes it again"
        ),
        false => tracing::info!(topic, "the topic is gone from Kafka, and its copy with it"),
    }
}

fn places(part: &Part, offset: rdkafka::Offset) -> TopicPartitionList {
    let mut places = TopicPartitionList::with_capacity(1);
    let added = places.add_partition_offset(&part.id.topic, part.id.partition as i32, offset);
    added.expect("a number or none at all is an offset");
    places
}

fn ask(cluster: &Cluster, names: &[&str]) -> Result<Seen, LogError> {
    let topics = cluster.describe(names)?;
    let partitions: Vec<TopicPartition> = topics.iter().flat_map(TopicInfo::all).collect();
    let mut reach = cluster.reach(&partitions)?.into_iter();
    let with_reach = |info: TopicInfo| {
        let reach = reach.by_ref().take(info.partitions as usize).collect();
        (info, reach)
    };
    Ok(topics.into_iter().map(with_reach).collect())
}
