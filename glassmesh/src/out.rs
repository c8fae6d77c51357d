//! What the command writes for people and scripts.
//!
//! A reader that went away (`glassmesh trace latest | head`) is no error: what
//! cannot be written is dropped. Colours vanish where no terminal is, and with
//! `NO_COLOR`.

use std::{
    fmt::{self, Display},
    io::Write as _,
};

use anstyle::{AnsiColor, Style};
use comfy_table::Table;
use serde::Serialize;

/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// Faults, retries: what was meant to happen.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// What steps back.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What comes forward.
pub(crate) const BOLD: Style = Style::new().bold();

/// Text in a style.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, text) = self;
        write!(to, "{style}{text}{style:#}")
    }
}

/// A table without the spaces that fill its last column.
pub(crate) fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// One line on stdout.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// One line on stderr.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A value as indented JSON on stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}
