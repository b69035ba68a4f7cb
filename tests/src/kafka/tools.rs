//! Kafka's own command line tools, for what an operator does with them.

use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::Kafka;
use crate::{PATIENCE, java};

impl Kafka {
    /// `kafka-topics`: what it prints.
    pub async fn kafka_topics(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.tool("org.apache.kafka.tools.TopicCommand", arguments).await
    }

    /// `kafka-configs`: gives a user a password for a SCRAM mechanism.
    pub async fn add_scram_user(&self, mechanism: &str, user: &str, password: &str) -> anyhow::Result<()> {
        let config = format!("{mechanism}=[iterations=4096,password={password}]");
        let arguments = [
            "--alter",
            "--entity-type",
            "users",
            "--entity-name",
            user,
            "--add-config",
            &config,
        ];
        self.tool("kafka.admin.ConfigCommand", &arguments).await.map(drop)
    }

    /// `kafka-configs`: sets properties of a topic, such as `retention.ms=1`.
    pub async fn alter_topic(&self, topic: &str, config: &str) -> anyhow::Result<()> {
        let arguments = [
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            topic,
            "--add-config",
            config,
        ];
        self.tool("kafka.admin.ConfigCommand", &arguments).await.map(drop)
    }

    pub(super) async fn tool(&self, class: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut java = Command::new("java");
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
        java.arg(java::class_path()?).arg(class);
        java.args(["--bootstrap-server", &self.address()]).args(arguments);
        let ended = java.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, ended).await.context(class.to_owned())?;
        let output = output.context("starting java")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{class}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(printed)
    }
}
