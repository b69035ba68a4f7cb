//! What is done before changes flow: what is known is read, the source is checked, and the tables are read if they must be.
//!
//! A snapshot comes in three ways. A first one comes under the slot's own snapshot, into topics that are new, or hold what
//! somebody else or an earlier history of the connector left. One after a gap (the slot had gone) is added to what the log
//! holds. Both say which rows have gone. One that is only asked for (`snapshot.mode=always`, or a topic was lost) comes after
//! all changes up to its moment, so that the log stays a history without a gap (decision 18).

use rowcast_postgres::{Found, Opened, Resume, SnapshotReader, Source, SourceError, Stream};

use super::Connector;
use crate::{
    ConnectorError, ConnectorState,
    clock::run_id,
    filled::{FilledTopics, Lost},
    pipeline::Pipeline,
    snapshot::{self, Before},
    state::{State, StateStore},
    stop::told_to_stop,
};

/// What comes next.
pub(super) enum Step {
    /// It was told to stop.
    Stop,
    /// Nothing is to be streamed.
    Idle,
    /// Changes flow.
    Stream(State, Box<Stream>),
}

impl Connector {
    /// Checks, the pipeline, and the snapshot if there is one to take.
    pub(super) async fn open(
        &mut self,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Step, ConnectorError> {
        let known = store.load()?;
        let is_done = known.as_ref().is_some_and(|state| state.snapshot_done);
        let mode = self.config.snapshot.mode;
        let lost = if is_done { self.lost()? } else { Vec::new() };
        if let Some(lost) = lost.first().filter(|_| !mode.reads_after_a_gap()) {
            return Err(lost.refusal().into());
        }
        let reads_again = is_done && self.is_first_open && mode.reads_at_every_start();
        if (!is_done && mode.reads() || reads_again) && !self.delay().await {
            return Ok(Step::Stop);
        }
        if !mode.streams() {
            let is_owed = known.as_ref().is_some_and(|state| state.reads_owed) || !lost.is_empty();
            return match is_done && !reads_again && !is_owed {
                true => Ok(Step::Idle),
                false => Box::pin(self.read_only(known, pipeline, store)).await,
            };
        }
        let Some(before) = self.remember_beginning(known, store).await? else {
            return Ok(Step::Stop);
        };
        let resume = store.resume(Some(&before))?;
        let run_id = run_id();
        let opened = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(Step::Stop),
            opened = Source::open(&self.config, &resume, &run_id) => opened,
        };
        let (found, opened) = match opened {
            // The capture that this one stands by for went on after we had looked.
            Err(SourceError::Refused(_)) if store.load()?.as_ref() != Some(&before) => {
                return Err(SourceError::Busy("another capture of this connector has just written".to_owned()).into());
            }
            opened => opened?,
        };
        if found.published != resume.published {
            store.save_published(&found.published).await?;
        }
        let state = self.state_of(&found, &before, &resume);
        self.tell_unmatched(found.unmatched);
        match opened {
            Opened::Stream(stream) => {
                let (state, stream) = self.opened_stream(before, state, stream, pipeline, store).await?;
                if reads_again || state.reads_owed {
                    return Box::pin(self.read_again((&resume, &run_id), state, stream, pipeline, store)).await;
                }
                self.is_first_open = false;
                Ok(Step::Stream(state, Box::new(stream)))
            }
            Opened::Snapshot(reader) => Box::pin(self.read_first(before, state, reader, pipeline, store)).await,
        }
    }

    /// What will be written down once what the source was opened for is done.
    fn state_of(&self, found: &Found, before: &State, resume: &Resume) -> State {
        State {
            snapshot_done: true,
            confirmed: resume.confirmed.0,
            generation: before.generation,
            offsets: before.offsets.clone(),
            mark: before.mark,
            reads_owed: before.reads_owed,
            ..State::beginning(&found.server, &self.config.slot_name)
        }
    }

    /// Topics that were filled and are not there any more, or are others.
    fn lost(&self) -> Result<Vec<Lost>, ConnectorError> {
        let filled = FilledTopics::load(self.metadata.clone(), &self.config)?;
        Ok(filled.lost(self.metadata.log())?)
    }

    /// No start after this one asks for topics that are lost: what they held is owed, or of a history that is over.
    async fn forget(&self, lost: &[Lost]) -> Result<(), ConnectorError> {
        if lost.is_empty() {
            return Ok(());
        }
        let filled = FilledTopics::load(self.metadata.clone(), &self.config)?;
        Ok(filled.forget(lost).await?)
    }

