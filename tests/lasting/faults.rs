//! Faults of the disk, of SQLite, of the clock, and Ctrl-C: each ends in an error that says what to do, and once it is gone the
//! run comes to the same end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::{Chance, Place, Trouble, shown, whole};

/// In the order of a run: what is wrong from where on, and what the user is told of it.
const FAULTS: &[(&str, &str, &str, u64, &str)] = &[
    // While the folder is made: there is no run then.
    ("full", "write", "plan.json", 1, "No space left"),
    ("full", "mkdir", "checkpoints", 1, "No space left"),
    ("full", "write", "/store.db-wal", 9, "the disk is full"),
    ("sealed", "mkdir", ".partial", 1, "Read-only"),
    ("broken", "sync", "origin.json", 1, "Input/output error"),
    // From here on there is.
    ("full", "write", "plugins/", 2, "No space left"),
    ("full", "write", "/store.db-wal", 300, "the disk is full"),
    ("sealed", "open", "/lock", 1, "Read-only"),
    ("sealed", "write", "/store.db-wal", 700, "the store failed"),
    ("broken", "sync", "/store.db-wal", 6, "the store failed"),
    ("full", "write", "tick-", 3, "No space left"),
    ("sealed", "open", "tick-", 3, "Read-only"),
    ("broken", "sync", "tick-", 3, "Input/output error"),
    ("broken", "rename", "tick-", 3, "Input/output error"),
    ("full", "write", "best", 1, "No space left"),
    ("full", "write", "model.partial", 1, "No space left"),
    ("full", "write", "modules.partial", 1, "No space left"),
    (
        "broken",
        "rename",
        "modules.partial",
        1,
        "Input/output error",
    ),
    ("full", "write", "/store.db$", 9, "the disk is full"),
    ("full", "write", "report.partial", 1, "No space left"),
    ("sealed", "rename", "report.partial", 1, "Read-only"),
];

#[test]
fn a_full_read_only_or_failing_disk_ends_the_run_with_what_to_do_and_it_can_be_resumed() {
    let place = Place::new();
    for &(does, call, path, nth, told) in FAULTS {
        let trouble = Trouble {
            does,
            call,
            path,
            nth,
        };
        let output = place.go_on_with("run-a", trouble).output().unwrap();
        let said = shown(&output);
        assert!(
            place.told("run-a").exists(),
            "{trouble:?} never came: {said}"
        );
        assert_eq!(output.status.code(), Some(3), "{trouble:?}: {said}");
        assert!(said.contains(told), "{trouble:?}: {said}");
        assert!(said.contains("help: "), "{trouble:?}: {said}");
        assert!(!said.contains("panicked"), "{trouble:?}: {said}");
        let half = ["tick-", "best"].iter().any(|name| path.starts_with(name));
        let left = || std::fs::read_dir(place.run("run-a").join("checkpoints")).unwrap();
        let is_half = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .unwrap()
                .path()
                .extension()
                .is_some_and(|kind| kind == "partial")
        };
        assert!(
            does == "sealed" || !half || !left().any(is_half),
            "{trouble:?}: half a checkpoint"
        );
    }
    place.ends_as_if_nothing_had_happened("run-a");
}

/// Whether a file system of a given size can be made here: in a user's own namespace, or as root.
fn can_mount() -> bool {
    let script = "mount -t tmpfs -o size=1m none /tmp";
    let made = Command::new("unshare")
        .args(["-rm", "sh", "-c", script])
        .output();
    made.is_ok_and(|output| output.status.success())
}

#[test]
fn a_file_system_that_is_full_and_then_read_only_is_survived() {
    if !can_mount() {
        eprintln!("SKIPPED: no file system can be mounted here (unshare -rm, mount -t tmpfs)");
        return;
    }
    let needed: usize = whole().0.files.values().map(Vec::len).sum();
    for (number, part) in [0.5, 0.8, 1.1].into_iter().enumerate() {
        let place = Place::new();
        let name = format!("run-{number}");
        let disk = place.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let size = ((needed as f64 * part) as usize).to_string();
        let binary = place
            .command(&[])
            .get_program()
            .to_str()
            .unwrap()
            .to_owned();
        let script = format!(
            "mount -t tmpfs -o size={size} none disk
             {binary} run x.yaml --run-dir disk/{name}; echo full $? >&2
             mount -o remount,ro disk
             {binary} resume disk/{name}; echo read-only $? >&2
             mount -o remount,rw,size=1g disk
             [ -e disk/{name} ] && {binary} resume disk/{name} || {binary} run x.yaml --run-dir disk/{name}
             echo mended $? >&2
             cp -a disk/{name} {name}"
        );
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", &script])
            .current_dir(place.path());
        let output = command.env_remove("RAYON_NUM_THREADS").output().unwrap();
        let said = shown(&output);
        assert!(said.contains("full 3"), "{said}");
        // Where it was full before there was a run, there is none to resume.
        let refused = if said.contains("is not the folder") {
            2
        } else {
            3
        };
        assert!(said.contains(&format!("read-only {refused}")), "{said}");
        assert!(
            said.contains("mended 0") && !said.contains("panicked"),
            "{said}"
        );
        place.has_ended_as_if_nothing_had_happened(&name);
    }
}

