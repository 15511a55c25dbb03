//! Chance from a seed: splitmix64, which is short, good enough, and the same everywhere.

use uuid::Uuid;

/// A source of chance.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Chance that this seed leads to.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to before `high`.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low)
    }

    /// True so many times in a thousand.
    pub const fn permille(&mut self, chance: u64) -> bool {
        self.between(0, 1000) < chance
    }

    /// One of so many.
    pub fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.roll() % of.max(1) as u64).unwrap_or(0)
    }

    /// A new identifier.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(u128::from(self.roll()) << 64 | u128::from(self.roll()))
    }
}
