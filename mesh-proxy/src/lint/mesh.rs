//! Advice about chains of services, which no sidecar can see alone.

use std::fmt;

use humantime::format_duration;
use serde::Serialize;

use super::{Advice, cluster::leads_to};
use crate::{
    config::{Policy, Route},
    explain::most_attempts,
};

/// Advice about the policy of one service, because of another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeshAdvice {
    /// Service whose policy it is.
    pub service: String,
    /// What to change there.
    #[serde(flatten)]
    pub advice: Advice,
}

impl fmt::Display for MeshAdvice {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.service, self.advice)
    }
}

/// Looks at the policies of several services together, each with the name under which
/// the others know it as a cluster: for retries on two levels, which multiply, and for
/// callers that give up earlier than those they call.
#[must_use]
pub fn lint_mesh(policies: &[(&str, &Policy)]) -> Vec<MeshAdvice> {
    let mut all = Vec::new();
    for (caller, policy) in policies {
        for (index, route) in policy.routes.iter().enumerate() {
            for (callee, next) in policies.iter().filter(|(name, _)| leads_to(route, name)) {
                let chain = Chain {
                    caller,
                    index,
                    route,
                    callee,
                };
                all.extend(next.routes.iter().filter_map(|next| chain.multiplied(next)));
                all.extend(next.routes.iter().find_map(|next| chain.impatient(next)));
            }
        }
    }
    all
}

/// A route from one service to the next.
struct Chain<'a> {
    caller: &'a str,
    index: usize,
    route: &'a Route,
    callee: &'a str,
}

impl Chain<'_> {
    fn multiplied(&self, next: &Route) -> Option<MeshAdvice> {
        let (own, further) = (most_attempts(self.route), most_attempts(next));
        if own <= 1 || further <= 1 {
            return None;
        }
        let Self { caller, callee, .. } = self;
        let most = own * further;
        let message = format!(
            "`{caller}` tries up to {own} times, and `{callee}` up to {further} times for each on its route `{}`: one request can become {most} attempts there; retry at one level, best the lower one",
            next.name
        );
        let key = if self.route.retry.is_some() {
            "retry"
        } else {
            "hedge"
        };
        Some(self.advice(key, message))
    }

    fn impatient(&self, next: &Route) -> Option<MeshAdvice> {
        if next.respond.is_some() || next.redirect.is_some() || self.route.deadline >= next.deadline
        {
            return None;
        }
        let (own, further) = (
            format_duration(self.route.deadline),
            format_duration(next.deadline),
        );
        let message = format!(
            "`{}` gives up after {own}, while `{}` goes on for {further} on its route `{}` unless it passes the deadline on: a caller needs more time than those it calls",
            self.caller, self.callee, next.name
        );
        Some(self.advice("deadline", message))
    }

    fn advice(&self, key: &str, message: String) -> MeshAdvice {
        MeshAdvice {
            service: self.caller.to_owned(),
            advice: Advice {
                key: format!("routes[{}].{key}", self.index),
                message,
            },
        }
    }
}
