//! `baggage` is passed on as it is; what is over-long is trimmed, never an error.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header with the application's own key-value pairs.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Most bytes in all, by the specification.
const MAX_BYTES: usize = 8192;
/// Most members, by the specification.
const MAX_MEMBERS: usize = 64;

/// What the mesh's own members begin with.
const OWN: &[u8] = b"mesh.";

/// Keeps the first members that fit into the specification's limits (64 members,
/// 8192 bytes in all), the mesh's own before all others; headers within the limits are
/// not touched.
pub fn trim_baggage(headers: &mut HeaderMap) {
    let all = headers.get_all(BAGGAGE);
    let bytes: usize = all.iter().map(|value| value.len() + 1).sum();
    let members: usize = all
        .iter()
        .map(|value| count_members(value.as_bytes()))
        .sum();
    if bytes <= MAX_BYTES + 1 && members <= MAX_MEMBERS {
        return;
    }
    match HeaderValue::from_bytes(&trimmed(headers)) {
        Ok(value) if !value.is_empty() => headers.insert(BAGGAGE, value),
        _ => headers.remove(BAGGAGE),
    };
}

fn count_members(value: &[u8]) -> usize {
    value.split(|&byte| byte == b',').count()
}

fn trimmed(headers: &HeaderMap) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(MAX_BYTES);
    let (own, others): (Vec<_>, Vec<_>) = headers
        .get_all(BAGGAGE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .partition(|member| member.starts_with(OWN));
    for member in own.into_iter().chain(others).take(MAX_MEMBERS) {
        let comma = usize::from(!kept.is_empty());
        if kept.len() + comma + member.len() > MAX_BYTES {
            break;
        }
        if comma == 1 {
            kept.push(b',');
        }
        kept.extend_from_slice(member);
    }
    kept
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{BAGGAGE, trim_baggage};

    fn trim(value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(BAGGAGE, HeaderValue::from_str(value).unwrap());
        trim_baggage(&mut headers);
        headers[BAGGAGE].to_str().unwrap().to_owned()
    }

    #[test]
    fn short_baggage_passes_untouched() {
        assert_eq!(trim("a=1 ,  b=2;p=x,"), "a=1 ,  b=2;p=x,");
    }

    #[test]
    fn over_long_baggage_loses_its_last_members() {
        let member = format!("k={}", "x".repeat(98));
        let long = vec![member.clone(); 90].join(",");
        let kept = trim(&long);
        assert_eq!(kept.split(',').count(), 64, "64 members of 100 bytes fit");
        let huge = format!("a=1,b={}", "x".repeat(9000));
        assert_eq!(trim(&huge), "a=1");
    }

    #[test]
    fn the_meshs_own_members_are_kept_before_all_others() {
        let others = vec!["k=v"; 80].join(",");
        let kept = trim(&format!("{others},mesh.chaos=slow,a=b"));
        assert!(kept.starts_with("mesh.chaos=slow,k=v"), "{kept}");
        assert_eq!(kept.split(',').count(), 64);
        let huge = format!("b={},mesh.chaos=slow", "x".repeat(9000));
        assert_eq!(trim(&huge), "mesh.chaos=slow");
    }

    #[test]
    fn one_member_over_the_limit_is_dropped_whole() {
        let mut headers = HeaderMap::new();
        let value = format!("b={}", "x".repeat(9000));
        headers.insert(BAGGAGE, HeaderValue::from_str(&value).unwrap());
        trim_baggage(&mut headers);
        assert!(headers.is_empty());
    }
}
