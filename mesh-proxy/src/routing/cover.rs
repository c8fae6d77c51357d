//! Whether one route takes all that another takes. Says yes only when that is
//! certain; a no may be a "nobody knows".

use http::HeaderName;

use super::{
    Matcher,
    field::{Field, Wanted},
    matcher::{Authority, PathMatch, is_below},
    template::{Segment, Template},
};
use crate::paths::{has_prefix, split_segment};

/// Whether `wide` certainly takes every request that `narrow` takes.
pub(crate) fn covers(wide: &Matcher, narrow: &Matcher) -> bool {
    let methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty() && narrow.methods.iter().all(|m| wide.methods.contains(m)));
    methods
        && authority(&wide.authority, &narrow.authority)
        && path(&wide.path, &narrow.path)
        && fields(&wide.headers, &narrow.headers)
        && fields(&wide.query, &narrow.query)
}

fn authority(wide: &Authority, narrow: &Authority) -> bool {
    match (wide, narrow) {
        (Authority::Any, _) => true,
        (Authority::Exact(wide), Authority::Exact(narrow)) => wide == narrow,
        (Authority::Below(wide), Authority::Exact(narrow)) => is_below(narrow, wide),
        (Authority::Below(wide), Authority::Below(narrow)) => {
            wide == narrow || is_below(narrow, wide)
        }
        _ => false,
    }
}

fn path(wide: &PathMatch, narrow: &PathMatch) -> bool {
    match (wide, narrow) {
        (PathMatch::Any, _) => true,
        (wide, PathMatch::Exact(path)) => wide.takes(path),
        (PathMatch::Prefix(wide), PathMatch::Prefix(narrow)) => has_prefix(narrow, wide),
        (PathMatch::Prefix(wide), PathMatch::Template(narrow)) => template_below(narrow, wide),
        (PathMatch::Template(wide), PathMatch::Prefix(narrow)) => below_rest(wide, narrow),
        (PathMatch::Template(wide), PathMatch::Template(narrow)) => template(wide, narrow),
        (PathMatch::Regex(wide), PathMatch::Regex(narrow)) => wide.as_str() == narrow.as_str(),
        _ => false,
    }
}

/// All paths of the template begin with the prefix.
fn template_below(template: &Template, mut prefix: &str) -> bool {
    let mut segments = template.segments().iter();
    while let Some((wanted, left)) = split_segment(prefix) {
        if !matches!(segments.next(), Some(Segment::Text(text)) if **text == *wanted) {
            return false;
        }
        prefix = left;
    }
    true
}

/// The prefix leads into the rest of the template.
fn below_rest(template: &Template, prefix: &str) -> bool {
    template.has_rest() && template.matches(prefix)
}

fn template(wide: &Template, narrow: &Template) -> bool {
    let (all, own) = (wide.segments(), narrow.segments());
    let same_length = match (wide.has_rest(), narrow.has_rest()) {
        (true, true) => own.len() >= all.len(),
        (true, false) => own.len() > all.len(),
        (false, false) => own.len() == all.len(),
        (false, true) => false,
    };
    same_length
        && all.iter().zip(own).all(|(wide, narrow)| match wide {
            Segment::Named(_) => true,
            Segment::Text(_) => wide == narrow,
        })
}

/// A name of a field that can be compared.
trait FieldName: PartialEq {}
impl FieldName for HeaderName {}
impl FieldName for Box<str> {}

/// Every condition of the wider route follows from one of the narrower.
fn fields<Name: FieldName>(wide: &[Field<Name>], narrow: &[Field<Name>]) -> bool {
    wide.iter()
        .all(|wide| narrow.iter().any(|narrow| implies(narrow, wide)))
}

fn implies<Name: FieldName>(narrow: &Field<Name>, wide: &Field<Name>) -> bool {
    if narrow.name != wide.name || narrow.invert != wide.invert {
        return false;
    }
    // Turned round, the one that wants less is the one that takes more.
    if wide.invert {
        accepts_all_of(&narrow.wanted, &wide.wanted)
    } else {
        accepts_all_of(&wide.wanted, &narrow.wanted)
    }
}

fn accepts_all_of(more: &Wanted, less: &Wanted) -> bool {
    match (more, less) {
        (Wanted::Present, _) => true,
        (more, Wanted::Exact(value)) => more.accepts(value.as_bytes()),
        (Wanted::Prefix(more), Wanted::Prefix(less)) => less.starts_with(&**more),
        (Wanted::Regex(more), Wanted::Regex(less)) => more.as_str() == less.as_str(),
        _ => false,
    }
}
