//! The decisions of the stack, told instead of made.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, Method, Uri};

use super::{
    DirectAnswer, Explanation, Limits, PassedOver, Retries, Rewritten, SparedBy, Target, Times,
    why, worst,
};
use crate::{
    client::is_idempotent,
    config::{Place, Policy, RetryPolicy, Route, Rule, Split},
    layers::{
        chaos::matching::{Matcher as Conditions, Subject},
        retry::condition_names,
    },
    names,
    paths::normal,
    policy::{authority, part, place},
    routing::{Asked, Matcher, answer::Answer, changes::Changes},
};

pub(super) fn explain(
    policy: &Policy,
    service: &str,
    method: &Method,
    url: &Uri,
    headers: &HeaderMap,
) -> Explanation {
    let path = normal(url.path());
    let asked = Asked {
        authority: authority(url, headers),
        method,
        path: &path,
        query: url.query(),
        headers,
    };
    let mut passed_over = Vec::new();
    for route in &policy.routes {
        let because = match Matcher::compile(&route.matches) {
            Ok(matcher) => {
                let Some(because) = why::not(route, &matcher, &asked) else {
                    let sketch = Sketch {
                        policy,
                        service,
                        route,
                        matcher: &matcher,
                        url,
                        asked,
                    };
                    let found = sketch.explain();
                    return Explanation {
                        passed_over,
                        ..found
                    };
                };
                because
            }
            Err(flaws) => format!("its conditions have {} problem(s)", flaws.len()),
        };
        let route = route.name.clone();
        passed_over.push(PassedOver { route, because });
    }
    Explanation {
        passed_over,
        ..Explanation::default()
    }
}

/// A request and the route that takes it.
struct Sketch<'a> {
    policy: &'a Policy,
    service: &'a str,
    route: &'a Route,
    matcher: &'a Matcher,
    url: &'a Uri,
    asked: Asked<'a>,
}

