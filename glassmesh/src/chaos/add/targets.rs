//! Flags for which requests a rule hits.

use clap::Args;
use mesh_proxy::config::{Arm, FieldMatch, Position, Rule};

use super::{set, set_some};
use crate::complete;

#[derive(Args, Debug, Default)]
pub(super) struct TargetFlags {
    /// Methods, as GET,HEAD; repeatable
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    method: Vec<String>,
    /// The whole path, as /payments
    #[arg(long, value_name = "PATH", group = "asked_path")]
    path: Option<String>,
    /// Beginning of the path by whole segments: /payments is that of /payments/7
    #[arg(long, value_name = "PATH", group = "asked_path")]
    path_prefix: Option<String>,
    /// Path with named segments, as '/orders/{id}'
    #[arg(long, value_name = "TEMPLATE", group = "asked_path")]
    path_template: Option<String>,
    /// Regular expression for the whole path
    #[arg(long, value_name = "REGEX", group = "asked_path")]
    path_regex: Option<String>,
    /// Name of the route at the caller's sidecar; for rules on an edge
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Header: name=value, name^=beginning, name~=regex, name alone (it is there); !name… for the opposite; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    header: Vec<FieldMatch>,
    /// Caller by name, or SPIFFE ID; for rules on a node; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', add = complete::services())]
    caller: Vec<String>,
    /// Member of the baggage; conditions as of --header; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    baggage: Vec<FieldMatch>,
    /// Only requests whose baggage asks for the rule: mesh.chaos=ID
    #[arg(long)]
    armed: bool,
    /// `attempt`: each try draws anew, retries can help; `request`: once, they cannot [default: attempt]
    #[arg(long, value_parser = position)]
    position: Option<Position>,
    /// Only the first so many attempts of each request: what comes after them succeeds
    #[arg(long, value_name = "N")]
    first_attempts: Option<u32>,
    /// Only the first so many requests it would hit, at each sidecar
    #[arg(long, value_name = "N")]
    first_requests: Option<u64>,
    /// Most requests that are affected at the same time, at each sidecar
    #[arg(long, value_name = "N")]
    max_affected: Option<usize>,
}

impl TargetFlags {
    pub(super) fn apply(self, rule: &mut Rule) {
        let methods = self
            .method
            .iter()
            .map(|method| method.trim().to_ascii_uppercase());
        rule.matches.methods.extend(methods);
        self.apply_path(rule);
        let matches = &mut rule.matches;
        set_some(&mut matches.route, self.route);
        matches.headers.extend(self.header);
        matches.callers.extend(self.caller);
        matches.baggage.extend(self.baggage);
        if self.armed {
            rule.arm = Arm::Baggage;
        }
        set(&mut rule.position, self.position);
        set_some(&mut rule.first_attempts, self.first_attempts);
        set_some(&mut rule.first_requests, self.first_requests);
        set_some(&mut rule.max_affected, self.max_affected);
    }

    /// There is one path at most: another kind takes the place of the file's.
    fn apply_path(&self, rule: &mut Rule) {
        let of_flags = [
            &self.path,
            &self.path_prefix,
            &self.path_template,
            &self.path_regex,
        ];
        if of_flags.iter().any(|path| path.is_some()) {
            let [path, prefix, template, regex] = of_flags.map(Clone::clone);
            rule.matches.path = path;
            rule.matches.path_prefix = prefix;
            rule.matches.path_template = template;
            rule.matches.path_regex = regex;
        }
    }
}

fn condition(text: &str) -> Result<FieldMatch, String> {
    let (invert, text) = match text.trim().strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    let (left, value) = match text.split_once('=') {
        Some((left, value)) => (left, Some(value.to_owned())),
        None => (text, None),
    };
    let mut found = FieldMatch {
        invert,
        ..FieldMatch::default()
    };
    let name = if let Some(name) = left.strip_suffix('^').filter(|_| value.is_some()) {
        found.prefix = value;
        name
    } else if let Some(name) = left.strip_suffix('~').filter(|_| value.is_some()) {
        found.regex = value;
        name
    } else {
        found.exact = value;
        left
    };
    name.trim().clone_into(&mut found.name);
    if found.name.is_empty() {
        return Err(
            "expected a condition, as x-user=ann, x-user^=a, x-user~=a.*, x-user or !x-user"
                .to_owned(),
        );
    }
    Ok(found)
}

fn position(text: &str) -> Result<Position, String> {
    match text {
        "attempt" => Ok(Position::Attempt),
        "request" => Ok(Position::Request),
        _ => Err("expected `attempt` or `request`".to_owned()),
    }
}
