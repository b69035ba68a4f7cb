//! Any bytes as a replication frame, as a pgoutput message and as a COPY row: an answer or an error, never a panic,
//! never a cell more or less than the tuple claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rowcast_postgres::{
    copy_text,
    pgoutput::{self, Message, Old, Tuple, replication},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(replication::Frame::XLogData { payload, .. }) = replication::decode(bytes) {
        message(payload);
    }
    message(bytes);
    let (mut scratch, mut cells) = (Vec::new(), Vec::new());
    let _ = copy_text::split_row(bytes, &mut scratch, &mut cells);
});

fn message(payload: &[u8]) {
    match pgoutput::decode(payload) {
        Ok(Message::Insert { new, .. }) => row(&new),
        Ok(Message::Update { old, new, .. }) => {
            row(&new);
            if let Some(Old::Key(old) | Old::Full(old)) = old {
                row(&old);
            }
        }
        Ok(Message::Delete { old: Old::Key(old) | Old::Full(old), .. }) => row(&old),
        Ok(_) => {}
        Err(error) => assert!(error.position <= payload.len()),
    }
}

fn row(tuple: &Tuple<'_>) {
    let mut cells = Vec::new();
    tuple.cells(&mut cells);
    assert_eq!(cells.len(), usize::from(tuple.columns()));
}
