//! Flags for when a rule hits, and what ends it.

use std::time::Duration;

use clap::Args;
use mesh_proxy::config::{Guard, Place, Rule, units::duration::parse};

use super::{percent, set, set_some};

#[derive(Args, Debug, Default)]
pub(super) struct TimeFlags {
    /// Time after which the rule turns itself off [default: 10m]
    #[arg(long = "for", value_name = "TIME", value_parser = parse)]
    ttl: Option<Duration>,
    /// Quiet time at first
    #[arg(long, value_name = "TIME", value_parser = parse)]
    after: Option<Duration>,
    /// Then it hits for so long, again and again; with --off
    #[arg(long, value_name = "TIME", value_parser = parse)]
    on: Option<Duration>,
    /// … and is quiet for so long in between; with --on
    #[arg(long, value_name = "TIME", value_parser = parse)]
    off: Option<Duration>,
    /// Time over which the share grows from 0 to --percent
    #[arg(long, value_name = "TIME", value_parser = parse)]
    ramp: Option<Duration>,
    /// Turn the rule off when less than this share of an edge's requests succeeds, as 'gateway -> orders=95'
    #[arg(long, value_name = "EDGE=PERCENT", value_parser = guard)]
    guard: Option<Guarded>,
    /// Fewer requests in ten seconds than this do not move the guard [default: 20]
    #[arg(long, value_name = "N", requires = "guard")]
    guard_min_requests: Option<u64>,
}

/// What is watched, and the share of success that must be.
type Guarded = (Place, f64);

impl TimeFlags {
    pub(super) fn apply(self, rule: &mut Rule) {
        set(&mut rule.ttl, self.ttl);
        set_some(&mut rule.schedule.after, self.after);
        set_some(&mut rule.schedule.on, self.on);
        set_some(&mut rule.schedule.off, self.off);
        set_some(&mut rule.schedule.ramp, self.ramp);
        if let Some((watch, min_success)) = self.guard {
            let mut guard = Guard::new(watch, min_success);
            set(&mut guard.min_requests, self.guard_min_requests);
            rule.guard = Some(guard);
        }
    }
}

fn guard(text: &str) -> Result<Guarded, String> {
    let expected = || "expected an edge and a share, as 'gateway -> orders=95'".to_owned();
    let (watch, share) = text.rsplit_once('=').ok_or_else(expected)?;
    Ok((watch.parse()?, percent(share)?))
}
