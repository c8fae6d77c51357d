//! Names and metric handles of one kind of traffic.

use std::sync::Arc;

/// Which side of the sidecar a request came in at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the mesh to the application.
    Inbound,
    /// From the application to the mesh.
    Outbound,
}

impl Direction {
    /// As it stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Names and kept metric handles of one (direction, source, destination, route);
/// made when a policy is put in force, not per request.
#[derive(Debug)]
pub struct Edge {
    direction: Direction,
    source: Arc<str>,
    destination: Arc<str>,
    route: Arc<str>,
}

impl Edge {
    /// Registers the metrics of this traffic. All names come from configuration.
    #[must_use]
    pub fn new(direction: Direction, source: &str, destination: &str, route: &str) -> Arc<Self> {
        Arc::new(Self {
            direction,
            source: source.into(),
            destination: destination.into(),
            route: route.into(),
        })
    }

    /// Which side of the sidecar.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The calling service.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The called service.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Name of the route.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }
}
