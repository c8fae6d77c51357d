//! What the parts of one connection tell each other: the bytes below hyper, the
//! requests above it, and the task that drives it.
//!
//! All of it is on one task (HTTP/1) or written by one side only, so relaxed order
//! is enough.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::framing::{Malformed, Phase};

/// See the module.
#[derive(Debug)]
pub(super) struct Traffic {
    born: Instant,
    in_flight: AtomicU32,
    served: AtomicU32,
    phase: AtomicU8,
    /// When the head that is coming in began, in milliseconds since `born`.
    head_began: AtomicU64,
    /// Bytes wait for the peer to read.
    is_stuffed: AtomicBool,
    refusal: AtomicU8,
    asks: AtomicBool,
    answer: AtomicU8,
    is_severed: AtomicBool,
}

/// What became of a request for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Switch {
    Undecided = 0,
    Declined,
    Switched,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            in_flight: AtomicU32::new(0),
            served: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            head_began: AtomicU64::new(0),
            is_stuffed: AtomicBool::new(false),
            refusal: AtomicU8::new(0),
            asks: AtomicBool::new(false),
            answer: AtomicU8::new(Switch::Undecided as u8),
            is_severed: AtomicBool::new(false),
        }
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.served.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Its answer has been handed over, or given up.
    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Release);
    }

    /// No answer is under way.
    pub(super) fn is_answered(&self) -> bool {
        self.in_flight.load(Acquire) == 0
    }

    /// How many requests have come so far.
    pub(super) fn served(&self) -> u32 {
        self.served.load(Relaxed)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        if phase == Phase::Head && self.phase() != Phase::Head {
            self.head_began.store(self.now(), Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        const PHASES: [Phase; 4] = [Phase::Idle, Phase::Head, Phase::Body, Phase::Foreign];
        let number = usize::from(self.phase.load(Relaxed));
        PHASES.get(number).copied().unwrap_or(Phase::Refused)
    }

    /// For how long a head has been coming in.
    pub(super) fn head_age(&self) -> Option<Duration> {
        let began = self.head_began.load(Relaxed);
        (self.phase() == Phase::Head)
            .then(|| Duration::from_millis(self.now().saturating_sub(began)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn set_stuffed(&self, stuffed: bool) {
        self.is_stuffed.store(stuffed, Relaxed);
    }

    pub(super) fn is_stuffed(&self) -> bool {
        self.is_stuffed.load(Relaxed)
    }

    pub(super) fn refuse(&self, why: Malformed) {
        self.refusal.store(why as u8, Relaxed);
    }

    /// Why nothing more is taken from the peer.
    pub(super) fn refusal(&self) -> Option<Malformed> {
        Malformed::from_number(self.refusal.load(Relaxed))
    }

    /// A request asks for another protocol.
    pub(super) fn ask(&self) {
        self.answer.store(Switch::Undecided as u8, Relaxed);
        self.asks.store(true, Release);
    }

    /// Whether one has asked since the last call.
    pub(super) fn take_asked(&self) -> bool {
        self.asks.load(Relaxed) && self.asks.swap(false, AcqRel)
    }

    /// The connection is to be broken instead of an answer.
    pub(super) fn sever(&self) {
        self.is_severed.store(true, Relaxed);
    }

    pub(super) fn is_severed(&self) -> bool {
        self.is_severed.load(Relaxed)
    }

    pub(super) fn answer(&self, switch: Switch) {
        self.answer.store(switch as u8, Release);
    }

    pub(super) fn switch(&self) -> Switch {
        match self.answer.load(Acquire) {
            0 => Switch::Undecided,
            1 => Switch::Declined,
            _ => Switch::Switched,
        }
    }
}
