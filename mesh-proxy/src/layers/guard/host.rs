//! Hosts with ports, as `Host` and `:authority` have them.

/// Whether it is a host with a port or without: a name, an IPv4 address or an IPv6
/// literal, and nothing that a parser might cut elsewhere (`@`, `/`, spaces). Empty is
/// what RFC 9110, 7.2 asks of a request that is for no host.
pub(super) fn is_valid(text: &[u8]) -> bool {
    let (host, port) = split(text);
    let name = match host {
        [b'[', literal @ .., b']'] => literal
            .iter()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
        name => name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')),
    };
    name && port.is_none_or(|port| port.len() <= 5 && port.iter().all(u8::is_ascii_digit))
}

/// Whether both name the same host and port; a missing port is the scheme's.
pub(super) fn is_same(scheme: Option<&str>, authority: &str, host: &[u8]) -> bool {
    let default: &[u8] = match scheme {
        Some("https") => b"443",
        _ => b"80",
    };
    let ((one, one_port), (other, other_port)) = (split(authority.as_bytes()), split(host));
    one.eq_ignore_ascii_case(other) && one_port.unwrap_or(default) == other_port.unwrap_or(default)
}

/// Host and port; an empty port counts as none.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let host_ends = text.iter().rposition(|b| *b == b']').map_or(0, |at| at + 1);
    match text[host_ends..].iter().position(|b| *b == b':') {
        Some(colon) => {
            let (host, port) = text.split_at(host_ends + colon);
            (host, Some(&port[1..]).filter(|port| !port.is_empty()))
        }
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_same, is_valid};

    #[test]
    fn hosts_are_names_and_addresses() {
        for good in [
            "",
            "a",
            "payments-1.shop_x:8080",
            "10.0.0.1",
            "[::1]:80",
            "[fe80::1]",
            "a:",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "u@a", "a,b", "a:80:80", "a:x", "a:123456", "[::1", "[::1]x", "::1",
            "a%00", "a?b", "a#b", "\u{e4}", "a\\b",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn ports_that_go_without_saying_are_the_same() {
        assert!(is_same(Some("http"), "a", b"A:80"));
        assert!(is_same(Some("https"), "a:443", b"a"));
        assert!(!is_same(Some("https"), "a:80", b"a"));
        assert!(!is_same(Some("http"), "a", b"b"));
        assert!(is_same(None, "[::1]:80", b"[::1]"));
    }
}
