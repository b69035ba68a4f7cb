//! `rowcast tail`: a topic's records as JSON lines, like `tail -f`.
//!
//! From a data directory or from Kafka; the lines are the same.

mod embedded;
mod line;
#[cfg(feature = "kafka")]
mod on_kafka;

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};

use crate::settings::KafkaSettings;

/// What to print.
#[derive(Clone, Debug)]
pub struct TailOptions {
    /// Which topic.
    pub topic: String,
    /// Where to start.
    pub from: From,
    /// Stop after so many.
    pub count: Option<u64>,
    /// Stop at the end instead of waiting.
    pub exit_at_end: bool,
    /// Key and value as strings.
    pub raw: bool,
    /// Whose log.
    pub place: Place,
}

/// Where the topic is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A data directory.
    Directory(PathBuf),
    /// Kafka.
    Kafka(KafkaSettings),
}

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first record kept.
    Beginning,
    /// After the last record.
    End,
    /// This offset.
    Offset(u64),
}

impl std::str::FromStr for From {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<From> {
        Ok(match text {
            "beginning" => From::Beginning,
            "end" => From::End,
            number => From::Offset(
                number
                    .parse()
                    .with_context(|| format!("--from takes beginning, end or an offset, not {text:?}"))?,
            ),
        })
    }
}

/// Prints until told to stop. A closed pipe (`| head`) is an ordinary end.
pub async fn tail(options: TailOptions, out: impl Write) -> Result<()> {
    match follow(&options, BufWriter::new(out)).await {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        other => other,
    }
}

async fn follow(options: &TailOptions, out: BufWriter<impl Write>) -> Result<()> {
    match &options.place {
        Place::Directory(data_dir) => embedded::follow(options, data_dir, out).await,
        #[cfg(feature = "kafka")]
        Place::Kafka(kafka) => on_kafka::follow(options, kafka, out).await,
        #[cfg(not(feature = "kafka"))]
        Place::Kafka(_) => anyhow::bail!(crate::logs::WITHOUT_KAFKA),
    }
}
