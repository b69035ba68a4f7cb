//! The log on Kafka keeps the contract of every log, in both modes, and what only Kafka can do to it is seen to.

mod appender;
mod away;
mod mirror;
mod place;
mod tail;

use rowcast_log::WriterId;

/// Without transactions: the topic is the memory.
struct Idempotent(place::Place);

/// With transactions.
struct Transactional(place::Place);

place::fixture!(Idempotent, WriterId::new("test"));
place::fixture!(
    Transactional,
    WriterId {
        transactions: true,
        ..WriterId::new("test")
    }
);

mod idempotent {
    rowcast_log::contract_tests!(shared super::Idempotent);
}

mod transactional {
    rowcast_log::contract_tests!(shared super::Transactional);
}
