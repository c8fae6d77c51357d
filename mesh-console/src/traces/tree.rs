//! Parents and children, also where they were made up.

use std::collections::{HashMap, HashSet};

use super::{SpanId, Stored};

/// Spans that would be their own ancestors without a cut: for each loop the
/// span whose parent is to be ignored (the earliest of the loop).
pub(crate) fn loops(spans: &[Stored]) -> HashSet<SpanId> {
    let by_id = index(spans);
    let mut cut = HashSet::new();
    let mut sound: HashSet<usize> = HashSet::new();
    for start in 0..spans.len() {
        let mut path: Vec<usize> = Vec::new();
        let mut on_path: HashSet<usize> = HashSet::new();
        let mut at = Some(start);
        while let Some(index) = at.filter(|index| !sound.contains(index)) {
            if !on_path.insert(index) {
                let looped = path.iter().skip_while(|one| **one != index);
                let first = looped.min_by_key(|one| spans[**one].start_ns);
                cut.extend(first.map(|one| spans[*one].id));
                break;
            }
            path.push(index);
            at = parent(&by_id, &spans[index]);
        }
        sound.extend(path);
    }
    cut
}

/// The root: the earliest span without a parent here, else the earliest of all.
pub(crate) fn root(spans: &[Stored]) -> Option<usize> {
    let by_id = index(spans);
    let earliest = |wanted: &dyn Fn(&Stored) -> bool| {
        (0..spans.len())
            .filter(|at| wanted(&spans[*at]))
            .min_by_key(|at| spans[*at].start_ns)
    };
    earliest(&|span| span.parent.is_none())
        .or_else(|| earliest(&|span| parent(&by_id, span).is_none()))
        .or_else(|| earliest(&|_| true))
}

/// First start and last end of a span's tree, nanoseconds.
pub(crate) fn extent(spans: &[Stored], root: usize) -> (u64, u64) {
    let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            children.entry(parent).or_default().push(at);
        }
    }
    let (mut from, mut to) = (spans[root].start_ns, spans[root].end_ns);
    let mut seen = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(at) = open.pop() {
        from = from.min(spans[at].start_ns);
        to = to.max(spans[at].end_ns);
        let below = children.get(&spans[at].id).into_iter().flatten();
        open.extend(below.filter(|child| seen.insert(**child)));
    }
    (from, to)
}

fn index(spans: &[Stored]) -> HashMap<SpanId, usize> {
    let ids = spans.iter().enumerate();
    ids.map(|(at, span)| (span.id, at)).collect()
}

fn parent(by_id: &HashMap<SpanId, usize>, span: &Stored) -> Option<usize> {
    by_id.get(&span.parent?).copied()
}
