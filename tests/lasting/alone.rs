//! One process at a time on a run folder.

use std::process::Child;

use crate::{Place, Trouble, kill, shown};

/// A run that does not come past the first of these calls.
fn stalled(place: &Place, name: &str, call: &'static str, path: &'static str) -> Child {
    let trouble = Trouble {
        does: "stalled",
        call,
        path,
        nth: 3,
    };
    let nth = if call == "rename" { 1 } else { 3 };
    let child = place
        .go_on_with(name, Trouble { nth, ..trouble })
        .spawn()
        .unwrap();
    place.wait_for_trouble(name);
    child
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended_however_it_ends() {
    let place = Place::new();
    let first = stalled(&place, "run-a", "write", "checkpoints/tick-");
    let output = place.command(&["resume", "run-a"]).output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("another process is working on the run `run-a`"),
        "{said}"
    );
    assert!(said.contains("orchestrator resume run-a"), "{said}");
    let output = place
        .command(&["run", "x.yaml", "--run-dir", "run-a"])
        .output()
        .unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the run folder `run-a` exists"), "{said}");
    // Reading is in nobody's way.
    let output = place.command(&["report", "run-a"]).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert!(place.run("run-a").join("report.html").is_file());
    assert!(kill(first));
    place.ends_as_if_nothing_had_happened("run-a");
}

#[test]
fn of_two_that_make_the_same_run_one_goes_on() {
    let place = Place::new();
    let first = stalled(&place, "run-a", "rename", ".partial");
    let begin = || place.command(&["run", "x.yaml", "--run-dir", "run-a"]);
    let output = begin().output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the run folder `run-a` exists"), "{said}");
    assert!(kill(first));
    // What it left is nobody's: four at once, of which one runs.
    let all: Vec<Child> = (0..4).map(|_| begin().spawn().unwrap()).collect();
    let mut codes: Vec<_> = all
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().status.code())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2), Some(2), Some(2)]);
    place.has_ended_as_if_nothing_had_happened("run-a");
}

#[test]
fn a_folder_that_is_no_run_gets_no_lock() {
    let place = Place::new();
    std::fs::create_dir(place.run("run-a")).unwrap();
    let output = place.command(&["resume", "run-a"]).output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(std::fs::read_dir(place.run("run-a")).unwrap().count(), 0);
}