impl Sketch<'_> {
    fn explain(&self) -> Explanation {
        let route = self.route;
        let template = self.matcher.path.template();
        let shared = Explanation {
            route: Some(route.name.clone()),
            template: template.map(|it| it.text().to_string()),
            limits: Limits {
                max_in_flight: route.max_in_flight,
                adaptive: route.adaptive.clone(),
                rate_limit: route.rate_limit.clone(),
                max_body: route.max_body,
            },
            ..Explanation::default()
        };
        if let Ok(Some(answer)) = Answer::compile(route, &self.matcher.path) {
            return Explanation {
                answer: Some(self.answer(&answer)),
                ..shared
            };
        }
        let targets = self.targets();
        let (faults, spared_by) = self.faults(&targets);
        let (repeatable, because) = self.repeatable();
        let deadline = self.deadline();
        Explanation {
            rewritten: self.rewritten(),
            times: Some(self.times(deadline)),
            retries: route
                .retry
                .as_ref()
                .map(|retry| retries(retry, repeatable, because)),
            hedge: route.hedge.clone(),
            mirror: route.mirror.clone(),
            worst_case: worst::case(route, repeatable, deadline, &faults),
            targets,
            faults,
            spared_by,
            ..shared
        }
    }

    fn answer(&self, answer: &Answer) -> DirectAnswer {
        DirectAnswer {
            reason: answer.reason(),
            status: answer.status().as_u16(),
            location: answer.location(self.url, self.asked.headers),
        }
    }

    fn targets(&self) -> Vec<Target> {
        if let Some(cluster) = &self.route.cluster {
            return vec![self.target(cluster, 1.0)];
        }
        let Some(split) = &self.route.split else {
            return Vec::new();
        };
        if let Some(cluster) = self.pinned(split) {
            return vec![self.target(cluster, 1.0)];
        }
        let all: u64 = split
            .clusters
            .values()
            .map(|weight| u64::from(*weight))
            .sum();
        let weighty = split.clusters.iter().filter(|(_, weight)| **weight > 0);
        weighty
            .map(|(name, weight)| self.target(name, f64::from(*weight) / all as f64))
            .collect()
    }

    fn pinned<'a>(&self, split: &'a Split) -> Option<&'a String> {
        let value = self.asked.headers.get(split.pin.as_deref()?)?;
        let mut end = 0;
        let ends: Vec<u64> = split
            .clusters
            .values()
            .map(|weight| {
                end += u64::from(*weight);
                end
            })
            .collect();
        let number = part(ends.into_iter(), place(value.as_bytes()))?;
        split.clusters.keys().nth(number)
    }

    fn target(&self, cluster: &str, share: f64) -> Target {
        let settings = self.policy.clusters.get(cluster);
        Target {
            cluster: cluster.to_owned(),
            share,
            endpoints: settings.map_or_else(Vec::new, |it| it.endpoints.clone()),
        }
    }

    fn rewritten(&self) -> Option<Rewritten> {
        let changes = Changes::compile(self.route, &self.matcher.path).ok()??;
        let uri = changes.uri(self.url).and_then(Result::ok);
        let authority = changes.authority().map(str::to_owned);
        if uri.is_none() && authority.is_none() {
            return None;
        }
        let uri = uri.map_or(Cow::Borrowed(self.url), Cow::Owned);
        let path = uri
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .to_owned();
        Some(Rewritten { authority, path })
    }

    /// The route's time, or what the caller has left, whichever is less.
    fn deadline(&self) -> Duration {
        let callers = names::number(self.asked.headers, &names::DEADLINE_MS);
        let own = self.route.deadline;
        callers.map_or(own, |left| own.min(Duration::from_millis(left)))
    }

    fn times(&self, deadline: Duration) -> Times {
        Times {
            deadline,
            deadline_covers_body: self.route.deadline_covers_body,
            attempt_timeout: self.route.attempt_timeout,
            attempt_min: self.route.attempt_min,
            idle_timeout: self.route.idle_timeout,
        }
    }

    /// Whether the request may be made more than once, and why.
    fn repeatable(&self) -> (bool, String) {
        let (method, headers) = (self.asked.method, self.asked.headers);
        if is_idempotent(method) {
            return (true, format!("{method} is idempotent"));
        }
        if headers.contains_key(names::IDEMPOTENCY_KEY) {
            return (true, "it has an Idempotency-Key".to_owned());
        }
        if self
            .route
            .retry
            .as_ref()
            .is_some_and(|retry| retry.any_method)
        {
            return (true, "the route repeats every method".to_owned());
        }
        (
            false,
            format!("{method} is not idempotent, and there is no Idempotency-Key"),
        )
    }

    /// Rules that are on where the request goes: those that can strike it, and the others.
    fn faults(&self, targets: &[Target]) -> (Vec<Rule>, Vec<SparedBy>) {
        let changes = Changes::compile(self.route, &self.matcher.path);
        let changes = changes.ok().flatten();
        let uri = changes.as_ref().and_then(|it| it.uri(self.url)?.ok());
        let mut headers = self.asked.headers.clone();
        if let Some(changes) = &changes {
            changes.edit_request(&mut headers);
        }
        let subject = Subject {
            method: self.asked.method,
            path: uri.as_ref().unwrap_or(self.url).path(),
            headers: &headers,
            route: &self.route.name,
            caller: self.service,
            peer: None,
        };
        let (mut faults, mut spared_by) = (Vec::new(), Vec::new());
        for rule in self.rules_towards(targets) {
            match Conditions::of(&without_proofs(rule)).meets(&subject) {
                Ok(()) => faults.push(rule.clone()),
                Err(miss) => spared_by.push(SparedBy {
                    rule: rule.id.clone(),
                    key: miss.key,
                }),
            }
        }
        (faults, spared_by)
    }

    fn rules_towards(&self, targets: &[Target]) -> impl Iterator<Item = &Rule> {
        let goes_to = |name: &str| targets.iter().any(|target| target.cluster == name);
        let is_there = move |rule: &&Rule| match &rule.place {
            Place::Edge {
                source,
                destination,
            } => source == self.service && goes_to(destination),
            Place::Node(name) => goes_to(name) || instance_of(name).is_some_and(goes_to),
        };
        let enabled = self.policy.chaos.iter().filter(|rule| rule.enabled);
        enabled.filter(is_there)
    }
}

/// The service of an instance that is called as the console calls them.
fn instance_of(name: &str) -> Option<&str> {
    let (service, number) = name.rsplit_once('-')?;
    number.parse::<u16>().ok().map(|_| service)
}

/// What a connection would prove is not known here: callers that only a certificate can
/// tell are taken to be asked for this one.
fn without_proofs(rule: &Rule) -> Cow<'_, Rule> {
    if !rule.matches.callers.iter().any(|it| it.contains("://")) {
        return Cow::Borrowed(rule);
    }
    let mut rule = rule.clone();
    rule.matches.callers.clear();
    Cow::Owned(rule)
}

fn retries(retry: &RetryPolicy, allowed: bool, because: String) -> Retries {
    Retries {
        attempts: retry.attempts,
        on: condition_names(retry).map(str::to_owned).collect(),
        statuses: retry.statuses.clone(),
        allowed,
        because,
        backoff_base: retry.backoff_base,
        backoff_cap: retry.backoff_cap,
    }
}
