//! A screen that is drawn again and again; where there is no terminal, one text after
//! the other.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
};

use crate::out;

/// Another screen, without a cursor; what was there comes back at the end.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
/// To the first line; nothing is wiped before it is written over, so nothing flickers.
const HOME: &str = "\x1b[H";
/// The rest of a line, and of the screen.
const REST_OF_LINE: &str = "\x1b[K";
const REST: &str = "\x1b[J";

/// See the module.
pub(super) struct Screen {
    is_terminal: bool,
}

impl Screen {
    pub(super) fn open() -> Self {
        let screen = Self {
            is_terminal: std::io::stdout().is_terminal(),
        };
        screen.control(OPEN);
        screen
    }

    /// Shows a text in place of the last one.
    pub(super) fn show(&mut self, text: &impl Display) {
        if !self.is_terminal {
            out::line(format_args!("{text}\n"));
            return;
        }
        self.control(HOME);
        for line in text.to_string().lines() {
            out::line(format_args!("{line}{REST_OF_LINE}"));
        }
        self.control(REST);
    }

    fn control(&self, sequence: &str) {
        if self.is_terminal {
            let mut terminal = std::io::stdout();
            let _ = terminal.write_all(sequence.as_bytes());
            let _ = terminal.flush();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.control(CLOSE);
    }
}
