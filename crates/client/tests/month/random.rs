//! An RNG with a seed (SplitMix64): the same seed gives the same month.

use tegata_client::{agent::core::RandomSource, renewal::Jitter};

#[derive(Clone)]
pub struct Seeded(pub u64);

impl Seeded {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low + 1).unwrap();
        low + i64::try_from(self.number() % span).unwrap()
    }

    pub fn one_in(&mut self, many: i64) -> bool {
        self.between(1, many) == 1
    }
}

impl RandomSource for Seeded {
    fn jitter(&mut self) -> Jitter {
        #[expect(clippy::cast_precision_loss, reason = "of 32 bits nothing is lost")]
        let part = (Seeded::number(self) >> 32) as f64;
        part / 4_294_967_296.0
    }

    fn number(&mut self) -> u64 {
        Seeded::number(self)
    }
}
