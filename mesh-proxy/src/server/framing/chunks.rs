//! Bodies in chunks: sizes, ends, trailers.

use memchr::memchr;

use super::{Malformed, head::value};

/// Most digits of a chunk's size: 2^60 bytes, and no overflow.
const DIGITS: u8 = 15;

/// Trailers that would change what the head has said.
const FORBIDDEN: [&[u8]; 5] = [
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"trailer",
];

/// One body, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    digits: u8,
    /// A trailer whose end has not come.
    carried: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    /// Between `;` and the end of the line: not forwarded, so only its end matters.
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    Trailers,
    Complete,
}

impl Chunks {
    pub(super) fn is_complete(&self) -> bool {
        self.at == At::Complete
    }

    /// Reads up to the end of the body.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        while used < bytes.len() && self.at != At::Complete {
            used += match self.at {
                At::Data => self.data(&bytes[used..]),
                At::Trailers => self.trailers(&bytes[used..])?,
                _ => {
                    self.byte(bytes[used])?;
                    1
                }
            };
        }
        Ok(used)
    }

    fn byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.at = match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() => return self.digit(byte),
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, b'\r') if self.digits > 0 => At::SizeEnd,
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => At::Extension,
            (At::SizeEnd, b'\n') => self.begin(),
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size,
            _ => return Err(Malformed::Chunk),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.digits == DIGITS {
            return Err(Malformed::Chunk);
        }
        let digit = char::from(byte).to_digit(16).unwrap_or(0); // a hex digit, as asked
        self.digits += 1;
        self.size = self.size * 16 + u64::from(digit);
        Ok(())
    }

    fn begin(&mut self) -> At {
        self.digits = 0;
        if self.size == 0 {
            At::Trailers
        } else {
            At::Data
        }
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let part = usize::try_from(self.size).map_or(bytes.len(), |size| size.min(bytes.len()));
        self.size -= part as u64;
        if self.size == 0 {
            self.at = At::DataReturn;
        }
        part
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let Some(end) = memchr(b'\n', bytes) else {
            // hyper bounds trailers as it bounds heads.
            self.carried.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.carried.extend_from_slice(&bytes[..=end]);
        let line = std::mem::take(&mut self.carried);
        self.trailer(&line)?;
        Ok(end + 1)
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed::LineEnd)?;
        if line.is_empty() {
            self.at = At::Complete;
            return Ok(());
        }
        if memchr(b'\r', line).is_some() {
            return Err(Malformed::LineEnd);
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(Malformed::Folded);
        }
        if FORBIDDEN.iter().any(|name| value(line, name).is_some()) {
            return Err(Malformed::Trailer);
        }
        Ok(())
    }
}
