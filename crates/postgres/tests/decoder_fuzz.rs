//! A fuzz test that needs no nightly compiler: mutations of frames that a real PostgreSQL made.
//!
//! `ROWCAST_FUZZ_ITERATIONS` says how many (200,000 unless it does), `ROWCAST_FUZZ_SEED` repeats a run by the seed that
//! it printed. The coverage-guided twin is `fuzz/`.

mod decoder_support;

use std::time::{SystemTime, UNIX_EPOCH};

use decoder_support::{encode, golden_frames, own};
use rowcast_postgres::{
    copy_text,
    pgoutput::{self, replication},
};

/// Numbers that lengths and counts go wrong at.
const EDGES: [u32; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x10000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn mutate(frame: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(frame.len());
    match random.below(8) {
        0 => frame.truncate(at),
        1 => frame.insert(at, random.next() as u8),
        2 if at < frame.len() => drop(frame.remove(at)),
        3 if at < frame.len() => frame[at] ^= 1 << random.below(8),
        4 => {
            let edge = EDGES[random.below(EDGES.len())].to_be_bytes();
            let width = [1, 2, 4][random.below(3)];
            for (byte, edge) in frame.iter_mut().skip(at).zip(&edge[4 - width..]) {
                *byte = *edge;
            }
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            frame.truncate(at);
            frame.extend_from_slice(&other[random.below(other.len())..]);
        }
        6 if !frame.is_empty() => frame[0] = corpus[random.below(corpus.len())][0],
        _ if at < frame.len() => {
            let kinds = b"ntubNKOdfi\0";
            frame[at] = kinds[random.below(kinds.len())];
        }
        _ => {}
    }
}

/// What must hold whatever the bytes are. Returns whether they were a message.
fn check(frame: &[u8]) -> bool {
    let decoded = pgoutput::decode(frame);
    match &decoded {
        Ok(message) => {
            let owned = own(message);
            let again = encode(&owned);
            assert_eq!(again.len(), frame.len(), "all bytes were read, none twice");
            assert_eq!(pgoutput::decode(&again).map(|message| own(&message)), Ok(owned));
        }
        Err(error) => {
            assert!(error.position <= frame.len(), "the error is about a byte of the frame");
            assert!(error.to_string().len() < 200, "the error has no value in it");
        }
    }
    if let Ok(replication::Frame::XLogData { payload, .. }) = replication::decode(frame) {
        assert_eq!(payload.len() + 25, frame.len());
    }
    let (mut scratch, mut cells) = (Vec::new(), Vec::new());
    let _ = copy_text::split_row(frame, &mut scratch, &mut cells);
    decoded.is_ok()
}

#[test]
fn mutated_frames_never_panic_and_never_lie() {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64;
    let seed = number("ROWCAST_FUZZ_SEED").unwrap_or(clock);
    let iterations = number("ROWCAST_FUZZ_ITERATIONS").unwrap_or(200_000);
    println!("ROWCAST_FUZZ_SEED={seed} ROWCAST_FUZZ_ITERATIONS={iterations}");

    let corpus = golden_frames();
    let mut random = Random(seed);
    let mut whole = 0;
    for iteration in 0..iterations {
        let mut frame = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut frame, &corpus, &mut random);
        }
        let ok = std::panic::catch_unwind(|| check(&frame));
        match ok {
            Ok(decoded) => whole += u64::from(decoded),
            Err(_) => panic!(
                "ROWCAST_FUZZ_SEED={seed}, iteration {iteration}: {}",
                frame.escape_ascii()
            ),
        }
    }
    // Were all mutants rejected at their first byte, this test would show nothing.
    assert!(
        whole > iterations / 100,
        "only {whole} of {iterations} mutants were messages"
    );
    assert!(whole < iterations, "no mutant was refused");
    println!("{whole} of {iterations} mutants were messages");
}
