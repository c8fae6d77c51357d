//! Bytes that are changed on the way.
//!
//! A flipped bit would often go unseen: `12` becomes `13`, `Ann` becomes `Ajn`, and both
//! are fine JSON. Bytes that are no UTF-8 are replaced in silence by many readers. So a
//! byte becomes a control character, which no text format allows in the raw: JSON (RFC
//! 8259, section 7), XML and YAML must refuse it wherever it stands, in a string or out
//! of one. Whatever else has a checksum, a length or a tag finds out, too.

use bytes::{Bytes, BytesMut};

use super::super::chance::Chance;

/// What bytes become: no white space anywhere, and nothing that a terminal acts upon.
const WRONG: [u8; 4] = [0x01, 0x02, 0x03, 0x04];

/// One byte is changed in each stretch of so many. Which, and into what, depends on the
/// stream alone, not on how the body is cut into frames.
#[derive(Debug)]
pub(super) struct Corrupt {
    stretch: u64,
    chance: Chance,
    /// Bytes that went by.
    passed: u64,
    /// Where the stretch after the next change begins.
    after: u64,
    /// The next change: where, and into which of [`WRONG`].
    next: (u64, usize),
}

impl Corrupt {
    /// `sure` bytes will go by, 1 if that is not known: one of them is changed.
    pub(super) fn new(stretch: u64, chance: Chance, sure: u64) -> Self {
        let mut corrupt = Self {
            stretch: stretch.max(1),
            chance,
            passed: 0,
            after: 0,
            next: (0, 0),
        };
        corrupt.choose(sure.clamp(1, corrupt.stretch));
        corrupt
    }

    /// Chooses within the first bytes of the stretch that comes next.
    fn choose(&mut self, within: u64) {
        let place = self.after.saturating_add(self.chance.below(within));
        let wrong = self.chance.below(WRONG.len() as u64);
        self.next = (place, usize::try_from(wrong).unwrap_or(0));
        self.after = self.after.saturating_add(self.stretch);
    }

    /// The next piece of the body as it arrives, and how many of its bytes are changed.
    pub(super) fn pass(&mut self, piece: Bytes) -> (Bytes, u64) {
        let begin = self.passed;
        self.passed = begin.saturating_add(piece.len() as u64);
        if self.next.0 >= self.passed {
            return (piece, 0);
        }
        let (mut piece, mut changed) = (BytesMut::from(piece), 0);
        while self.next.0 < self.passed {
            let (place, wrong) = self.next;
            let place = usize::try_from(place - begin).ok();
            if let Some(byte) = place.and_then(|place| piece.get_mut(place)) {
                *byte = spoilt(*byte, wrong);
                changed += 1;
            }
            self.choose(self.stretch);
        }
        (piece.freeze(), changed)
    }
}

/// Never what it was.
fn spoilt(byte: u8, wrong: usize) -> u8 {
    let candidates = [WRONG[wrong % 4], WRONG[(wrong + 1) % 4]];
    candidates[usize::from(candidates[0] == byte)]
}
