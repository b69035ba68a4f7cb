//! Opens a source: every check that could save data, in an order in which nothing is created before all of them passed.
//!
//! As Debezium starts (connect, publication, slot, snapshot, stream), with what it does not check added: whose server
//! this is, where its history leads, and how slot and log stand to each other.

use std::{sync::Arc, time::Duration};

use rowcast_event::{EventOptions, Lsn, TransactionMark, topic_name};

use crate::{
    ConnectorConfig, SnapshotReader, SourceError, Stream,
    captured::{captured, check_readable, read_by_snapshot, unmatched},
    catalog::{Catalog, tables, tables::ListedTable},
    connection::{Connection, Purpose, error::ConnectionError, options::ConnectionOptions},
    identity, publication,
    published::{Look, Published},
    query::qualified,
    server::{self, Server},
    shared_topic,
    slot::{self, FAILOVER_SINCE, NewSlot, Plan, Slot, SlotKind},
    snapshot::Transaction,
    stream::{Start, watch::Watched},
    turn,
};

/// What the log knows of this connector from before; all `None`/empty on the first start.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// The server the log was filled from.
    pub server: Option<ServerIdentity>,
    /// Set when the snapshot is whole and durable in the log (or the mode needs none): then we only stream.
    pub snapshot_done: bool,
    /// The furthest mark in any of the connector's partitions.
    pub mark: Option<TransactionMark>,
    /// The furthest LSN that was ever confirmed to the server, as the log recorded it before confirming.
    pub confirmed: Lsn,
    /// The log recorded that a first start with this slot was begun, and not that it was finished: a slot that is found
    /// is ours, nothing of it is worth keeping, and it is dropped and made anew. Meant too by a `server` without
    /// `snapshot_done`. The caller empties the topics when it gets [`Opened::Snapshot`].
    pub restart_snapshot: bool,
    /// How the captured tables were published when the source was opened last, under this publication's name; empty if
    /// nobody wrote it down. Not looked at before a snapshot.
    pub published: Published,
}

impl Resume {
    /// All before this is in the log, or was confirmed as none of ours.
    pub(crate) fn position(&self) -> Lsn {
        self.mark
            .map_or(self.confirmed, |mark| mark.end_lsn.max(self.confirmed))
    }

    /// Nothing was ever finished.
    pub(crate) fn is_new(&self) -> bool {
        !self.snapshot_done
    }

    /// A slot that is found was made by a start of ours that did not get far.
    pub(crate) fn owns_unfinished_slot(&self) -> bool {
        self.is_new() && (self.restart_snapshot || self.server.is_some())
    }
}

/// Which server, and which of its histories: the key of every LSN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// `IDENTIFY_SYSTEM` systemid.
    pub system_identifier: String,
    /// `IDENTIFY_SYSTEM` timeline.
    pub timeline: u32,
}

/// What the checks of [`Source::open`] found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whose WAL it is.
    pub server: ServerIdentity,
    /// How the captured tables are published: to be kept, durably, for the next [`Resume`] before anything is confirmed.
    pub published: Published,
    /// Items of `table.include.list` that match no captured table: to be told once.
    pub unmatched: Vec<String>,
}

/// The way to a checked server with its publication and slot in place.
#[derive(Debug)]
pub struct Source {}

/// What to do after [`Source::open`].
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each connection, and it is taken apart at once"
)]
pub enum Opened {
    /// A new slot; its exported snapshot waits to be read, then [`SnapshotReader::into_stream`] goes on. If the log holds
    /// records already (`Resume::snapshot_done`), changes are missing between them and these rows.
    Snapshot(SnapshotReader),
    /// Nothing to read first.
    Stream(Stream),
}

/// PostgreSQL's `FirstNormalObjectId`: what lies below is its own, for publications at least.
const FIRST_PUBLISHED_OID: u32 = 16_384;

/// How long a slot's creation may wait before the log says for whom.
const CREATION_PATIENCE: Duration = Duration::from_secs(3);

impl Source {
    /// Looks whether [`Source::open`] would create the slot, and at which server; creates nothing. A caller that writes
    /// this down before it opens (as `server` without `snapshot_done`) leaves no slot behind that nobody knows, wherever
    /// it is killed.
    pub async fn would_create(
        config: &ConnectorConfig,
        resume: &Resume,
    ) -> Result<Option<ServerIdentity>, SourceError> {
        let opening = Opening::connect(config, resume, config.event_options(""));
        let (mut opening, _, plan) = Box::pin(opening).await?.plan().await?;
        turn::give_back(&mut opening.session, &config.slot_name).await?;
        Ok(matches!(plan, Plan::Create { .. }).then_some(opening.server.identity))
    }

