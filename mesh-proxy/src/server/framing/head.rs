//! Heads: line ends, folds, and the headers that say where the body ends.

use memchr::memchr;

use super::Malformed;

/// Empty lines before a request line; RFC 9112, 2.2 asks for one at least.
const EMPTY_LINES: u8 = 4;

/// Most digits of a length: more than any body, and no overflow.
const DIGITS: usize = 18;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Fixed(u64),
    Chunked,
}

/// One head, as far as it has come.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that a head says or not, and none excludes another"
)]
pub(super) struct Head {
    /// A line whose end has not come.
    carried: Vec<u8>,
    empty_lines: u8,
    version: Version,
    is_connect: bool,
    asks_upgrade: bool,
    length: Option<u64>,
    is_chunked: bool,
    is_complete: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    /// The request line has not come.
    #[default]
    Unknown,
    Ten,
    Eleven,
}

impl Head {
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn asks_for_another_protocol(&self) -> bool {
        self.is_connect || self.asks_upgrade
    }

    /// Reads up to the end of the head.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        while let Some(end) = memchr(b'\n', &bytes[used..]) {
            let line = &bytes[used..=used + end];
            used += line.len();
            if self.carried.is_empty() {
                self.line(line)?;
            } else {
                self.carried.extend_from_slice(line);
                let whole = std::mem::take(&mut self.carried);
                self.line(&whole)?;
            }
            if self.is_complete {
                return Ok(used);
            }
        }
        // hyper bounds the head, and with it this.
        self.carried.extend_from_slice(&bytes[used..]);
        Ok(bytes.len())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed::LineEnd)?;
        if self.version == Version::Unknown {
            self.request_line(line)
        } else if line.is_empty() {
            self.is_complete = true;
            Ok(())
        } else {
            self.header(line)
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        if line.is_empty() && self.empty_lines < EMPTY_LINES {
            self.empty_lines += 1;
            return Ok(());
        }
        self.version = if line.ends_with(b" HTTP/1.1") {
            Version::Eleven
        } else if line.ends_with(b" HTTP/1.0") {
            Version::Ten
        } else {
            return Err(Malformed::RequestLine);
        };
        if memchr(b'\r', line).is_some() {
            return Err(Malformed::LineEnd);
        }
        self.is_connect = line.starts_with(b"CONNECT ");
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Malformed> {
        match line[0] {
            b' ' | b'\t' => Err(Malformed::Folded),
            b'c' | b'C' => match value(line, b"content-length") {
                Some(value) => self.content_length(value),
                None => Ok(()),
            },
            b't' | b'T' => match value(line, b"transfer-encoding") {
                Some(value) => self.transfer_encoding(value),
                None => Ok(()),
            },
            b'u' | b'U' => {
                self.asks_upgrade |= value(line, b"upgrade").is_some();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() {
            return Err(Malformed::Length);
        }
        self.length = Some(number(value).ok_or(Malformed::Length)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::Coding);
        }
        self.is_chunked = true;
        Ok(())
    }

    /// Where the body ends, once the head is complete.
    pub(super) fn body(&self) -> Result<Length, Malformed> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Malformed::LengthAndCoding),
            (true, None) if self.version != Version::Eleven => Err(Malformed::Coding),
            // What follows CONNECT is the tunnel's, or nothing.
            (true, None) if self.is_connect => Err(Malformed::Coding),
            (true, None) => Ok(Length::Chunked),
            (false, Some(length)) if length > 0 && self.is_connect => Err(Malformed::Length),
            (false, length) => Ok(Length::Fixed(length.unwrap_or(0))),
        }
    }
}

/// Value of the header of this name (lower case), without the space around it. A
/// space before the colon is no header's name: hyper refuses it.
pub(super) fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (own, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    own.eq_ignore_ascii_case(name).then(|| trim(value))
}

/// Without spaces and tabs around it, and nothing else that counts as white.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}
