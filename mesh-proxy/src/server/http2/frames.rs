//! Heads of HTTP/2 requests, which may come in pieces: how long one has been coming
//! in. Frames are otherwise left to hyper.

/// Length of a frame's own head.
const HEAD: usize = 9;

/// Length of what comes before the first frame.
const PREFACE: usize = 24;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(in crate::server) struct Frames {
    /// Bytes until the next frame.
    skip: usize,
    head: [u8; HEAD],
    /// How much of `head` has come.
    have: usize,
    /// The frame that is coming in belongs to a head.
    in_frame: bool,
    /// A head goes on in the next frame.
    goes_on: bool,
    /// Heads that have begun so far.
    begun: u32,
}

impl Frames {
    pub(in crate::server) fn new() -> Self {
        Self {
            skip: PREFACE,
            head: [0; HEAD],
            have: 0,
            in_frame: false,
            goes_on: false,
            begun: 0,
        }
    }

    /// Reads on. Whether a head has begun in these bytes.
    pub(in crate::server) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let before = self.begun;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip == 0 {
                self.in_frame = false;
            }
            let more = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have == HEAD {
                self.begin();
            }
        }
        self.begun != before
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.have = 0;
        self.begun = self.begun.wrapping_add(u32::from(kind == HEADERS));
        let is_head = matches!(kind, HEADERS | CONTINUATION);
        self.in_frame = is_head && self.skip > 0;
        self.goes_on = is_head && flags & END_HEADERS == 0;
    }

    /// Whether a head has begun and not ended.
    pub(in crate::server) fn is_in_head(&self) -> bool {
        self.in_frame || self.goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTINUATION, END_HEADERS, Frames, HEADERS, PREFACE};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn a_head_ends_where_it_says_in_whatever_pieces_it_comes() {
        let mut bytes = vec![0; PREFACE];
        bytes.extend(frame(4, 0, b""));
        bytes.extend(frame(HEADERS, 0, b"abc"));
        let before_continuation = bytes.len();
        bytes.extend(frame(CONTINUATION, END_HEADERS, b"de"));
        let whole = bytes.len();
        bytes.extend(frame(0, 1, b"data"));
        for piece in 1..20 {
            let mut frames = Frames::new();
            let mut fed = 0;
            for part in bytes.chunks(piece) {
                frames.feed(part);
                fed += part.len();
                if (before_continuation..whole).contains(&fed) {
                    assert!(frames.is_in_head(), "{fed} in pieces of {piece}");
                }
            }
            assert!(!frames.is_in_head(), "pieces of {piece}");
        }
    }
}
