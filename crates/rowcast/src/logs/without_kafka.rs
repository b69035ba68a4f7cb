//! Says so, in a binary that was built without Kafka.

use anyhow::{Result, bail};
use rowcast_postgres::ConnectorConfig;

use super::{Logs, WITHOUT_KAFKA};
use crate::settings::{KafkaSettings, Role, Settings};

pub(super) fn open(_: Role, _: &Settings, _: &KafkaSettings, _: &[ConnectorConfig]) -> Result<Logs> {
    bail!(WITHOUT_KAFKA)
}