    /// Reads the tables once more, as of a moment that lies in the WAL to come: whoever streams up to
    /// [`SnapshotReader::consistent_point`], then takes these rows, then streams on, misses nothing and repeats no change. The
    /// connector's own slot stays as it is.
    pub async fn read_again(
        config: &ConnectorConfig,
        resume: &Resume,
        run_id: &str,
    ) -> Result<SnapshotReader, SourceError> {
        Box::pin(Opening::connect(config, resume, config.event_options(run_id)))
            .await?
            .read_beside()
            .await
    }

    /// Reads the tables for a connector that does not stream: there is neither slot nor publication.
    pub async fn read_only(
        config: &ConnectorConfig,
        resume: &Resume,
        run_id: &str,
    ) -> Result<(Found, SnapshotReader), SourceError> {
        Box::pin(Opening::connect(config, resume, config.event_options(run_id)))
            .await?
            .read_only()
            .await
    }

    /// Drops the slot of a connector that has stopped, as `slot.drop.on.stop` asks.
    pub async fn drop_slot(config: &ConnectorConfig) -> Result<(), SourceError> {
        let mut walsender = connect(&ConnectionOptions::of(config), Purpose::Replication).await?;
        slot::drop_slot(&mut walsender, &config.slot_name).await?;
        tracing::info!(
            slot = config.slot_name,
            "the slot is dropped, as slot.drop.on.stop asks"
        );
        walsender.close().await;
        Ok(())
    }

    /// Connects, checks server, role, publication, tables, slot and log position against each other, creates what the
    /// configuration says may be created. `run_id` goes to the records' headers.
    ///
    /// May be dropped at any time: a slot whose creation still waits for old transactions is cancelled at the server.
    pub async fn open(config: &ConnectorConfig, resume: &Resume, run_id: &str) -> Result<(Found, Opened), SourceError> {
        Box::pin(Opening::connect(config, resume, config.event_options(run_id)))
            .await?
            .check_and_go_on()
            .await
    }
}

/// Both connections, while the checks are made.
struct Opening<'a> {
    config: &'a ConnectorConfig,
    resume: &'a Resume,
    event_options: Arc<EventOptions>,
    options: ConnectionOptions,
    session: Connection,
    walsender: Connection,
    server: Server,
    watched: Watched,
    via_root: bool,
}

