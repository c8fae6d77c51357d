//! Where finished requests go.

/// Where finished requests go; clones share one queue.
#[derive(Clone, Debug)]
pub struct Sink {
    _private: (),
}

impl Sink {
    /// A sink that keeps records, to be [taken](Self::take): for tests and for a
    /// sidecar without export.
    #[must_use]
    pub fn disconnected() -> Self {
        Self { _private: () }
    }

    /// Records that would have been exported, oldest first; empty when connected.
    #[must_use]
    pub fn take(&self) -> Vec<FinishedRequest> {
        Vec::new()
    }
}

/// The record of a finished request.
#[derive(Clone, Debug)]
pub struct FinishedRequest {
    _private: (),
}

impl FinishedRequest {
    /// The spans it becomes, as text without ids and times, children indented:
    /// one line a span with kind, status and attributes, one a line event.
    #[must_use]
    pub fn describe(&self) -> String {
        String::new()
    }
}