/// Sends the signal that Ctrl-C sends.
fn interrupt(process: u32) {
    let id = process.to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn ctrl_c_at_moments_drawn_by_chance_ends_with_how_to_go_on() {
    let place = Place::new();
    let mut chance = Chance(7);
    let mut interrupted = 0;
    while interrupted < 4 {
        let there = place.run("run-a").exists();
        let child = place.go_on("run-a").spawn().unwrap();
        std::thread::sleep(chance.delay(whole().1));
        interrupt(child.id());
        let output = child.wait_with_output().unwrap();
        let said = shown(&output);
        match output.status.code() {
            Some(5) => {
                assert!(said.contains("orchestrator resume run-a"), "{said}");
                interrupted += 1;
            }
            Some(0) => {
                place.has_ended_as_if_nothing_had_happened("run-a");
                std::fs::remove_dir_all(place.run("run-a")).unwrap();
            }
            // So early that it was only about to begin.
            None => assert!(there || !place.run("run-a").exists(), "{said}"),
            Some(_) => panic!("{said}"),
        }
    }
    place.ends_as_if_nothing_had_happened("run-a");
}

#[test]
fn ctrl_c_twice_ends_at_once_whatever_hangs() {
    let place = Place::new();
    // The disk does not answer: a network share that has gone away.
    let trouble = Trouble {
        does: "stalled",
        call: "write",
        path: "checkpoints/tick-",
        nth: 4,
    };
    let mut child = place.go_on_with("run-a", trouble).spawn().unwrap();
    place.wait_for_trouble("run-a");
    interrupt(child.id());
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "once is a request");
    let began = Instant::now();
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    place.ends_as_if_nothing_had_happened("run-a");
}

/// Takes the lock of the store for writing as soon as training has begun.
fn hold_the_store(place: &Place, name: &str) -> Connection {
    let began = Instant::now();
    let first = place.run(name).join("checkpoints/tick-1.safetensors");
    while !first.exists() {
        assert!(began.elapsed() < Duration::from_mins(1), "it never began");
        std::thread::sleep(Duration::from_millis(1));
    }
    let connection = Connection::open(place.run(name).join("store.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn a_store_that_another_program_holds_is_waited_for_a_while() {
    let place = Place::new();
    let child = place.go_on("run-a").spawn().unwrap();
    let other = hold_the_store(&place, "run-a");
    std::thread::sleep(Duration::from_millis(2500));
    other.execute_batch("ROLLBACK").unwrap();
    // And to read it is in nobody's way, even at the end.
    other
        .execute_batch("BEGIN; SELECT count(*) FROM tick")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    drop(other);
    place.has_ended_as_if_nothing_had_happened("run-a");

    let mut command = place.go_on("run-b");
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let other = hold_the_store(&place, "run-b");
    let output = child.wait_with_output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("database is locked"), "{said}");
    assert!(
        said.contains("another program") && said.contains("resume"),
        "{said}"
    );
    // Nor does it begin again before that is over.
    let output = place.go_on("run-b").output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("another program") && said.contains("resume"),
        "{said}"
    );
    drop(other);
    place.ends_as_if_nothing_had_happened("run-b");
}

#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let place = Place::new();
    let trouble = Trouble {
        does: "clock",
        call: "rename",
        path: "checkpoints/tick-",
        nth: 9,
    };
    let output = place.go_on_with("run-a", trouble).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    place.has_ended_as_if_nothing_had_happened("run-a");
    let store = Connection::open(place.run("run-a").join("store.db")).unwrap();
    let (began, ended): (i64, i64) = store
        .query_row(
            "SELECT max(at) FILTER (WHERE kind = 'start'), max(at) FILTER (WHERE kind = 'finish') FROM event",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(ended < began, "the clock was not set back");
    drop(store);
    // And when it is right again.
    place.ends_as_if_nothing_had_happened("run-a");
}
