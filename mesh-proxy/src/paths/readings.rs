//! All that a path could mean to an application, for access decisions.

use super::{decode_once, has_prefix};

/// How often escapes are decoded: twice encoded paths are an old way round a rule.
const DECODINGS: usize = 3;

/// A prefix of paths about which an access decision is made.
#[derive(Clone, Debug)]
pub(crate) struct Guarded(String);

impl Guarded {
    /// As a policy writes it.
    pub(crate) fn new(prefix: &str) -> Self {
        Self(resolved(&decode_once(&prefix.to_ascii_lowercase()), true))
    }

    /// Whether the path, in any way in which an application might read it, lies under it.
    /// Applications disagree on escapes (`%61`, `%2f`, twice encoded), empty and dot
    /// segments, backslashes, parameters of segments (`;v=1`), NUL and case; a deny rule
    /// must hold whichever of them is behind it.
    pub(crate) fn may_cover(&self, path: &str) -> bool {
        if is_plain(path) {
            return has_prefix(path, &self.0);
        }
        let mut text = path.to_ascii_lowercase();
        for _ in 0..=DECODINGS {
            if readings(&text).any(|reading| has_prefix(&reading, &self.0)) {
                return true;
            }
            let decoded = decode_once(&text);
            if decoded == text {
                return false;
            }
            text = decoded.to_ascii_lowercase();
        }
        false
    }
}

/// Whether there is one way only to read it, as nearly always.
fn is_plain(path: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'/' | b'-' | b'_');
    path.bytes().all(plain) && !path.contains("//")
}

/// What the text can mean without any more decoding.
fn readings(text: &str) -> impl Iterator<Item = String> {
    let turned = text.replace('\\', "/");
    // A C string ends at NUL; what a careful application makes of it is its own affair.
    let until_nul = turned.split('\0').next().unwrap_or_default().to_owned();
    [turned, until_nul].into_iter().flat_map(|text| {
        let bare = without_parameters(&text);
        [
            resolved(&text, true),
            resolved(&text, false),
            resolved(&bare, true),
            resolved(&bare, false),
        ]
    })
}

/// Segments without what follows a `;`.
fn without_parameters(text: &str) -> String {
    let bare: Vec<&str> = text
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect();
    bare.join("/")
}

/// Without empty segments; with `dots`, `.` and `..` are followed.
fn resolved(text: &str, dots: bool) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" => {}
            "." if dots => {}
            ".." if dots => {
                segments.pop();
            }
            other => segments.push(other.trim()),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Guarded;

    #[test]
    fn disguises_of_a_path_are_seen_through() {
        for path in [
            "/admin",
            "/admin/",
            "/ADMIN",
            "//admin",
            "/./admin",
            "/x/../admin",
            "/%61dmin",
            "/%2561dmin",
            "/x/%2e%2e/admin",
            "/x%2f..%2fadmin",
            "/x/..%2fadmin",
            "\\admin",
            "/x\\..\\admin",
            "/../admin",
            "/admin;v=1/users",
            "/admin;/users",
            "/;x/admin",
            "/admin%3bv=1/users",
            "/admin%00.html",
            "/admin%2fusers",
            "/admin/..%2fx",
            "/admin/%2e%2e/x",
            "/admin%20/x",
            "/x/..;/admin",
        ] {
            assert!(Guarded::new("/admin").may_cover(path), "{path}");
        }
        for path in [
            "/administer",
            "/x/admin",
            "/a%zz%",
            "/",
            "/x;admin",
            "/a%dmin",
        ] {
            assert!(!Guarded::new("/admin").may_cover(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "[/a-z.%0-9;\\\\\u{e4}]{0,40}") {
            let _ = Guarded::new("/admin").may_cover(&path);
        }
    }
}
