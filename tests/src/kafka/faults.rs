//! What makes a broker refuse: a disk that takes nothing, a right that is taken away.

use anyhow::{Context, bail};

use super::Kafka;

/// Whoever shows no name, as all clients of a broker do that asks for none.
const ANYBODY: &str = "User:ANONYMOUS";

/// Properties of a broker that asks for rights where any are given or taken for a topic.
pub const WITH_RIGHTS: [(&str, &str); 2] = [
    (
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ),
    ("allow.everyone.if.no.acl.found", "true"),
];

impl Kafka {
    /// From now on its disk takes no byte: every write fails, as on one that is full.
    pub fn fill_disk(&self) -> anyhow::Result<()> {
        let id = self.id().context("the broker runs")?.to_string();
        let status = std::process::Command::new("prlimit")
            .args(["--pid", &id, "--fsize=0"])
            .status();
        match status.context("starting prlimit")?.success() {
            true => Ok(()),
            false => bail!("prlimit --pid {id} failed"),
        }
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let java = self.java.take().context("the broker runs")?;
        java.ended().await
    }

    /// Takes a right (`Write`, `Describe`) to a topic away from everybody; the others stay.
    pub async fn forbid(&self, operation: &str, topic: &str) -> anyhow::Result<()> {
        let all = [
            "--add",
            "--allow-principal",
            ANYBODY,
            "--operation",
            "All",
            "--topic",
            topic,
        ];
        self.acls(&all).await?;
        let none = [
            "--add",
            "--deny-principal",
            ANYBODY,
            "--operation",
            operation,
            "--topic",
            topic,
        ];
        self.acls(&none).await
    }

    /// Gives all rights back.
    pub async fn allow_all(&self, topic: &str) -> anyhow::Result<()> {
        self.acls(&["--remove", "--force", "--topic", topic]).await
    }

    async fn acls(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.tool("org.apache.kafka.tools.AclCommand", arguments)
            .await
            .map(drop)
    }
}
