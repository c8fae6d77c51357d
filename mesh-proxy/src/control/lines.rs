//! A body, line by line.

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::ControlError;

/// Longest line: far beyond the snapshot of a large mesh.
const LONGEST: usize = 16 * 1024 * 1024;

/// The lines of a streamed body.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    pub(super) fn of(body: Incoming) -> Self {
        let buffer = BytesMut::new();
        Self { body, buffer }
    }

    /// The next line without its end; none: the body has ended.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, ControlError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                return Ok(Some(line));
            }
            if self.buffer.len() > LONGEST {
                return Err(ControlError::TooLong(LONGEST));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
