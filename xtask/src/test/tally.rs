//! Counting from the words of the test programs themselves.

use serde::{Deserialize, Serialize};

/// Tests that passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Takes a line of output into account: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(super) fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let numbers = |unit: &str| {
            let counts = rest.split(['.', ';']).map(str::trim);
            counts
                .filter_map(|count| count.strip_suffix(unit))
                .find_map(|count| count.trim().parse::<u64>().ok())
        };
        self.passed += numbers("passed").unwrap_or(0);
        self.failed += numbers("failed").unwrap_or(0);
    }

    /// A program that did not succeed has a failure, whether it reported one or not.
    pub(super) const fn ended(mut self, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_are_summed() {
        let mut tally = Tally::default();
        tally.read("running 4 tests");
        tally.read(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        tally.read("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(tally, Tally { passed: 13, failed: 2 });
    }

    #[test]
    fn a_program_that_died_without_a_word_is_a_failure() {
        let silent = Tally { passed: 5, failed: 0 };
        assert_eq!(silent.ended(false), Tally { passed: 5, failed: 1 });
        assert_eq!(silent.ended(true), silent);
        let told = Tally { passed: 5, failed: 2 };
        assert_eq!(told.ended(false), told);
    }
}
