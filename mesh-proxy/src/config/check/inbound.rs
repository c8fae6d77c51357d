//! The inbound side.

use super::{
    Findings, is_name, limits, name_expected,
    policy::{check_methods, check_path, positive},
};
use crate::config::InboundPolicy;

pub(super) fn check(inbound: &InboundPolicy, found: &mut Findings) {
    limits::inbound(inbound, found);
    if let Some(deadline) = inbound.deadline {
        positive("deadline", deadline, found);
    }
    if let Some(idle) = inbound.idle_timeout {
        positive("idle_timeout", idle, found);
    }
    found.each("callers", &inbound.callers, |found, _, name| {
        found.expect(is_name(name), "", || name_expected(name));
    });
    found.each("deny", &inbound.deny, |found, _, deny| {
        check_path(deny.path_prefix.as_deref(), found);
        check_methods(&deny.methods, found);
        let empty = deny.path_prefix.is_none() && deny.methods.is_empty();
        found.expect(!empty, "", || {
            "refuses everything: give `methods`, `path_prefix` (`/` means every path) or both"
                .to_owned()
        });
    });
}
