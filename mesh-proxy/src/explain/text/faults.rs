//! What a chaos rule may do to a request, in a line.

use std::fmt::{self, Display, Formatter};

use humantime::format_duration;

use crate::config::{Arm, Delay, FaultKind, Position, Rule, units::size::Shown};

/// Writes the line of one rule.
pub(super) fn write(rule: &Rule, to: &mut Formatter<'_>) -> fmt::Result {
    write!(to, "\n  chaos {} on {}", rule.id, rule.place)?;
    if rule.position == Position::Request {
        to.write_str(", before retries")?;
    }
    if rule.arm == Arm::Baggage {
        to.write_str(", armed by the baggage")?;
    }
    to.write_str(": ")?;
    for (number, kind) in rule.faults().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        let (percent, fault) = (rule.percent_of(kind), Fault(rule, kind));
        write!(to, "{comma}{percent} % {fault}")?;
    }
    bounds(rule, to)
}

/// What keeps a rule from striking all of its share.
fn bounds(rule: &Rule, to: &mut Formatter<'_>) -> fmt::Result {
    if let Some(first) = rule.first_attempts {
        write!(to, "; the first {first} attempt(s) of a request")?;
    }
    if let Some(first) = rule.first_requests {
        write!(to, "; the first {first} request(s)")?;
    }
    if let Some(most) = rule.max_affected {
        write!(to, "; at most {most} at a time")?;
    }
    if !rule.schedule.is_always() {
        to.write_str("; by its schedule")?;
    }
    Ok(())
}

/// One fault of a rule.
struct Fault<'a>(&'a Rule, FaultKind);

impl Display for Fault<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Self(rule, kind) = self;
        to.write_str(kind.as_str())?;
        let delay = match kind {
            FaultKind::Delay => rule.delay,
            FaultKind::ChunkDelay => rule.chunk_delay,
            _ => None,
        };
        if let Some(delay) = delay {
            return pause(delay, to);
        }
        match (
            kind,
            &rule.abort,
            rule.throttle,
            rule.truncate,
            rule.corrupt,
        ) {
            (FaultKind::Abort, Some(abort), ..) => write!(to, " {abort}"),
            (FaultKind::Throttle, _, Some(throttle), ..) => write!(to, " to {throttle}"),
            (FaultKind::Truncate, _, _, Some(cut), _) => write!(to, " after {}", Shown(cut.after)),
            (FaultKind::Corrupt, .., Some(each)) => write!(to, " one byte in {}", Shown(each)),
            _ => Ok(()),
        }
    }
}

/// A pause, and how long it is on average where that is not the same.
fn pause(delay: Delay, to: &mut Formatter<'_>) -> fmt::Result {
    write!(to, " {delay}")?;
    match delay {
        Delay::Fixed(_) => Ok(()),
        _ => write!(to, " (mean {})", format_duration(delay.mean())),
    }
}
