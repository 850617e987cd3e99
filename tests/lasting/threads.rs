//! As many threads as the machine or RAYON_NUM_THREADS says, and the same end.

use std::time::Duration;

use crate::{Place, shown};

/// How many threads a process has now.
fn threads_of(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count)
}

#[test]
fn the_end_is_the_same_with_one_two_and_eight_threads() {
    let place = Place::new();
    let mut most = Vec::new();
    for threads in ["1", "2", "8"] {
        let mut command = place.go_on(threads);
        command.env("RAYON_NUM_THREADS", threads);
        let mut child = command.spawn().unwrap();
        let mut seen = 0;
        while child.try_wait().unwrap().is_none() {
            seen = seen.max(threads_of(child.id()));
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        place.has_ended_as_if_nothing_had_happened(threads);
        most.push(seen);
    }
    // The variable is what decides: one more thread where it says so, and seven.
    assert_eq!((most[1] - most[0], most[2] - most[0]), (1, 7), "{most:?}");
}
