use std::time::Duration;

use mesh_proxy::config::Abort;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::mesh_file::MeshFile;

const MESH: &str = "mesh: m
services: { a: { calls: [b] }, b: {} }
chaos: [ { id: from-file, where: b, abort: 503, enabled: false, for: 1m } ]";

fn open(text: &str, clock: Clock, dir: Option<&Path>) -> Chaos {
    let mesh = MeshFile::parse(text).unwrap().resolve().unwrap();
    let activity = Arc::new(ActivityLog::new(clock));
    Chaos::open(Roster::new(Arc::new(mesh)), clock, activity, dir).unwrap()
}

fn rule(yaml: &str) -> Rule {
    serde_saphyr::from_str(yaml).unwrap()
}

fn in_force(chaos: &Chaos) -> Vec<String> {
    let rules = chaos.current();
    let on = rules.rules.iter().filter(|rule| rule.enabled);
    on.map(|rule| rule.id.clone()).collect()
}

/// A folder of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("mesh-console-{}", uuid::Uuid::new_v4()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn halt_turns_everything_off_in_one_revision() {
    let chaos = open(MESH, Clock::System, None);
    chaos
        .put(rule("{ id: x, where: a -> b, delay: 1s }"))
        .await
        .unwrap();
    chaos.turn("from-file", true).await.unwrap();
    let before = chaos.current().revision;
    chaos.halt().await.unwrap();
    assert_eq!(in_force(&chaos), [] as [&str; 0]);
    assert_eq!(chaos.current().revision, before + 1);
    chaos.halt().await.unwrap();
    assert_eq!(
        chaos.current().revision,
        before + 1,
        "nothing was left to halt"
    );
    assert_eq!(
        chaos.current().rules.len(),
        2,
        "rules wait for their toggle"
    );
}

