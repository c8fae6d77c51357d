//! The three things to do next, as commands that can be copied.

use std::path::Path;

use super::{data_dir, plan::Plan};
use crate::out::{self, BOLD, DIM, NOTE, Styled};

/// What is needed to write them.
pub(super) struct Next {
    console: String,
    /// The chaos command of the tour, without the program.
    chaos: String,
    /// What commands need to find this console; empty: they find it.
    at_console: String,
}

impl Next {
    pub(super) fn new(plan: &Plan<'_>) -> Self {
        let console = plan.console_url();
        let at_console = if is_found(plan, &console) {
            String::new()
        } else {
            format!(" --console {console}")
        };
        let waiting = plan.mesh.chaos.iter().find(|rule| !rule.enabled);
        Self {
            chaos: match waiting {
                Some(rule) => format!("chaos on {}", rule.id),
                None => "chaos add payments --abort 503 --percent 30".to_owned(),
            },
            console,
            at_console,
        }
    }

    pub(super) fn show(&self, shop: Option<&str>) {
        out::line(format_args!("\n{}", Styled(BOLD, "Next:")));
        out::line(format_args!("  1. open {}", Styled(NOTE, &self.console)));
        out::line("  2. break something, and see a retry save an order:");
        self.show_command(&self.chaos);
        self.show_command("trace latest --filter retried");
        if let Some(shop) = shop {
            out::line("  3. place an order and look at its trace:");
            self.show_order(shop);
        }
        let end = "Ctrl-C stops everything.";
        out::line(format_args!("{}\n", Styled(DIM, end)));
    }

    /// The caller names the trace, so that it is found among all others.
    fn show_order(&self, shop: &str) {
        let id = format!("{:032x}", rand::random::<u128>());
        let order = r#"{"user_id": 1, "items": [{"product_id": 1, "quantity": 1}]}"#;
        let parent = format!("traceparent: 00-{id}-{}-01", &id[..16]);
        show(&format!("curl {shop}/orders \\"));
        show(&format!(
            "  -H 'content-type: application/json' -H '{parent}' \\"
        ));
        show(&format!("  -d '{order}'"));
        self.show_command(&format!("trace {}", &id[..8]));
    }

    fn show_command(&self, words: &str) {
        show(&format!("{} {words}{}", program(), self.at_console));
    }
}

fn show(command: &str) {
    out::line(format_args!("     {}", Styled(NOTE, command)));
}

/// This program as whoever reads the table can call it: `cargo run` starts a
/// binary that is on no path.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') {
        called
    } else {
        env!("CARGO_PKG_NAME").to_owned()
    }
}

/// Do commands that are run here find the console by themselves?
fn is_found(plan: &Plan<'_>, console: &str) -> bool {
    let here = Path::new(data_dir::DEFAULT).canonicalize();
    here.is_ok_and(|here| here == plan.data_dir) || console == "http://127.0.0.1:4090"
}
