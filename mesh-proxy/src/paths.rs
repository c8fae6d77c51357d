//! Paths of requests: prefixes by whole segments, and the one normal form that
//! access decisions read.

/// Whether `prefix` covers `path` by whole segments: `/orders` covers `/orders`
/// and `/orders/7`, not `/ordersheet`.
#[must_use]
pub(crate) fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path as a careless application might understand it: escapes decoded,
/// backslashes turned, empty and dot segments resolved. A deny rule reads this
/// form, so that `/%61dmin`, `//admin` and `/x/../admin` are `/admin` to it.
#[must_use]
pub(crate) fn normalise(path: &str) -> String {
    let decoded = decode(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Percent-decodes until nothing changes any more, a few times at most: twice
/// encoded paths are an old way round a rule.
fn decode(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        let next = decode_once(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn decode_once(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{has_prefix, normalise};

    #[test]
    fn prefixes_match_whole_segments() {
        for (path, prefix, wanted) in [
            ("/orders", "/orders", true),
            ("/orders/7", "/orders", true),
            ("/orders/7", "/orders/", true),
            ("/ordersheet", "/orders", false),
            ("/anything", "/", true),
            ("/", "/orders", false),
        ] {
            assert_eq!(has_prefix(path, prefix), wanted, "{path} under {prefix}");
        }
    }

    #[test]
    fn disguises_of_a_path_have_one_normal_form() {
        for path in [
            "/admin",
            "//admin",
            "/./admin",
            "/x/../admin",
            "/%61dmin",
            "/%2561dmin",
            "/x/%2e%2e/admin",
            "\\admin",
            "/admin/",
            "/../admin",
        ] {
            assert_eq!(normalise(path), "/admin", "{path}");
        }
        assert_eq!(normalise("/a%zz%"), "/a%zz%");
    }
}