#[tokio::test]
async fn the_same_id_replaces() {
    let chaos = open(MESH, Clock::System, None);
    chaos
        .put(rule("{ id: from-file, where: b, abort: 500 }"))
        .await
        .unwrap();
    assert_eq!(chaos.current().rules.len(), 1);
    assert_eq!(in_force(&chaos), ["from-file"]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_turns_itself_off_when_its_time_is_over() {
    let chaos = Arc::new(open(MESH, Clock::tokio(), None));
    let stop = CancellationToken::new();
    let expiring = Arc::clone(&chaos);
    let token = stop.clone();
    let task = task::spawn("expire", async move { expiring.expire(token).await });
    chaos.turn("from-file", true).await.unwrap();
    let ends = chaos.current().rules[0].expires_at_ms.unwrap();
    assert_eq!(ends - chaos.clock.now_ms(), 60_000);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(in_force(&chaos), ["from-file"]);
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(in_force(&chaos), [] as [&str; 0]);
    assert!(chaos.activity.list()[0].text.contains("its time is over"));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_gives_no_rule_more_than_its_time() {
    let folder = Folder::new();
    let chaos = open(MESH, Clock::tokio(), Some(&folder.0));
    chaos.turn("from-file", true).await.unwrap();
    let now = chaos.clock.now_ms();
    chaos.shorten(now - 500).await;
    let left = |chaos: &Chaos| chaos.current().rules[0].expires_at_ms.unwrap();
    assert_eq!(left(&chaos), now + 60_000, "a clock is slewed all the time");
    let yesterday = now - 86_400_000;
    let Clock::Tokio { start, .. } = chaos.clock else {
        unreachable!()
    };
    let clock = Clock::Tokio {
        epoch_ms: yesterday,
        start,
    };
    let restarted = open(MESH, clock, Some(&folder.0));
    assert_eq!(left(&restarted), yesterday + 60_000);
    chaos.shorten(yesterday).await;
    assert_eq!(left(&chaos), yesterday + 60_000);
}

#[tokio::test(start_paused = true)]
async fn turning_on_again_starts_the_time_anew() {
    let chaos = open(MESH, Clock::tokio(), None);
    chaos.turn("from-file", true).await.unwrap();
    let first = chaos.current().rules[0].expires_at_ms.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    chaos.turn("from-file", true).await.unwrap();
    assert_eq!(
        chaos.current().rules[0].expires_at_ms.unwrap(),
        first + 20_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_rules_and_the_time_they_have_left() {
    let folder = Folder::new();
    let clock = Clock::tokio();
    let before = open(MESH, clock, Some(&folder.0));
    before
        .put(rule("{ id: x, where: b, abort: 500, for: 10s }"))
        .await
        .unwrap();
    before.turn("from-file", true).await.unwrap();
    let old = before.current();
    tokio::time::advance(Duration::from_secs(5)).await;
    let after = open(MESH, clock, Some(&folder.0)).current();
    assert_eq!(after.rules, old.rules);
    assert!(
        after.revision > old.revision,
        "sidecars must see a newer one"
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(in_force(&open(MESH, clock, Some(&folder.0))), ["from-file"]);
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_in_force_and_saved() {
    use futures_util::FutureExt as _;
    let folder = Folder::new();
    let chaos = open(MESH, Clock::System, Some(&folder.0));
    chaos.turn("from-file", true).await.unwrap();
    assert!(
        chaos.halt().now_or_never().is_none(),
        "it waits for the disk"
    );
    drop(chaos.order.lock().await);
    assert_eq!(in_force(&chaos), [] as [&str; 0]);
    let after = open(MESH, Clock::System, Some(&folder.0));
    assert_eq!(in_force(&after), [] as [&str; 0]);
}

#[tokio::test]
async fn a_rule_that_was_removed_stays_removed() {
    let folder = Folder::new();
    let before = open(MESH, Clock::System, Some(&folder.0));
    before.remove("from-file").await.unwrap();
    let after = open(MESH, Clock::System, Some(&folder.0));
    assert_eq!(after.current().rules.len(), 0);
}

#[tokio::test]
async fn what_was_edited_in_the_mesh_file_wins_over_what_was_saved() {
    let folder = Folder::new();
    let before = open(MESH, Clock::System, Some(&folder.0));
    before
        .put(rule("{ id: mine, where: b, abort: 500 }"))
        .await
        .unwrap();
    let edited = MESH.replace("abort: 503", "abort: 502");
    let after = open(&edited, Clock::System, Some(&folder.0)).current();
    let abort = |id: &str| {
        let rule = after.rules.iter().find(|rule| rule.id == id).unwrap();
        rule.abort.clone().unwrap()
    };
    let wanted = (Abort::status(500), Abort::status(502));
    assert_eq!((abort("mine"), abort("from-file")), wanted);
}

#[tokio::test]
async fn an_unreadable_file_is_put_aside_and_said() {
    let folder = Folder::new();
    let file = saved::file_in(&folder.0).unwrap();
    std::fs::write(&file, "{ half").unwrap();
    let chaos = open(MESH, Clock::System, Some(&folder.0));
    assert_eq!(chaos.current().rules.len(), 1);
    assert!(chaos.activity.list()[0].text.contains("cannot be read"));
    assert!(file.with_extension("json.unreadable").exists());
}

#[tokio::test]
async fn every_problem_of_a_rule_is_named() {
    let chaos = open(MESH, Clock::System, None);
    let bad = rule("{ id: x, where: paymnts, percent: 101, abort: 200, for: 2days }");
    let Err(ConsoleError::BadRule { problems, .. }) = chaos.put(bad).await else {
        panic!("accepted");
    };
    let keys: Vec<&str> = problems.iter().map(|one| one.key.as_str()).collect();
    for key in ["where", "percent", "abort", "for"] {
        assert!(keys.contains(&key), "{key} not in {keys:?}");
    }
    let place = problems.iter().find(|one| one.key == "where").unwrap();
    assert!(place.message.contains("known: a, b"), "{place}");
}

#[tokio::test]
async fn unknown_ids_are_answered_with_the_known() {
    let chaos = open(MESH, Clock::System, None);
    let error = chaos.turn("nope", true).await.unwrap_err();
    assert!(
        error.to_string().contains("there are: from-file"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_guard_judges_what_went_by_since_its_rule_was_turned_on() {
    let chaos = open(MESH, Clock::tokio(), None);
    let guarded = "{ id: g, where: b, abort: 503, for: 1m, guard: { watch: a -> b, min_success: 95, min_requests: 20 } }";
    chaos.put(rule(guarded)).await.unwrap();
    let watch = async |requests: f64, failed: f64, most: u64| {
        tokio::time::advance(Duration::from_secs(4)).await;
        let measure = |_: &_, since: Duration| {
            assert_eq!(since.as_secs(), most);
            Watched { requests, failed }
        };
        chaos.guard(measure).await;
        in_force(&chaos).len()
    };
    assert_eq!(watch(19.0, 19.0, 4).await, 1, "too few to say anything");
    assert_eq!(watch(100.0, 5.0, 8).await, 1, "just enough succeed");
    assert_eq!(watch(100.0, 9.0, 10).await, 0);
    assert_eq!(
        chaos.activity.list()[0].text,
        "`g` turned off by its guard: success of a -> b fell to 91 % (floor 95 %)"
    );
}
