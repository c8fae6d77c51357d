//! Spans as the bytes of the OpenTelemetry protocol (protobuf).
//!
//! Records and the SDK's spans are written straight into the buffer that is sent:
//! the way through the protocol's generated types takes several copies of every
//! attribute, and a heap allocation for each. Field numbers are those of
//! `opentelemetry/proto/trace/v1/trace.proto` and its neighbours; fields do not
//! come in the order of their numbers, which the encoding leaves free.

mod attributes;
mod packet;
mod sdk;
mod span;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use attributes::{Attributes, Value};
pub(crate) use packet::Packet;
pub(crate) use span::{Head, SpanWriter};
