//! Randomness that can be played again: one seed, printed, from which everything random in a test comes.
//!
//! Knows nothing of what is decided with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// SplitMix64: small, seedable, good enough to choose what a load does next.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From `ROWCAST_SEED`, or from the clock; printed either way.
    pub fn from_environment(test: &str) -> Random {
        let clock = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .subsec_nanos()
                .into()
        };
        let seed = std::env::var("ROWCAST_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(clock);
        eprintln!("{test}: ROWCAST_SEED={seed}");
        Random(seed)
    }

    /// Another stream of the same seed, for a task of its own.
    pub fn fork(&mut self) -> Random {
        Random(self.number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// A pause below `bound`.
    pub fn pause(&mut self, bound: Duration) -> Duration {
        Duration::from_micros(self.below(bound.as_micros().max(1) as u64))
    }
}
