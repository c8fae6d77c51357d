//! An explanation for people: a line for each thing that is decided.

mod faults;

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use humantime::format_duration;

use super::{Explanation, Limits, Retries, SparedBy, Target, Times};

impl Display for Explanation {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        for over in &self.passed_over {
            writeln!(to, "  not {}: {}", over.route, over.because)?;
        }
        let Some(route) = &self.route else {
            return write!(
                to,
                "no route takes it: answered here with 404, reason no_route"
            );
        };
        match &self.template {
            Some(template) => write!(to, "route {route} (http.route {template})")?,
            None => write!(to, "route {route}")?,
        }
        if let Some(answer) = &self.answer {
            write!(
                to,
                "\n  answered here with {}, reason {}",
                answer.status, answer.reason
            )?;
            if let Some(location) = &answer.location {
                write!(to, ", Location: {location}")?;
            }
            return limits(&self.limits, to);
        }
        for one in &self.targets {
            target(one, to)?;
        }
        if let Some(rewritten) = &self.rewritten {
            let authority = rewritten.authority.as_deref().unwrap_or_default();
            write!(to, "\n  asks for {authority}{}", rewritten.path)?;
        }
        self.effort(to)
    }
}

impl Explanation {
    fn effort(&self, to: &mut Formatter<'_>) -> fmt::Result {
        if let Some(it) = &self.times {
            times(it, to)?;
        }
        match &self.retries {
            Some(it) => retries(it, to)?,
            None => to.write_str("\n  retries: none")?,
        }
        if let Some(hedge) = &self.hedge {
            let (after, most) = (format_duration(hedge.after), hedge.attempts);
            write!(
                to,
                "\n  hedge: after {after}, at most {most} attempts at once"
            )?;
        }
        limits(&self.limits, to)?;
        if let Some(mirror) = &self.mirror {
            write!(
                to,
                "\n  mirror: {} % are copied to {}",
                mirror.percent, mirror.cluster
            )?;
        }
        for rule in &self.faults {
            faults::write(rule, to)?;
        }
        for SparedBy { rule, key } in &self.spared_by {
            write!(to, "\n  chaos {rule}: not for this request, by its `{key}`")?;
        }
        let (attempts, latency) = (self.worst_case.attempts, self.worst_case.latency);
        write!(
            to,
            "\n  worst case: {attempts} attempt(s), {}",
            format_duration(latency)
        )
    }
}

fn target(target: &Target, to: &mut Formatter<'_>) -> fmt::Result {
    let endpoints = if target.endpoints.is_empty() {
        "no endpoints in the policy".to_owned()
    } else {
        target.endpoints.join(", ")
    };
    let share = target.share * 100.0;
    write!(to, "\n  {share:.0} % to {}: {endpoints}", target.cluster)
}

fn times(times: &Times, to: &mut Formatter<'_>) -> fmt::Result {
    let until = if times.deadline_covers_body {
        ""
    } else {
        ", until the head of the answer"
    };
    write!(
        to,
        "\n  deadline: {}{until}",
        format_duration(times.deadline)
    )?;
    let mut optional = |name: &str, time: Option<Duration>| match time {
        Some(time) => write!(to, "\n  {name}: {}", format_duration(time)),
        None => Ok(()),
    };
    optional("attempt timeout", times.attempt_timeout)?;
    optional("idle timeout", times.idle_timeout)
}

fn retries(retries: &Retries, to: &mut Formatter<'_>) -> fmt::Result {
    let (on, because) = (retries.on.join(", "), &retries.because);
    let (base, cap) = (
        format_duration(retries.backoff_base),
        format_duration(retries.backoff_cap),
    );
    if retries.allowed {
        let attempts = retries.attempts;
        write!(
            to,
            "\n  retries: up to {attempts} attempts on {on}, pauses of at most {base}, doubling up to {cap}; {because}"
        )
    } else {
        write!(to, "\n  retries: none for this request; {because}")
    }
}

fn limits(limits: &Limits, to: &mut Formatter<'_>) -> fmt::Result {
    if let Some(most) = limits.max_in_flight {
        write!(to, "\n  limit: {most} in flight")?;
    }
    if let Some(adaptive) = &limits.adaptive {
        write!(
            to,
            "\n  limit: {} to {} in flight, adaptive",
            adaptive.min, adaptive.max
        )?;
    }
    if let Some(rate) = &limits.rate_limit {
        let burst = rate.burst.unwrap_or(rate.per_second);
        write!(
            to,
            "\n  limit: {} a second, {burst} at once",
            rate.per_second
        )?;
    }
    match limits.max_body {
        Some(most) => write!(to, "\n  limit: bodies of {most} bytes"),
        None => Ok(()),
    }
}