    /// `snapshot.delay.ms`, once. False: told to stop.
    async fn delay(&mut self) -> bool {
        let delay = self.config.snapshot.delay;
        if std::mem::replace(&mut self.is_delayed, true) || delay.is_zero() {
            return true;
        }
        tracing::info!(connector = %self.config.name, delay_ms = delay.as_millis() as u64, "waiting as snapshot.delay.ms asks");
        tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => false,
            () = tokio::time::sleep(delay) => true,
        }
    }

    /// What the log knows of this connector. On its first start that is written down before a slot is made, so that
    /// whoever starts after a crash knows a slot without a snapshot for ours. `None`: told to stop.
    async fn remember_beginning(
        &mut self,
        known: Option<State>,
        store: &StateStore,
    ) -> Result<Option<State>, ConnectorError> {
        if known.is_some() {
            return Ok(known);
        }
        // Before anybody of ours writes: see `State::offsets`.
        let ends = store.ends()?;
        let resume = store.resume(None)?;
        let server = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(None),
            server = Source::would_create(&self.config, &resume) => server?,
        };
        let server = server.expect("without a state, a slot that exists is refused and any other is created");
        let mut state = State::beginning(&server, &self.config.slot_name);
        state.offsets = ends;
        store.save(&state).await?;
        Ok(Some(state))
    }

    /// Names the items of the list that nothing answers to: once, and again when they are others after a reconnect.
    fn tell_unmatched(&mut self, unmatched: Vec<String>) {
        for item in unmatched.iter().filter(|item| !self.told_unmatched.contains(item)) {
            tracing::warn!(
                connector = %self.config.name,
                "table.include.list: {item:?} matches no table that is captured; is it misspelt, or not created yet?"
            );
        }
        self.told_unmatched = unmatched;
    }

    async fn opened_stream(
        &mut self,
        mut before: State,
        mut state: State,
        stream: Stream,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<(State, Stream), ConnectorError> {
        state.confirmed = state.confirmed.max(stream.confirmed_flush().0);
        // Now that the slot is ours nobody else fills them again.
        let lost = self.lost()?;
        let owed = if before.snapshot_done { &lost[..] } else { &[] };
        if !owed.is_empty() {
            owed.iter().for_each(Lost::tell);
            state.owe(owed);
            *pipeline = None;
        }
        let pipeline = match pipeline {
            Some(pipeline) => pipeline,
            none => none.insert(self.pipeline(&state)?),
        };
        if pipeline.must_begin_anew() {
            // Only now, with the slot ours and other writers fenced, does nobody else go on with it.
            before = store.load()?.unwrap_or(before);
            let mut known = before.clone();
            known.owe(owed);
            pipeline.begin_after(&known, &mut state);
        }
        if before != state {
            store.save(&state).await?;
        }
        self.forget(&lost).await?;
        Ok((state, stream))
    }

    /// The slot is new: its snapshot comes first, or after a gap.
    async fn read_first(
        &mut self,
        mut before: State,
        mut state: State,
        reader: SnapshotReader,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Step, ConnectorError> {
        // Whoever still has the topics' partitions gives them back first.
        *pipeline = None;
        if before.snapshot_done {
            // What an older capture may yet write down is not of this history.
            state.generation += 1;
            let lost = self.lost()?;
            lost.iter().for_each(Lost::tell);
            state.owe(&lost);
            before.owe(&lost);
            store.save(&before).await?;
        }
        let open = pipeline.insert(self.pipeline(&before)?);
        let unknown = match before.snapshot_done {
            true => Before::Gap,
            false => {
                open.discard(store)?;
                Before::Anything
            }
        };
        self.forget(&self.lost()?).await?;
        let Some((state, reader)) = self.carry(reader, unknown, state, pipeline, store).await? else {
            return Ok(Step::Stop);
        };
        Ok(match reader.into_stream().await? {
            Some(stream) => Step::Stream(state, Box::new(stream)),
            None => Step::Idle,
        })
    }

    /// The tables are asked for once more: all changes up to the moment of the snapshot, then the snapshot.
    async fn read_again(
        &mut self,
        (resume, run_id): (&Resume, &str),
        mut state: State,
        mut stream: Stream,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Step, ConnectorError> {
        let reader = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(Step::Stop),
            reader = Source::read_again(&self.config, resume, run_id) => reader?,
        };
        stream.end_at(reader.consistent_point());
        let open = pipeline.as_mut().expect("what is open has its pipeline");
        // It keeps the slot while the tables are read, so that no other capture goes on meanwhile.
        let Some(mut stream) = open.stream(stream, store, &mut state, &mut self.stop).await? else {
            return Ok(Step::Stop);
        };
        match self.carry(reader, Before::AllChanges, state, pipeline, store).await? {
            Some((state, reader)) => {
                stream.go_on_after(reader.mark());
                Ok(Step::Stream(state, Box::new(stream)))
            }
            None => {
                stream.close().await;
                Ok(Step::Stop)
            }
        }
    }

    /// `snapshot.mode=initial_only`: the tables, and neither slot nor publication.
    async fn read_only(
        &mut self,
        known: Option<State>,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Step, ConnectorError> {
        let (resume, run_id) = (store.resume(known.as_ref())?, run_id());
        let (found, reader) = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(Step::Stop),
            opened = Source::read_only(&self.config, &resume, &run_id) => opened?,
        };
        let before = match known {
            Some(known) => known,
            None => State {
                offsets: store.ends()?,
                ..State::beginning(&found.server, &self.config.slot_name)
            },
        };
        let state = self.state_of(&found, &before, &resume);
        self.tell_unmatched(found.unmatched);
        self.read_first(before, state, reader, pipeline, store).await
    }

    /// Carries the snapshot into the log and writes down that it is there. `None`: told to stop.
    async fn carry(
        &mut self,
        mut reader: SnapshotReader,
        before: Before,
        mut state: State,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Option<(State, SnapshotReader)>, ConnectorError> {
        self.status.set(ConnectorState::Snapshot { rows: 0 });
        let open = pipeline.as_mut().expect("a snapshot has its pipeline");
        let carried = snapshot::carry(&mut reader, open, before, &self.config, &self.status, &mut self.stop).await;
        let carried = carried.map_err(|error| open.under_way.explain(error));
        match carried {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                // What of it was appended belongs to no later snapshot.
                *pipeline = None;
                return Err(error);
            }
        }
        (state.snapshot_done, state.reads_owed) = (true, false);
        state.confirmed = reader.consistent_point().0;
        state.ended(reader.mark());
        open.note_ends(&mut state).await?;
        store.save(&state).await?;
        self.is_first_open = false;
        open.beat()?;
        Ok(Some((state, reader)))
    }
}
