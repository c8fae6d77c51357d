//! The console as its clients see it: over real sockets, on free ports.

mod chaos;
mod control;
mod doors;
mod numbers;
mod spans;
mod support;
