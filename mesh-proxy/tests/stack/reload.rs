//! Hot reload: the real binary, real files, and every way in which files change.

use std::{fs, os::unix::fs::symlink, time::Duration};

use rustix::process::Signal;

use crate::{
    process::{Folder, Ports, Running, until},
    support::{get, send},
};

#[tokio::test]
async fn a_file_that_is_written_again_is_put_in_force() {
    let (folder, ports) = (Folder::new("again"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let begun = running
        .metric("mesh_config_last_reload_success_timestamp_seconds")
        .await;
    fs::write(folder.file(), ports.answering("two")).unwrap();
    running.until_in_force("two").await;
    let after = running
        .metric("mesh_config_last_reload_success_timestamp_seconds")
        .await;
    assert!(after > begun);
    running.stop();
}

#[tokio::test]
async fn a_file_that_is_moved_over_the_old_one_is_put_in_force() {
    let (folder, ports) = (Folder::new("moved"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    for name in ["two", "three"] {
        let new = folder.0.join("sidecar.yaml.new");
        fs::write(&new, ports.answering(name)).unwrap();
        fs::rename(&new, folder.file()).unwrap();
        running.until_in_force(name).await;
    }
    running.stop();
}

#[tokio::test]
async fn a_link_that_is_swapped_beside_the_file_as_in_a_config_map_is_followed() {
    let (folder, ports) = (Folder::new("map"), Ports::free());
    let revision = |number: usize, name: &str| {
        let data = folder.0.join(format!("..{number}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("sidecar.yaml"), ports.answering(name)).unwrap();
        symlink(format!("..{number}"), folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        if number > 1 {
            fs::remove_dir_all(folder.0.join(format!("..{}", number - 1))).unwrap();
        }
    };
    revision(1, "one");
    symlink("..data/sidecar.yaml", folder.file()).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    for (number, name) in [(2, "two"), (3, "three"), (4, "four")] {
        revision(number, name);
        running.until_in_force(name).await;
    }
    running.stop();
}

#[tokio::test]
async fn a_bad_file_changes_nothing_says_all_its_problems_once_and_shows() {
    let (folder, ports) = (Folder::new("bad"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let bad = ports.answering("two")
        + "  routes: [{ name: a, cluster: nowhere }, { name: b, cluster: two, deadline: 0s }]\n";
    for _ in 0..3 {
        // Moved, so that it is never seen half-written: that would be another bad file.
        let new = folder.0.join("sidecar.yaml.new");
        fs::write(&new, &bad).unwrap();
        fs::rename(&new, folder.file()).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    running.until_refused(1.0).await;
    assert_eq!(running.clusters().await, ["one"]);
    for problem in ["policy.routes[0].cluster", "policy.routes[1].deadline"] {
        until(problem, async || running.times_said(problem) == 1).await;
    }
    running.signal(Signal::HUP);
    running.until_refused(2.0).await;
    fs::write(folder.file(), ports.answering("three")).unwrap();
    running.until_in_force("three").await;
    assert!(running.metric("mesh_config_last_reload_successful").await > 0.5);
    running.stop();
}

#[tokio::test]
async fn a_file_that_is_cut_short_or_gone_keeps_the_old_one() {
    let (folder, ports) = (Folder::new("short"), Ports::free());
    let whole = ports.answering("one");
    fs::write(folder.file(), &whole).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    fs::write(folder.file(), &whole[..whole.len() / 2]).unwrap();
    running.until_refused(1.0).await;
    fs::remove_file(folder.file()).unwrap();
    running.until_refused(2.0).await;
    assert_eq!(running.clusters().await, ["one"]);
    fs::write(folder.file(), ports.answering("two")).unwrap();
    running.until_in_force("two").await;
    running.stop();
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_nothing_of_the_file_is_put_in_force() {
    let (folder, ports) = (Folder::new("restart"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    let moved = ports.answering("two").replace("orders-1", "orders-2");
    fs::write(folder.file(), moved + "workers: 2\n").unwrap();
    running.until_refused(1.0).await;
    assert_eq!(running.clusters().await, ["one"]);
    for key in [
        "instance: changed from `orders-1` to `orders-2`",
        "workers: changed",
    ] {
        until(key, async || running.times_said(key) == 1).await;
    }
    running.stop();
}

#[tokio::test]
async fn a_burst_of_writes_ends_with_the_last() {
    let (folder, ports) = (Folder::new("burst"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &[]).await;
    for number in 0..200 {
        fs::write(folder.file(), ports.answering(&format!("n{number}"))).unwrap();
    }
    running.until_in_force("n199").await;
    assert!(running.times_said("the changed configuration file is in force") < 20);
    running.stop();
}

#[tokio::test]
async fn a_hangup_reads_the_file_again_and_options_still_change_it() {
    let (folder, ports) = (Folder::new("hangup"), Ports::free());
    fs::write(folder.file(), ports.answering("one")).unwrap();
    let running = Running::start(&folder.file(), ports, &["--instance", "orders-7"]).await;
    running.signal(Signal::HUP);
    until("it says so", async || {
        running.times_said("the changed configuration file is in force") == 1
    })
    .await;
    let answer = send(ports.0[1], get("localhost", "/config")).await;
    let config: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(config["instance"], "orders-7");
    running.stop();
}