impl<'a> Opening<'a> {
    async fn connect(
        config: &'a ConnectorConfig,
        resume: &'a Resume,
        event_options: Arc<EventOptions>,
    ) -> Result<Opening<'a>, SourceError> {
        let options = ConnectionOptions::of(config);
        let mut session = connect(&options, Purpose::Sql).await?;
        let version = server::check_settings(&mut session).await?;
        let mut walsender = connect(&options, Purpose::Replication).await?;
        let server = server::identify(&mut walsender, version).await?;
        tracing::debug!(version, "connected to {options}");
        let via_root = publication::via_root(&mut session, config).await?;
        Ok(Opening {
            via_root,
            config,
            resume,
            event_options,
            options,
            session,
            walsender,
            watched: Watched {
                version: server.version,
                ..Watched::default()
            },
            server,
        })
    }

    /// Told once there is something to do: whoever stands by connects each second.
    fn tell(&self) {
        let identity = &self.server.identity;
        tracing::info!(
            version = self.server.version,
            system_identifier = identity.system_identifier,
            timeline = identity.timeline,
            wal_end = %self.server.wal_flushed,
            "connected to {}", self.options
        );
    }

    /// Takes the turn, and holds server, slot and log against each other.
    async fn plan(mut self) -> Result<(Opening<'a>, Option<Slot>, Plan), SourceError> {
        server::check_history(&mut self.walsender, &self.server, self.resume).await?;
        turn::take(&mut self.session, &self.config.slot_name).await?;
        let found = slot::find(&mut self.session, &self.config.slot_name, self.server.version)
            .await
            .map_err(|error| error.during("looking for the replication slot"))?;
        let plan = slot::plan(
            &self.config.slot_name,
            found.as_ref(),
            self.resume,
            &self.config.dbname,
            self.config.snapshot.mode.reads_after_a_gap(),
        )?;
        Ok((self, found, plan))
    }

    async fn check_and_go_on(self) -> Result<(Found, Opened), SourceError> {
        let (mut this, found, plan) = self.plan().await?;
        let mut tables = this.list().await?;
        if identity::set(
            &mut this.session,
            this.config,
            &captured(this.config, &tables, this.via_root),
        )
        .await?
        {
            tables = this.list().await?;
        }
        let captured = this.captured(&tables, matches!(plan, Plan::Create { .. }))?;
        Self::warn_of_unlogged(&captured);
        let found_unmatched = unmatched(this.config, &captured);
        let captured: Vec<&ListedTable> = captured.into_iter().filter(|table| !table.unlogged).collect();
        // Before the publication is mended: a gap that is closed again is a gap, unless all is read again.
        let before = this.look(&captured).await?;
        if matches!(plan, Plan::Continue(_))
            && let Some(refusal) = before.refusal(&this.config.publication_name, &this.resume.published)
        {
            return Err(SourceError::Refused(refusal));
        }
        publication::ensure(&mut this.session, this.config, this.server.version, &tables, &captured).await?;
        this.warn_of_unpublished(&captured).await?;
        Self::warn_of_keys(&captured);
        let look = this.look(&captured).await?;
        if matches!(plan, Plan::Continue(_)) {
            this.warn_of_unread(&look);
        }
        this.watched.published = look.published;
        let found_out = Found {
            server: this.server.identity.clone(),
            published: this.watched.published.clone(),
            unmatched: found_unmatched,
        };
        let opened = match plan {
            Plan::Continue(confirmed) => {
                if let Some(found) = &found {
                    slot::free(found)?;
                    this.keep_over_failover(found).await?;
                }
                this.tell();
                Opened::Stream(this.into_stream(confirmed).await?)
            }
            Plan::Create { drop_first } => this.create(drop_first).await?,
        };
        Ok((found_out, opened))
    }

    async fn list(&mut self) -> Result<Vec<ListedTable>, SourceError> {
        tables::list(&mut self.session)
            .await
            .map_err(|error| error.during("listing the tables"))
    }

    /// `slot.failover` for a slot that was made without it.
    async fn keep_over_failover(&mut self, found: &Slot) -> Result<(), SourceError> {
        match self.wants_failover() && !found.failover {
            true => slot::make_failover(&mut self.walsender, &self.config.slot_name).await,
            false => Ok(()),
        }
    }

    /// Older servers have no such slots: that is told, and the slot is as good as it can be.
    fn wants_failover(&self) -> bool {
        let possible = self.server.version >= FAILOVER_SINCE;
        if self.config.replication.failover && !possible {
            tracing::warn!(
                "slot.failover: needs PostgreSQL 17 or later, this is {}; a standby will not have the slot",
                self.server.version / 10_000
            );
        }
        self.config.replication.failover && possible
    }

    /// Views of such a table have the rows that were changed since, and look whole.
    fn warn_of_unread(&self, look: &Look) {
        let mode = self.config.snapshot.mode;
        let unread = look.since(&self.resume.published);
        if mode.reads() && !mode.reads_at_every_start() && !unread.is_empty() {
            tracing::warn!(
                "{} not captured when this connector was started last: rows from before that time are not in the log. \
                 snapshot.mode=always reads them at a restart",
                publication::listed(&unread)
            );
        }
    }

    /// How the tables are published now.
    async fn look(&mut self, captured: &[&ListedTable]) -> Result<Look, SourceError> {
        let tables: Vec<u32> = captured.iter().map(|table| table.oid).collect();
        let name = &self.config.publication_name;
        Look::take(&mut self.session, name, self.server.version, &tables)
            .await
            .map_err(|error| error.during("reading the publication's entries"))
    }

    /// The tables to capture, checked for what would go wrong later.
    fn captured<'t>(&self, tables: &'t [ListedTable], creates: bool) -> Result<Vec<&'t ListedTable>, SourceError> {
        let captured = captured(self.config, tables, self.via_root);
        if captured.is_empty() && self.config.tables.is_restricted() {
            let told = format!(
                "no table of database {:?} matches table.include.list and its kin: create the table, or correct the list",
                self.config.dbname
            );
            match creates {
                true => return Err(SourceError::Refused(told)),
                // Changes of tables that are dropped by now may still be waiting.
                false => tracing::warn!("{told}"),
            }
        }
        if let Some(table) = captured.iter().find(|table| table.oid < FIRST_PUBLISHED_OID) {
            return Err(SourceError::Refused(format!(
                "table {} has oid {}, as one made in single-user mode; PostgreSQL never publishes oids below \
                 {FIRST_PUBLISHED_OID}, and does not say so. Make the table anew on a running server, or exclude it",
                qualified(&table.schema, &table.name),
                table.oid
            )));
        }
        let names = captured.iter().map(|table| (&*table.schema, &*table.name));
        shared_topic::check(names, |(schema, table)| topic_name(&self.event_options, schema, table))?;
        if creates && self.config.snapshot.mode.reads() {
            check_readable(&read_by_snapshot(self.config, &captured), &self.config.user)?;
        }
        Ok(captured)
    }

    /// PostgreSQL writes no WAL for them.
    fn warn_of_unlogged(captured: &[&ListedTable]) {
        let unlogged: Vec<&ListedTable> = captured.iter().copied().filter(|table| table.unlogged).collect();
        if !unlogged.is_empty() {
            tracing::warn!(
                "{} unlogged: a snapshot has the rows, but no change there will be seen; ALTER TABLE … SET LOGGED, or leave \
                 such tables out",
                publication::named(&unlogged)
            );
        }
    }

    /// Debezium would key these tables by a primary key that is null in deletes.
    fn warn_of_keys(captured: &[&ListedTable]) {
        for table in captured.iter().filter(|table| table.deletes_without_primary_key) {
            tracing::warn!(
                "table {} is keyed by its replica identity index, not by its primary key, of which deletes say nothing; to \
                 have the primary key, ALTER TABLE {} REPLICA IDENTITY DEFAULT (or FULL)",
                table.id(),
                qualified(&table.schema, &table.name)
            );
        }
    }

    /// PostgreSQL itself never says that a captured table is not published; its rows would just not come.
    async fn warn_of_unpublished(&mut self, captured: &[&ListedTable]) -> Result<(), SourceError> {
        let name = &self.config.publication_name;
        let unpublished = publication::unpublished(&mut self.session, name, captured)
            .await
            .map_err(|error| error.during("reading the publication's tables"))?;
        if !unpublished.is_empty() {
            tracing::warn!(
                publication = name,
                "{} captured, but not published: changes there will not be seen; ALTER PUBLICATION … ADD TABLE",
                publication::named(&unpublished)
            );
        }
        Ok(())
    }

    async fn into_stream(mut self, confirmed: Lsn) -> Result<Stream, SourceError> {
        turn::give_back(&mut self.session, &self.config.slot_name).await?;
        let held = self.resume.mark;
        let (walsender, catalog, start) = self.into_parts(confirmed, held).await?;
        Stream::start(walsender, catalog, start).await
    }

    async fn into_parts(
        self,
        confirmed: Lsn,
        held: Option<TransactionMark>,
    ) -> Result<(Connection, Catalog, Start), SourceError> {
        let catalog = Catalog::new(self.options, self.session)
            .await
            .map_err(|error| error.during("reading the database's types"))?;
        let start = Start {
            config: self.config.clone(),
            options: self.event_options,
            held,
            confirmed,
            tables: Vec::new(),
            watched: self.watched,
            via_root: self.via_root,
        };
        Ok((self.walsender, catalog, start))
    }

    async fn create(mut self, drop_first: bool) -> Result<Opened, SourceError> {
        self.tell();
        let name = &self.config.slot_name;
        if drop_first {
            tracing::info!(slot = name, "dropping the slot, of which nothing is to be kept");
            slot::drop_slot(&mut self.walsender, name).await?;
        }
        let reads = self.config.snapshot.mode.reads() || !self.resume.is_new();
        let kind = SlotKind {
            failover: self.wants_failover(),
            temporary: false,
            export_snapshot: reads,
        };
        let new = self.create_slot(name, kind).await?;
        tracing::info!(slot = name, consistent_point = %new.consistent_point, "replication slot created");
        if !reads {
            return Ok(Opened::Stream(self.into_stream(new.consistent_point).await?));
        }
        let (walsender, catalog, start) = self.into_parts(new.consistent_point, None).await?;
        let transaction = Transaction::Imported(&new.snapshot);
        let mut reader = SnapshotReader::begin(Some(walsender), catalog, start, transaction).await?;
        reader.take_turn_over().await?;
        Ok(Opened::Snapshot(reader))
    }

    /// A slot that goes with its connection gives the moment; once its snapshot is imported it has done its work.
    async fn read_beside(mut self) -> Result<SnapshotReader, SourceError> {
        let tables = self.list().await?;
        self.captured(&tables, true)?;
        let kind = SlotKind {
            temporary: true,
            export_snapshot: true,
            failover: false,
        };
        let name = temporary_name(&self.config.slot_name);
        let new = self.create_slot(&name, kind).await?;
        tracing::info!(consistent_point = %new.consistent_point, "the tables are read again");
        let (walsender, catalog, start) = self.into_parts(new.consistent_point, None).await?;
        let transaction = Transaction::Imported(&new.snapshot);
        let reader = SnapshotReader::begin(None, catalog, start, transaction).await?;
        walsender.close().await;
        Ok(reader)
    }

    async fn read_only(mut self) -> Result<(Found, SnapshotReader), SourceError> {
        self.tell();
        server::check_history(&mut self.walsender, &self.server, self.resume).await?;
        let tables = self.list().await?;
        let captured = self.captured(&tables, true)?;
        let found = Found {
            server: self.server.identity.clone(),
            published: Published::default(),
            unmatched: unmatched(self.config, &captured),
        };
        let is_standby = server::in_recovery(&mut self.session)
            .await
            .map_err(|error| error.during("asking whether the server is a standby"))?;
        // A standby has no serializable transactions.
        let serializable = self.config.snapshot.serializable && !is_standby;
        let (walsender, catalog, start) = self.into_parts(Lsn::default(), None).await?;
        let transaction = Transaction::Own { serializable };
        let reader = SnapshotReader::begin(None, catalog, start, transaction).await?;
        walsender.close().await;
        Ok((found, reader))
    }

    /// Creates the slot; says who is waited for if it takes long.
    async fn create_slot(&mut self, name: &str, kind: SlotKind) -> Result<NewSlot, SourceError> {
        let cancel = self.walsender.cancel_when_dropped(&self.options);
        let pid = self.walsender.process_id().to_string();
        let creating = slot::create(&mut self.walsender, name, self.server.version, kind);
        tokio::pin!(creating);
        loop {
            tokio::select! {
                biased;
                created = &mut creating => {
                    cancel.disarm();
                    return created;
                }
                () = tokio::time::sleep(CREATION_PATIENCE) => {
                    let blockers = slot::blockers(&mut self.session, &pid)
                        .await
                        .map_err(|error| error.during("asking who holds up the slot's creation"))?;
                    tracing::warn!(
                        slot = name,
                        "creating the replication slot waits for transactions that are still open: {}",
                        blockers.join("; ")
                    );
                }
            }
        }
    }
}

