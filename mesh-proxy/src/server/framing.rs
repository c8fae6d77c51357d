//! Where each HTTP/1 message begins and ends, told more strictly than hyper does.
//!
//! Request smuggling lives on framing that two parsers read differently. hyper is
//! careful, but kind: it takes a bare line feed for a line end, and of a length
//! beside a transfer coding it believes the coding and says nothing. This reads the
//! same bytes on their way to hyper, follows messages from head to end, and stops at
//! whatever is not said in exactly one way. What it lets through, hyper understands
//! as it does; what hyper refuses beyond that (tokens, control characters), it need
//! not know.

mod chunks;
mod head;

use chunks::Chunks;
use head::Head;

/// Why a message was refused. Bounded: it is a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Malformed {
    /// A line that does not end with CR LF, or has one of them inside.
    LineEnd = 1,
    /// Not `METHOD target HTTP/1.1`.
    RequestLine,
    /// A header that goes on in the next line.
    Folded,
    /// A length that is no plain number, or more than one.
    Length,
    /// A transfer coding other than `chunked`, more than one, or one in HTTP/1.0.
    Coding,
    /// A length beside a transfer coding.
    LengthAndCoding,
    /// A chunk whose size or end is not as it must be.
    Chunk,
    /// A trailer that speaks about framing or routing.
    Trailer,
}

impl Malformed {
    const ALL: [Self; 8] = [
        Self::LineEnd,
        Self::RequestLine,
        Self::Folded,
        Self::Length,
        Self::Coding,
        Self::LengthAndCoding,
        Self::Chunk,
        Self::Trailer,
    ];

    /// From its number; none for 0.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as u8 == number)
    }

    /// Bounded code, for the metric.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::LineEnd => "line_end",
            Self::RequestLine => "request_line",
            Self::Folded => "folded_header",
            Self::Length => "content_length",
            Self::Coding => "transfer_encoding",
            Self::LengthAndCoding => "length_and_coding",
            Self::Chunk => "chunk",
            Self::Trailer => "trailer",
        }
    }

    /// For whoever sent it.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::LineEnd => "a line does not end with CR LF, or one of them stands alone",
            Self::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            Self::Folded => "a header goes on in the next line",
            Self::Length => "Content-Length must be one plain number, given once",
            Self::Coding => "Transfer-Encoding must be `chunked`, given once, in HTTP/1.1",
            Self::LengthAndCoding => "Content-Length and Transfer-Encoding exclude one another",
            Self::Chunk => "the size or the end of a chunk is malformed",
            Self::Trailer => "a trailer speaks about framing or routing",
        }
    }
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    /// Nothing of a message has come.
    Start,
    Head(Head),
    /// So many bytes of a body are left.
    Fixed(u64),
    Chunks(Chunks),
    /// The message asked for another protocol: whether what follows is HTTP depends
    /// on the answer.
    Asked,
    /// Another protocol: not looked at.
    Foreign,
    Refused(Malformed),
}

/// The part of a message that a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Between messages.
    Idle = 0,
    /// A head has begun and is not complete.
    Head,
    /// A body has begun and is not complete.
    Body,
    /// Another protocol, or about to be.
    Foreign,
    /// Nothing more is taken.
    Refused,
}

/// Follows one connection's messages.
#[derive(Debug)]
pub(super) struct Framing {
    at: At,
    /// The message asks for another protocol.
    asks: bool,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            asks: false,
        }
    }

    /// Reads on. Returns how many of the bytes may go further: less than all where a
    /// message ends, or where it asks for another protocol. On an error, none may.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let fed = self.step(bytes);
        if let Err(why) = fed {
            self.at = At::Refused(why);
        }
        fed
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match &mut self.at {
                At::Start => self.at = At::Head(Head::default()),
                At::Head(head) => {
                    used += head.feed(rest)?;
                    if !head.is_complete() {
                        return Ok(used);
                    }
                    self.after_head()?;
                    if self.is_between_messages() {
                        return Ok(used);
                    }
                }
                At::Fixed(left) => {
                    let part =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= part as u64;
                    if *left == 0 {
                        self.end();
                    }
                    return Ok(used + part);
                }
                At::Chunks(chunks) => {
                    used += chunks.feed(rest)?;
                    if chunks.is_complete() {
                        self.end();
                    }
                    return Ok(used);
                }
                At::Asked => return Ok(used),
                At::Foreign => return Ok(bytes.len()),
                At::Refused(why) => return Err(*why),
            }
        }
    }

    fn after_head(&mut self) -> Result<(), Malformed> {
        let At::Head(head) = &self.at else {
            return Ok(());
        };
        self.asks = head.asks_for_another_protocol();
        match head.body()? {
            head::Length::Fixed(0) => self.end(),
            head::Length::Fixed(length) => self.at = At::Fixed(length),
            head::Length::Chunked => self.at = At::Chunks(Chunks::default()),
        }
        Ok(())
    }

    fn end(&mut self) {
        self.at = if self.asks { At::Asked } else { At::Start };
    }

    fn is_between_messages(&self) -> bool {
        matches!(self.at, At::Start | At::Asked)
    }

    /// Whether what follows depends on the answer; settle it with [`Self::answered`].
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.at, At::Asked)
    }

    /// The answer to a message that asked for another protocol.
    pub(super) fn answered(&mut self, switched: bool) {
        self.at = if switched { At::Foreign } else { At::Start };
        self.asks = false;
    }

    /// Part of a message that the connection is in.
    pub(super) fn phase(&self) -> Phase {
        match self.at {
            At::Start => Phase::Idle,
            At::Head(_) => Phase::Head,
            At::Fixed(_) | At::Chunks(_) => Phase::Body,
            At::Asked | At::Foreign => Phase::Foreign,
            At::Refused(_) => Phase::Refused,
        }
    }
}

#[cfg(test)]
mod tests;
