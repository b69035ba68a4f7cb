//! Counts latencies in constant memory, so that tens of millions of deliveries cost the load generator nothing.
//!
//! Log-linear like HdrHistogram: every power of two is cut into 64 equal buckets, so a value read back is never more
//! than 1/64 (1.6 %) above the value recorded. Knows nothing of units: callers record microseconds.

/// Buckets in each power of two: 64 keeps the error below the noise of two runs.
const BUCKETS_PER_OCTAVE: u64 = 64;
const OCTAVE_BITS: u32 = BUCKETS_PER_OCTAVE.trailing_zeros();
/// Values up to 2^42 (50 days in microseconds); anything above is counted in the last bucket.
const OCTAVES: usize = 42 - OCTAVE_BITS as usize + 1;

/// A histogram of whole numbers.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram {
            counts: vec![0; OCTAVES * BUCKETS_PER_OCTAVE as usize],
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn record(&mut self, value: u64) {
        let bucket = bucket_of(value).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// How many values were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exact.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The smallest bucket bound that at least `quantile` (0 to 1) of the values do not exceed; 0 when empty.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        let wanted = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound_of(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Values below 64 have a bucket each; above, the top seven bits of the value choose it.
fn bucket_of(value: u64) -> usize {
    if value < BUCKETS_PER_OCTAVE {
        return value as usize;
    }
    let shift = value.ilog2() - OCTAVE_BITS;
    let octave = shift as u64 + 1;
    (octave * BUCKETS_PER_OCTAVE + (value >> shift) - BUCKETS_PER_OCTAVE) as usize
}

fn upper_bound_of(bucket: usize) -> u64 {
    let (octave, within) = (bucket as u64 / BUCKETS_PER_OCTAVE, bucket as u64 % BUCKETS_PER_OCTAVE);
    if octave == 0 {
        return within;
    }
    ((within + BUCKETS_PER_OCTAVE + 1) << (octave - 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_read_back_is_at_most_one_sixty_fourth_above_the_value_recorded() {
        for value in [
            0,
            1,
            63,
            64,
            65,
            127,
            128,
            1_000,
            13_000,
            40_000,
            999_999,
            60_000_000,
            1 << 41,
        ] {
            let upper = upper_bound_of(bucket_of(value));
            assert!(upper >= value, "{value} came back as {upper}");
            assert!(upper - value <= value / 64, "{value} came back as {upper}");
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_hole() {
        for bucket in 0..2_000 {
            assert_eq!(bucket_of(upper_bound_of(bucket)), bucket);
            assert_eq!(bucket_of(upper_bound_of(bucket) + 1), bucket + 1);
        }
    }

    #[test]
    fn quantiles_of_a_uniform_spread_lie_where_they_should() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|value| histogram.record(value));
        assert!((5_000..=5_079).contains(&histogram.quantile(0.50)));
        assert!((9_900..=10_000).contains(&histogram.quantile(0.99)));
        assert_eq!(histogram.quantile(1.0), 10_000);
    }
}
