//! Which new traces are kept.

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::Sampler;

/// A share of new traces; in a trace that exists, what its parent decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampling {
    /// Share of new traces, 0 to 1.
    pub(crate) ratio: f64,
    /// The parent decides where there is one.
    pub(crate) parent_based: bool,
}

impl Sampling {
    /// Parent-based with this share of new traces.
    pub(crate) const fn parent_based(ratio: f64) -> Self {
        Self {
            ratio,
            parent_based: true,
        }
    }

    /// Whether a span of this trace is recorded.
    pub(crate) fn decide(self, parent: Option<bool>, trace_id: TraceId) -> bool {
        match parent.filter(|_| self.parent_based) {
            Some(sampled) => sampled,
            None => self.keeps(trace_id),
        }
    }

    /// As in the SDK's `TraceIdRatioBased`, so that service and sidecar agree: the
    /// last 63 bits of the trace id against the share of their range.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 2^63, never negative; the low half of the id"
    )]
    fn keeps(self, trace_id: TraceId) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let bound = (self.ratio.max(0.0) * (1_u64 << 63) as f64) as u64;
        let low = u128::from_be_bytes(trace_id.to_bytes()) as u64;
        low >> 1 < bound
    }

    /// The same for the SDK.
    pub(crate) fn to_sdk(self) -> Sampler {
        let root = Sampler::TraceIdRatioBased(self.ratio);
        if self.parent_based {
            Sampler::ParentBased(Box::new(root))
        } else {
            root
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        Context,
        trace::{SpanKind, TraceId},
    };
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample as _};
    use proptest::prelude::*;

    use super::Sampling;

    proptest! {
        #[test]
        fn service_and_sidecar_keep_the_same_new_traces(ratio in 0.0..=1.0_f64, trace in 1_u128..) {
            let (sampling, trace) = (Sampling::parent_based(ratio), TraceId::from(trace));
            let root = Context::new();
            let sdk = sampling.to_sdk().should_sample(Some(&root), trace, "", &SpanKind::Server, &[], &[]);
            let kept = sdk.decision == SamplingDecision::RecordAndSample;
            prop_assert_eq!(sampling.decide(None, trace), kept);
        }
    }

    #[test]
    fn the_parent_decides_where_there_is_one() {
        let trace = TraceId::from(1_u128);
        assert!(Sampling::parent_based(0.0).decide(Some(true), trace));
        assert!(!Sampling::parent_based(1.0).decide(Some(false), trace));
        let alone = Sampling {
            ratio: 1.0,
            parent_based: false,
        };
        assert!(alone.decide(Some(false), trace));
    }
}
