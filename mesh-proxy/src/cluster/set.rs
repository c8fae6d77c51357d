//! What the balancer reads: the members of a cluster and those of them that take
//! requests, as one immutable picture. A change makes a new picture; a choice
//! costs the same with one endpoint and with a thousand.

use std::{sync::Arc, time::Duration};

use super::{Endpoint, endpoint::NEVER, maglev::Maglev};

/// Where an endpoint is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The policy lists it.
    Listed,
    /// A DNS answer.
    Dns,
}

/// An endpoint of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) origin: Origin,
    /// 0 first; the next only while nobody of the one before takes requests.
    pub(crate) tier: u16,
    /// Requests it gets, as a share of those of the heaviest, up to 1.
    pub(crate) share: f32,
}

/// How the members are used: what of the settings shapes the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// Keys are hashed: there is a table.
    pub(super) hashed: bool,
    pub(super) slow_start: Option<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Set {
    members: Arc<[Member]>,
    /// Over all members, so that a key finds its way back to an endpoint that returns.
    table: Option<Arc<Maglev>>,
    shape: Shape,
    /// Who takes requests, of the first tier that has any.
    ready: Vec<Member>,
    /// Not all shares are alike.
    weighted: bool,
    /// When the last of those that warm up is warm, in the cluster's nanoseconds.
    warm_at: u64,
    /// When the next probe of a breaker is due, in the same.
    probe_at: u64,
    ejected: usize,
    unhealthy: usize,
}

impl Set {
    /// A picture of these members.
    pub(super) fn of(members: Vec<Member>, shape: Shape) -> Self {
        let named = members
            .iter()
            .map(|member| (member.endpoint.address(), member.share));
        let table = shape.hashed.then(|| Maglev::build(named)).flatten();
        Self::picture(members.into(), table.map(Arc::new), shape)
    }

    /// The same members as they are now.
    pub(super) fn again(&self) -> Self {
        Self::picture(Arc::clone(&self.members), self.table.clone(), self.shape)
    }

    fn picture(members: Arc<[Member]>, table: Option<Arc<Maglev>>, shape: Shape) -> Self {
        let fit = || members.iter().filter(|it| it.endpoint.takes_requests());
        let tier = fit().map(|member| member.tier).min().unwrap_or(0);
        let ready: Vec<Member> = fit().filter(|it| it.tier == tier).cloned().collect();
        let first = ready.first().map(|member| member.share);
        let ejected = members.iter().filter(|it| it.endpoint.is_ejected());
        let unhealthy = members.iter().filter(|it| it.endpoint.is_unhealthy());
        Self {
            weighted: ready.iter().any(|member| Some(member.share) != first),
            warm_at: shape.slow_start.map_or(0, |time| warm_at(&ready, time)),
            probe_at: probe_at(&members),
            ejected: ejected.count(),
            unhealthy: unhealthy.count(),
            ready,
            members,
            table,
            shape,
        }
    }

    /// All members, also those that take no requests now.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Those that take requests.
    pub(super) fn ready(&self) -> &[Member] {
        &self.ready
    }

    pub(super) fn table(&self) -> Option<&Maglev> {
        self.table.as_deref()
    }

    pub(super) fn slow_start(&self) -> Option<Duration> {
        self.shape.slow_start
    }

    /// Whether all that are ready get the same share at this moment.
    pub(super) fn is_even(&self, at: u64) -> bool {
        !self.weighted && at >= self.warm_at
    }

    /// When the next probe of a breaker is due.
    pub(super) fn probe_at(&self) -> u64 {
        self.probe_at
    }

    /// A member whose breaker wants a probe.
    pub(super) fn due(
        &self,
        at: u64,
        wanted: impl Fn(&Arc<Endpoint>) -> bool,
    ) -> Option<&Arc<Endpoint>> {
        self.members
            .iter()
            .map(|member| &member.endpoint)
            .find(|endpoint| endpoint.probe_at() <= at && wanted(endpoint))
    }

    /// Members that are out by the breaker.
    pub(crate) fn ejected(&self) -> usize {
        self.ejected
    }

    /// Members that are out by health checks.
    pub(crate) fn unhealthy(&self) -> usize {
        self.unhealthy
    }

    /// Members that are neither.
    pub(super) fn fit(&self) -> usize {
        let fit = self
            .members
            .iter()
            .filter(|it| it.endpoint.takes_requests());
        fit.count()
    }
}

fn warm_at(ready: &[Member], slow_start: Duration) -> u64 {
    let time = u64::try_from(slow_start.as_nanos()).unwrap_or(NEVER);
    let last = ready.iter().map(|member| member.endpoint.warm_from()).max();
    last.unwrap_or(0).saturating_add(time)
}

fn probe_at(members: &[Member]) -> u64 {
    let due = members.iter().map(|member| member.endpoint.probe_at());
    due.min().unwrap_or(NEVER)
}
