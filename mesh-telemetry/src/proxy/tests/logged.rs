//! The access log when its disk does not keep up.

use std::{
    io::Read as _,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use super::{answer, edge, page, request};
use crate::proxy::{AccessLog, AccessLogOptions, Direction, RequestScope, Sink};

/// Logs so many requests to this path, waits for the log, and returns the metrics.
fn logged(to: &Path, requests: usize) -> String {
    let recorder = crate::register::recorder();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        runtime.block_on(async {
            let sink = Sink::disconnected();
            sink.set_access_log(log(to));
            let mut parts = request(None);
            parts.uri = format!("/{}", "x".repeat(2000)).parse().unwrap();
            for _ in 0..requests {
                let scope = RequestScope::begin(&sink, Direction::Outbound, &parts);
                scope.set_edge(&edge());
                scope.finish(answer(200));
            }
            sink.access_log().unwrap().flush().await;
        });
    });
    page(&recorder)
}

fn log(to: &Path) -> AccessLog {
    AccessLog::open(AccessLogOptions {
        to: to.to_owned(),
        json: true,
        sample: 1.0,
    })
    .unwrap()
}

fn lines(page: &str, result: &str) -> u64 {
    let series = format!("mesh_access_log_lines_total{{result=\"{result}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().parse().unwrap()
}

#[test]
fn what_a_full_disk_refuses_is_counted() {
    let page = logged(Path::new("/dev/full"), 100);
    assert_eq!(lines(&page, "dropped"), 100);
    assert_eq!(lines(&page, "written"), 0);
}

#[test]
fn a_disk_that_hangs_holds_no_request_up() {
    // Nobody reads the pipe: it takes 64 KiB, and then a write hangs for ever.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    let page = logged(&path, 3000); // some 6 MiB
    let dropped = lines(&page, "dropped");
    assert!(dropped > 1000, "{dropped}");
    // What was taken is written as soon as that is possible, whole lines all.
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count() as u64, 3000 - dropped);
    assert!(
        text.lines()
            .all(|line| line.starts_with("{\"time\":") && line.ends_with('}'))
    );
}