/// Connects and prepares a session; turns the refusals of the server into sentences.
async fn connect(options: &ConnectionOptions, purpose: Purpose) -> Result<Connection, SourceError> {
    let connecting = async {
        let mut connection = Connection::open(options, purpose).await?;
        server::prepare_session(&mut connection).await?;
        Ok(connection)
    };
    connecting.await.map_err(|error: ConnectionError| match (purpose, error.sqlstate()) {
        (Purpose::Replication, Some("42501")) => SourceError::Refused(format!(
            "role {:?} may not replicate: {error}; run ALTER ROLE … REPLICATION (managed services have a role to grant \
             instead, such as rds_replication)",
            options.user
        )),
        (Purpose::Replication, Some("53300")) => SourceError::Gone(format!(
            "connecting for replication to {options}: {error}; if this lasts, raise max_wal_senders (or the role's or the \
             database's CONNECTION LIMIT) or stop replication clients that nobody uses"
        )),
        (_, Some("28000")) => SourceError::Refused(format!(
            "connecting to {options}: {error}; pg_hba.conf needs a line for this database, role and address"
        )),
        (_, Some("28P01")) => {
            SourceError::Refused(format!("connecting to {options}: {error}; correct database.user or database.password"))
        }
        (_, Some("3D000")) => SourceError::Refused(format!("connecting to {options}: {error}; correct database.dbname")),
        _ => error.during(&format!("connecting to {options}")),
    })
}

/// Beside the connector's own slot; `NAMEDATALEN` cuts what is longer.
fn temporary_name(slot: &str) -> String {
    const NAME_BYTES_MAX: usize = 63;
    const ENDING: &str = "_snapshot";
    let kept = &slot[..slot.len().min(NAME_BYTES_MAX - ENDING.len())];
    format!("{kept}{ENDING}")
}
