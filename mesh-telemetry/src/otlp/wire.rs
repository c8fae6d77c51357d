//! The encoding below all messages: keys, variable-length numbers, lengths.

/// Seven bits a byte, the lowest first.
pub(super) fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

/// How many bytes that takes.
pub(super) fn varint_len(number: u64) -> usize {
    let bits = (u64::BITS - number.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// How many bytes a field of `length` bytes takes with its length, without its key.
pub(super) fn field_len(length: usize) -> usize {
    varint_len(length as u64) + length
}

/// A field and how it is encoded.
fn key(to: &mut Vec<u8>, field: u8, encoding: u8) {
    varint(to, u64::from(field) << 3 | u64::from(encoding));
}

/// A number of variable length, left out when zero.
pub(super) fn number(to: &mut Vec<u8>, field: u8, number: u64) {
    if number != 0 {
        key(to, field, 0);
        varint(to, number);
    }
}

/// Eight bytes, the lowest first.
pub(super) fn fixed64(to: &mut Vec<u8>, field: u8, number: u64) {
    key(to, field, 1);
    to.extend_from_slice(&number.to_le_bytes());
}

/// Four bytes, the lowest first.
pub(super) fn fixed32(to: &mut Vec<u8>, field: u8, number: u32) {
    key(to, field, 5);
    to.extend_from_slice(&number.to_le_bytes());
}

/// Key and length of what comes next.
pub(super) fn length(to: &mut Vec<u8>, field: u8, length: usize) {
    key(to, field, 2);
    varint(to, length as u64);
}

/// Bytes, left out when there are none.
pub(super) fn bytes(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        length(to, field, bytes.len());
        to.extend_from_slice(bytes);
    }
}

/// A message whose length is known only when it is written: it is written first, and
/// then moved aside by the few bytes that its length takes.
pub(super) fn message(to: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    key(to, field, 2);
    let start = to.len();
    write(to);
    let written = to.len() - start;
    varint(to, written as u64);
    let taken = to.len() - start - written;
    to[start..].rotate_right(taken);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_are_what_is_written(number: u64) {
            let mut written = Vec::new();
            super::varint(&mut written, number);
            prop_assert_eq!(written.len(), super::varint_len(number));
        }

        #[test]
        fn a_message_is_read_as_it_was_written(inner in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut written = vec![7; 3];
            super::message(&mut written, 5, |to| to.extend_from_slice(&inner));
            let mut expected = vec![7; 3];
            super::length(&mut expected, 5, inner.len());
            expected.extend_from_slice(&inner);
            prop_assert_eq!(written, expected);
        }
    }
}
