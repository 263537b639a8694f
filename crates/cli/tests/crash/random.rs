//! An RNG with a seed: the same seed gives the same choices.

/// A stream of choices (SplitMix64, Steele and others 2014).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed in `TEGATA_SEED`, or else a fresh one.
    pub(crate) fn seed() -> u64 {
        match std::env::var("TEGATA_SEED") {
            Ok(seed) => seed.parse().expect("TEGATA_SEED is a whole number"),
            Err(_) => {
                let mut bytes = [0; 4];
                let random = aws_lc_rs::rand::SystemRandom::new();
                aws_lc_rs::rand::SecureRandom::fill(&random, &mut bytes).expect("random bytes");
                u32::from_be_bytes(bytes).into()
            }
        }
    }

    /// A different stream, for choices that are made concurrently.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A whole number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it was a usize")
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
