//! Follows a topic on Kafka's brokers: all its partitions, each in its order.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use rowcast_log::{Start, Tail};

use super::{From, TailOptions, line::print};
use crate::{logs::kafka_options, settings::KafkaSettings};

pub(super) async fn follow(options: &TailOptions, kafka: &KafkaSettings, mut out: BufWriter<impl Write>) -> Result<()> {
    let start = match options.from {
        From::Beginning => Start::Beginning,
        From::End => Start::End,
        From::Offset(offset) => Start::At(rowcast_log::Offset(offset)),
    };
    let mut tail = Tail::open(kafka_options(kafka), &options.topic, start, options.exit_at_end)
        .with_context(|| format!("topic {:?} of Kafka at {}", options.topic, kafka.address))?;
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let next = tail.next();
        tokio::pin!(next);
        // What is printed is shown before a wait, and not flushed for each record of a backlog.
        let records = tokio::select! {
            biased;
            records = &mut next => records,
            () = std::future::ready(()) => {
                out.flush()?;
                next.await
            }
        };
        let Some((partition, chunk)) = records? else {
            break;
        };
        for record in chunk.records().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            print(&mut out, &partition, &record, options.raw)?;
            left -= 1;
        }
    }
    Ok(out.flush()?)
}
