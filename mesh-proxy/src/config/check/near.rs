//! Which known name was meant.

use std::fmt::Write as _;

/// Most names that a message lists when none is near.
const LISTED: usize = 10;

/// Says which names there are: those near to a name that is none of them, else the
/// first few.
#[must_use]
pub fn known<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let most = (wanted.chars().count() / 3).max(1); // a slip in every third letter, at most
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|name| (distance(wanted, name), *name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort_unstable();
    if !near.is_empty() {
        let near: Vec<String> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
        return format!("did you mean {}?", near.join(" or "));
    }
    let more = names.len().saturating_sub(LISTED);
    let mut list = names[..names.len().min(LISTED)].join(", ");
    if more > 0 {
        let _ = write!(list, " and {more} more");
    }
    format!("known: {list}")
}

/// Letters that must be put in, taken out or exchanged to make one text of the other
/// (Levenshtein, 1965).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, wanted) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, known};

    #[test]
    fn near_names_are_proposed_and_others_listed() {
        let names = ["payments", "payments-canary", "users"];
        let of = |wanted| known(wanted, names.into_iter());
        assert_eq!(of("paymints"), "did you mean `payments`?");
        assert_eq!(of("user"), "did you mean `users`?");
        assert_eq!(of("inventory"), "known: payments, payments-canary, users");
        let many: Vec<String> = (0..12).map(|n| format!("service-number-{n:03}")).collect();
        assert!(known("x", many.iter().map(String::as_str)).ends_with("and 2 more"));
    }

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, wanted) in [("", "abc", 3), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(one, other), wanted);
        }
    }
}
