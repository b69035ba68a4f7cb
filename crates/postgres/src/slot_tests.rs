//! The decision table of `slot::plan`: every case in which going on would skip or repeat changes is refused.

use rowcast_event::TransactionMark;

use super::*;
use crate::ServerIdentity;

fn slot(confirmed: u64) -> Slot {
    Slot {
        name: "s".to_owned(),
        plugin: "pgoutput".to_owned(),
        database: "shop".to_owned(),
        wal_status: "reserved".to_owned(),
        confirmed_flush: Some(Lsn(confirmed)),
        ..Slot::default()
    }
}

fn log_up_to(end: u64, confirmed: u64) -> Resume {
    Resume {
        server: Some(ServerIdentity {
            system_identifier: "1".to_owned(),
            timeline: 1,
        }),
        snapshot_done: true,
        mark: Some(TransactionMark {
            commit_lsn: Lsn(end - 1),
            end_lsn: Lsn(end),
            changes: 1,
            ts_us: 0,
        }),
        confirmed: Lsn(confirmed),
        restart_snapshot: false,
        published: crate::Published::default(),
    }
}

fn plan_of(found: Option<&Slot>, resume: &Resume) -> Result<Plan, String> {
    plan_with(found, resume, false)
}

fn plan_with(found: Option<&Slot>, resume: &Resume, may_read_again: bool) -> Result<Plan, String> {
    plan("s", found, resume, "shop", may_read_again).map_err(|error| match error {
        SourceError::Refused(sentence) => format!("refused: {sentence}"),
        SourceError::Gone(sentence) => format!("gone: {sentence}"),
        SourceError::Busy(sentence) => format!("busy: {sentence}"),
    })
}

#[test]
fn a_first_start_creates_the_slot_and_only_then() {
    assert_eq!(
        plan_of(None, &Resume::default()),
        Ok(Plan::Create { drop_first: false })
    );
    let refusal = plan_of(None, &log_up_to(100, 90)).expect_err("the slot has gone");
    assert!(
        refusal.contains("does not exist") && refusal.contains("0/64"),
        "{refusal}"
    );
}

#[test]
fn a_slot_of_an_interrupted_snapshot_is_made_anew() {
    let resume = Resume {
        restart_snapshot: true,
        ..Resume::default()
    };
    assert_eq!(plan_of(Some(&slot(50)), &resume), Ok(Plan::Create { drop_first: true }));
    let busy = Slot {
        active_pid: Some(7),
        ..slot(50)
    };
    assert!(plan_of(Some(&busy), &resume).expect_err("busy").starts_with("busy"));
}

#[test]
fn a_slot_that_the_log_knows_nothing_of_is_never_touched() {
    let refusal = plan_of(Some(&slot(50)), &Resume::default()).expect_err("not ours");
    assert!(refusal.contains("pg_drop_replication_slot('s')"), "{refusal}");
}

#[test]
fn the_slot_may_lag_behind_the_log_but_never_lead_it() {
    assert_eq!(
        plan_of(Some(&slot(100)), &log_up_to(100, 0)),
        Ok(Plan::Continue(Lsn(100)))
    );
    assert_eq!(plan_of(Some(&slot(7)), &log_up_to(100, 0)), Ok(Plan::Continue(Lsn(7))));
    assert_eq!(
        plan_of(Some(&slot(120)), &log_up_to(100, 120)),
        Ok(Plan::Continue(Lsn(120)))
    );
    let refusal = plan_of(Some(&slot(121)), &log_up_to(100, 120)).expect_err("ahead");
    assert!(refusal.contains("0/79") && refusal.contains("0/78"), "{refusal}");
}

/// A capture that stands by has looked at the log before the one at work wrote on: that is no gap, and nothing to mend.
#[test]
fn a_slot_that_leads_the_log_while_somebody_uses_it_is_waited_for() {
    let used = Slot {
        active_pid: Some(7),
        ..slot(121)
    };
    for may_read_again in [false, true] {
        let planned = plan("s", Some(&used), &log_up_to(100, 120), "shop", may_read_again);
        assert!(matches!(planned, Err(SourceError::Busy(_))), "{planned:?}");
    }
}

#[test]
fn lost_and_foreign_slots_are_refused_with_their_facts() {
    let cases = [
        (
            Slot {
                wal_status: "lost".to_owned(),
                ..slot(1)
            },
            "wal_status=lost",
        ),
        (
            Slot {
                invalidation_reason: "idle_timeout".to_owned(),
                ..slot(1)
            },
            "invalidation_reason=idle_timeout",
        ),
        (
            Slot {
                plugin: "test_decoding".to_owned(),
                ..slot(1)
            },
            "test_decoding",
        ),
        (
            Slot {
                database: "other".to_owned(),
                ..slot(1)
            },
            "\"other\"",
        ),
        (
            Slot {
                temporary: true,
                ..slot(1)
            },
            "temporary",
        ),
        (
            Slot {
                confirmed_flush: None,
                ..slot(1)
            },
            "no confirmed position",
        ),
    ];
    for (slot, fact) in cases {
        let refusal = plan_of(Some(&slot), &log_up_to(100, 0)).expect_err(fact);
        assert!(refusal.starts_with("refused") && refusal.contains(fact), "{refusal}");
    }
}

#[test]
fn the_statement_fits_each_version() {
    let statement = |version, failover, export_snapshot| {
        let kind = SlotKind {
            failover,
            export_snapshot,
            temporary: false,
        };
        create_statement("s", version, kind)
    };
    assert_eq!(
        statement(14_00_05, true, true),
        "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput EXPORT_SNAPSHOT"
    );
    assert_eq!(
        statement(15_00_05, true, true),
        "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput (SNAPSHOT 'export')"
    );
    assert_eq!(
        statement(17_00_00, true, false),
        "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER)"
    );
}

#[test]
fn a_mode_that_may_read_again_mends_a_gap_and_nothing_else() {
    let again = |found: Option<&Slot>, resume: &Resume| plan_with(found, resume, true);
    let log = log_up_to(100, 90);
    assert_eq!(again(None, &log), Ok(Plan::Create { drop_first: false }));
    assert_eq!(again(Some(&slot(200)), &log), Ok(Plan::Create { drop_first: true }));
    let lost = Slot {
        wal_status: "lost".to_owned(),
        ..slot(90)
    };
    assert_eq!(again(Some(&lost), &log), Ok(Plan::Create { drop_first: true }));
    let read = Slot {
        active_pid: Some(7),
        ..slot(200)
    };
    assert!(again(Some(&read), &log).expect_err("in use").starts_with("busy"));
    assert_eq!(again(Some(&slot(90)), &log), Ok(Plan::Continue(Lsn(90))));
    let theirs = Slot {
        plugin: "wal2json".to_owned(),
        ..slot(90)
    };
    assert!(again(Some(&theirs), &log).is_err(), "somebody else's is not dropped");
    assert!(
        again(Some(&slot(5)), &Resume::default()).is_err(),
        "nor one that we know nothing of"
    );
}
