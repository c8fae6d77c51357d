//! Envoy's response flags: why an answer is what it is, in two or three letters.

use std::{fmt, ops};

/// A set of response flags; the letters are Envoy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No flag: an ordinary answer.
    pub const NONE: Self = Self(0);
    /// `UH`: no healthy upstream.
    pub const NO_HEALTHY_UPSTREAM: Self = Self(1);
    /// `UF`: the upstream connection failed.
    pub const UPSTREAM_CONNECT: Self = Self(1 << 1);
    /// `UO`: overflow, shed by a limit.
    pub const OVERFLOW: Self = Self(1 << 2);
    /// `URX`: retries exhausted.
    pub const RETRIES_EXHAUSTED: Self = Self(1 << 3);
    /// `UT`: the upstream took too long (attempt timeout or deadline).
    pub const UPSTREAM_TIMEOUT: Self = Self(1 << 4);
    /// `UC`: the upstream closed the connection.
    pub const UPSTREAM_CLOSED: Self = Self(1 << 5);
    /// `DC`: the downstream closed; the caller went away.
    pub const DOWNSTREAM_CLOSED: Self = Self(1 << 6);
    /// `RL`: rate limited.
    pub const RATE_LIMITED: Self = Self(1 << 7);
    /// `FI`: a fault is in the answer, or in its place.
    pub const FAULT_ABORT: Self = Self(1 << 8);
    /// `DI`: a fault made it late.
    pub const DELAY_INJECTED: Self = Self(1 << 9);
    /// `NR`: no route.
    pub const NO_ROUTE: Self = Self(1 << 10);

    const LETTERS: [&'static str; 11] = [
        "UH", "UF", "UO", "URX", "UT", "UC", "DC", "RL", "FI", "DI", "NR",
    ];

    /// Neither flag.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All flags of `other` are in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl ops::BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.with(other);
    }
}

impl fmt::Display for Flags {
    /// The letters joined by commas, `-` for none, as in Envoy's access log.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return to.write_str("-");
        }
        let set = (0..Self::LETTERS.len()).filter(|bit| self.0 & (1 << bit) != 0);
        for (position, bit) in set.enumerate() {
            if position > 0 {
                to.write_str(",")?;
            }
            to.write_str(Self::LETTERS[bit])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    #[test]
    fn flags_read_as_in_envoys_access_log() {
        assert_eq!(Flags::NONE.to_string(), "-");
        let both = Flags::FAULT_ABORT | Flags::RETRIES_EXHAUSTED;
        assert_eq!(both.to_string(), "URX,FI");
        assert!(both.contains(Flags::FAULT_ABORT) && !both.contains(Flags::NO_ROUTE));
    }
}
