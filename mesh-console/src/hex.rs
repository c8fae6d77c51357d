//! Ids as people and Jaeger write them.

use std::fmt::Write as _;

/// Lower-case hex digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes of hex digits; shorter ids have lost leading zeros, as in Jaeger's own URLs.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let fits = !text.is_empty() && text.len() <= 2 * N;
    if !fits || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let padded = format!("{text:0>width$}", width = 2 * N);
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&padded[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_way_there_and_back() {
        assert_eq!(encode(&[0, 255]), "00ff");
        assert_eq!(decode("00fF"), Some([0, 255]));
        assert_eq!(decode("1"), Some([0, 1]));
        assert_eq!(decode::<2>("00fff"), None);
        assert_eq!(decode::<2>("zz"), None);
        assert_eq!(decode::<2>("é"), None);
        assert_eq!(decode::<2>(""), None);
    }
}
