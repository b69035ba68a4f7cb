//! Opens a source: every check that could save data, in an order in which nothing is created before all of them passed.
//!
//! As Debezium starts (connect, publication, slot, snapshot, stream), with what it does not check added: whose server
//! this is, where its history leads, and how slot and log stand to each other.

use std::{sync::Arc, time::Duration};

use rowcast_event::{EventOptions, Lsn, TransactionMark, topic_name};

use crate::{
    ConnectorConfig, SnapshotReader, SourceError, Stream,
    catalog::{Catalog, tables, tables::ListedTable},
    config::SnapshotMode,
    connection::{Connection, Purpose, error::ConnectionError, options::ConnectionOptions},
    publication,
    published::{Look, Published},
    query::qualified,
    server::{self, Server},
    shared_topic,
    slot::{self, NewSlot, Plan, Slot},
    stream::{Start, watch::Watched},
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
pub enum Opened {
    /// A new slot; its exported snapshot waits to be read, then [`SnapshotReader::into_stream`] goes on.
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
        let (opening, _, plan) = Box::pin(opening).await?.plan().await?;
        Ok(matches!(plan, Plan::Create { .. }).then_some(opening.server.identity))
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
        tracing::info!(
            version,
            system_identifier = server.identity.system_identifier,
            timeline = server.identity.timeline,
            wal_end = %server.wal_flushed,
            "connected to {options}"
        );
        Ok(Opening {
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

    /// Holds server, slot and log against each other.
    async fn plan(mut self) -> Result<(Opening<'a>, Option<Slot>, Plan), SourceError> {
        server::check_history(&mut self.walsender, &self.server, self.resume).await?;
        let found = slot::find(&mut self.session, &self.config.slot_name, self.server.version)
            .await
            .map_err(|error| error.during("looking for the replication slot"))?;
        let plan = slot::plan(&self.config.slot_name, found.as_ref(), self.resume, &self.config.dbname)?;
        Ok((self, found, plan))
    }

    async fn check_and_go_on(self) -> Result<(Found, Opened), SourceError> {
        let (mut this, found, plan) = self.plan().await?;
        let tables = tables::list(&mut this.session)
            .await
            .map_err(|error| error.during("listing the tables"))?;
        let captured = this.captured(&tables, &plan)?;
        // Before the publication is mended: a gap that is closed again is a gap.
        let before = this.look(&captured).await?;
        if !this.resume.is_new()
            && let Some(refusal) = before.refusal(&this.config.publication_name, &this.resume.published)
        {
            return Err(SourceError::Refused(refusal));
        }
        publication::ensure(&mut this.session, this.config, this.server.version, &tables, &captured).await?;
        this.warn_of_unpublished(&captured).await?;
        Self::warn_of_keys(&captured);
        this.watched.published = this.look(&captured).await?.published;
        let found_out = Found {
            server: this.server.identity.clone(),
            published: this.watched.published.clone(),
            unmatched: unmatched(this.config, &captured),
        };
        let opened = match plan {
            Plan::Continue(confirmed) => {
                found.as_ref().map_or(Ok(()), slot::free)?;
                Opened::Stream(this.into_stream(confirmed).await?)
            }
            Plan::Create { drop_first } => this.create(drop_first).await?,
        };
        Ok((found_out, opened))
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
    fn captured<'t>(&self, tables: &'t [ListedTable], plan: &Plan) -> Result<Vec<&'t ListedTable>, SourceError> {
        let captured = captured(self.config, tables);
        if captured.is_empty() && self.config.tables.is_restricted() {
            return Err(SourceError::Refused(format!(
                "no table of database {:?} matches table.include.list and its kin: create the table, or correct the list",
                self.config.dbname
            )));
        }
        if let Some(table) = captured.iter().find(|table| table.oid < FIRST_PUBLISHED_OID) {
            return Err(SourceError::Refused(format!(
                "table {} has oid {}, as one made in single-user mode; PostgreSQL never publishes oids below \
                 {FIRST_PUBLISHED_OID}, and does not say so. Make the table anew on a running server, or exclude it",
                qualified(&table.schema, &table.name),
                table.oid
            )));
        }
        let prefix = &self.config.topic_prefix;
        let names = captured.iter().map(|table| (&*table.schema, &*table.name));
        shared_topic::check(names, |(schema, table)| topic_name(prefix, schema, table))?;
        if matches!(plan, Plan::Create { .. }) && self.config.snapshot_mode == SnapshotMode::Initial {
            check_readable(&captured, &self.config.user)?;
        }
        Ok(captured)
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

    async fn into_stream(self, confirmed: Lsn) -> Result<Stream, SourceError> {
        let catalog = Catalog::new(self.options, self.session)
            .await
            .map_err(|error| error.during("reading the database's types"))?;
        let start = Start {
            config: self.config.clone(),
            options: self.event_options,
            held: self.resume.mark,
            confirmed,
            tables: Vec::new(),
            watched: self.watched,
        };
        Stream::start(self.walsender, catalog, start).await
    }

    async fn create(mut self, drop_first: bool) -> Result<Opened, SourceError> {
        let name = &self.config.slot_name;
        if drop_first {
            tracing::info!(slot = name, "dropping the slot of a start that was not finished");
            slot::drop_slot(&mut self.walsender, name).await?;
        }
        let export = self.config.snapshot_mode == SnapshotMode::Initial;
        let new = self.create_slot(export).await?;
        tracing::info!(slot = name, consistent_point = %new.consistent_point, "replication slot created");
        if !export {
            return Ok(Opened::Stream(self.into_stream(new.consistent_point).await?));
        }
        let catalog = Catalog::new(self.options, self.session)
            .await
            .map_err(|error| error.during("reading the database's types"))?;
        let start = Start {
            config: self.config.clone(),
            options: self.event_options,
            held: None,
            confirmed: new.consistent_point,
            tables: Vec::new(),
            watched: self.watched,
        };
        Ok(Opened::Snapshot(
            SnapshotReader::begin(self.walsender, catalog, start, &new.snapshot).await?,
        ))
    }

    /// Creates the slot; says who is waited for if it takes long.
    async fn create_slot(&mut self, export: bool) -> Result<NewSlot, SourceError> {
        let cancel = self.walsender.cancel_when_dropped(&self.options);
        let pid = self.walsender.process_id().to_string();
        let creating = slot::create(
            &mut self.walsender,
            &self.config.slot_name,
            self.server.version,
            false,
            export,
        );
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
                        slot = self.config.slot_name,
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

/// The tables that the configuration asks for, in the snapshot's order. A partitioned table's rows are published under
/// the names of its partitions, so it is those that count.
pub(crate) fn captured<'t>(config: &ConnectorConfig, tables: &'t [ListedTable]) -> Vec<&'t ListedTable> {
    let wanted = |table: &&ListedTable| !table.partitioned && config.captures(&table.schema, &table.name);
    let mut captured: Vec<&ListedTable> = tables.iter().filter(wanted).collect();
    captured.sort_by_cached_key(|table| config.tables.snapshot_order(&table.schema, &table.name));
    captured
}

/// Items of `table.include.list` to which no captured table answers.
fn unmatched(config: &ConnectorConfig, captured: &[&ListedTable]) -> Vec<String> {
    let names: Vec<String> = captured.iter().map(|table| table.id()).collect();
    config.tables.unmatched(&names)
}

/// The snapshot reads every captured table whole, or not at all.
pub(crate) fn check_readable(captured: &[&ListedTable], user: &str) -> Result<(), SourceError> {
    let unreadable: Vec<&ListedTable> = captured.iter().copied().filter(|table| !table.selectable).collect();
    if !unreadable.is_empty() {
        return Err(SourceError::Refused(format!(
            "role {user:?} may not read {}: GRANT USAGE on the schema and SELECT on the table to it, or leave the table \
             out",
            publication::named(&unreadable)
        )));
    }
    let hidden: Vec<&ListedTable> = captured.iter().copied().filter(|table| table.row_security).collect();
    if !hidden.is_empty() {
        return Err(SourceError::Refused(format!(
            "row-level security would hide rows of {} from role {user:?} in the snapshot, while the stream shows all: \
             ALTER ROLE … BYPASSRLS, or leave the table out",
            publication::named(&hidden)
        )));
    }
    Ok(())
}
