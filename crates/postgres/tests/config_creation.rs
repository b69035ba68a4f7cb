//! Topics are made as Kafka Connect makes them (KIP-158). What Connect itself answers to these was looked at: its classes
//! `SourceConnectorConfig` and `TopicCreationGroup`, 4.3.1.

use rowcast_postgres::{
    ConfigErrors, ConnectorConfig,
    config::{TopicGroups, TopicSettings},
};

fn parse(given: &[(&str, &str)]) -> Result<ConnectorConfig, ConfigErrors> {
    let mut config = serde_json::json!({
        "name": "n", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
    });
    for (name, value) in given {
        config[format!("topic.creation.{name}")] = (*value).into();
    }
    ConnectorConfig::from_json(&config.to_string())
}

/// With partitions and replicas of the default group, which Connect demands.
fn with_default<'a>(given: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [
        &[("default.partitions", "3"), ("default.replication.factor", "-1")],
        given,
    ]
    .concat()
}

fn groups(given: &[(&str, &str)]) -> TopicGroups {
    let config = parse(&with_default(given)).expect("good groups");
    assert_eq!(config.remarks(), [""; 0]);
    config.topic_groups
}

fn errors(given: &[(&str, &str)]) -> Vec<String> {
    parse(given).expect_err("bad groups").0
}

fn settings(partitions: Option<u32>, replication_factor: Option<u16>, config: &[(&str, &str)]) -> TopicSettings {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    TopicSettings {
        partitions,
        replication_factor,
        config: config.iter().map(owned).collect(),
        by_broker: false,
    }
}

#[test]
fn without_a_word_topics_are_as_the_broker_makes_them() {
    let config = parse(&[("enable", "true")]).expect("a good configuration");
    assert_eq!(config.topic_groups.settings("p.public.a"), TopicSettings::default());
    assert!(!config.topic_groups.asks_for_anything());
}

#[test]
fn the_default_group_takes_every_topic_with_any_property() {
    let groups = groups(&[("default.cleanup.policy", "compact"), ("default.retention.ms", "-1")]);
    let wanted = settings(Some(3), None, &[("cleanup.policy", "compact"), ("retention.ms", "-1")]);
    assert_eq!(groups.settings("p.public.a"), wanted);
    assert!(groups.asks_for_anything());
}

#[test]
fn the_first_group_that_takes_a_topic_decides() {
    let groups = groups(&[
        ("groups", "hot , logs,orders"),
        ("hot.include", r"p\.public\.orders"),
        ("hot.partitions", "12"),
        ("logs.include", r"p\.audit\..*, p\.public\..*_log"),
        ("logs.exclude", r".*\.kept_log"),
        ("logs.replication.factor", "2"),
        ("logs.retention.ms", "1000"),
        ("orders.include", r"p\.public\.orders.*"),
        ("orders.partitions", "-1"),
        ("default.compression.type", "zstd"),
    ]);
    // Partitions and replicas come from the default group, its other properties do not.
    assert_eq!(groups.settings("p.public.orders"), settings(Some(12), None, &[]));
    assert_eq!(groups.settings("p.public.orders_2"), settings(None, None, &[]));
    let logs = settings(Some(3), Some(2), &[("retention.ms", "1000")]);
    assert_eq!(groups.settings("p.audit.x"), logs);
    assert_eq!(groups.settings("p.public.a_log"), logs);
    let default = settings(Some(3), None, &[("compression.type", "zstd")]);
    assert_eq!(groups.settings("p.public.kept_log"), default, "excluded");
    assert_eq!(groups.settings("P.AUDIT.X"), default, "case tells topics apart");
    assert_eq!(groups.settings("xp.audit.x"), default, "whole names only");
}

#[test]
fn what_connect_refuses_is_refused() {
    let required =
        "is required beside topic.creation.*: a positive number of partitions, or -1 for the broker's default";
    assert_eq!(
        errors(&[("default.replication.factor", "1")]),
        [format!("topic.creation.default.partitions: {required}")]
    );
    assert_eq!(errors(&[("groups", "a")]).len(), 2, "the default group's two");
    let error = |given: &[(&str, &str)]| errors(&with_default(given)).join("\n");
    assert_eq!(
        error(&[("groups", "a,b,a"), ("a.include", "x"), ("b.include", "x")]),
        "topic.creation.groups: names a group twice; keep it where it shall be asked"
    );
    assert_eq!(
        error(&[("groups", "a"), ("a.include", "x"), ("a.partitions", "0")]),
        "topic.creation.a.partitions: takes a positive number of partitions, or -1 for the broker's default, got \"0\""
    );
    for wrong in ["0", "-2", "40000", "x", "1.5"] {
        let said = error(&[("groups", "a"), ("a.include", "x"), ("a.replication.factor", wrong)]);
        assert!(
            said.starts_with("topic.creation.a.replication.factor: takes a positive"),
            "{said}"
        );
    }
    let said = error(&[("groups", "a"), ("a.include", "x[, y")]);
    assert!(
        said.starts_with("topic.creation.a.include: \"x[\" is not a regular expression"),
        "{said}"
    );
    let many = vec!["x"; 1_001].join(",");
    assert!(error(&[("groups", "a"), ("a.include", &many)]).contains("at most 1000 regular expressions"));
}

#[test]
fn what_changes_nothing_is_said() {
    let config = parse(&with_default(&[
        ("groups", "a,default"),
        ("default.include", "x"),
        ("b.partitions", "2"),
        ("partitions", "2"),
    ]));
    let config = config.expect("Connect takes it too");
    assert_eq!(
        config.remarks(),
        [
            "topic.creation.default.include: has no effect here: the default group takes every topic that no other takes",
            "topic.creation.b.partitions: has no effect here: its group is not in topic.creation.groups",
            "topic.creation.partitions: has no effect here: its group is not in topic.creation.groups",
            "topic.creation.a.include: not given: its group takes no topic",
        ]
    );
    assert_eq!(config.topic_groups.settings("y"), settings(Some(3), None, &[]));
}

#[test]
fn switched_off_nothing_is_asked_of_the_broker_but_the_topic() {
    let config = parse(&[("enable", "false"), ("default.partitions", "no number")]).expect("Connect looks at none");
    assert_eq!(
        config.remarks(),
        [
            "topic.creation.default.partitions: has no effect here: topic.creation.enable is false, so the broker makes \
             topics, or nobody does"
        ]
    );
    let settings = config.topic_groups.settings("p.public.a");
    assert!(settings.by_broker && settings.partitions.is_none());
}
