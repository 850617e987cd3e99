//! Killed: at moments drawn by chance over the whole run, and exactly where something is being written.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::{Chance, Place, Trouble, kill, shown, whole};

/// How many kills: `KILLS=200` for as many as the promise is about.
fn kills() -> usize {
    std::env::var("KILLS").map_or(20, |text| text.parse().expect("KILLS is a number"))
}

/// The last checkpoint of a run, which says how far it is without touching its store.
fn progress(place: &Place, name: &str) -> Option<u32> {
    let entries = std::fs::read_dir(place.run(name).join("checkpoints")).ok()?;
    let ticks = entries.filter_map(|entry| {
        let file = entry.ok()?.file_name().into_string().ok()?;
        file.strip_prefix("tick-")?
            .strip_suffix(".safetensors")?
            .parse()
            .ok()
    });
    ticks.max()
}

#[test]
fn a_run_killed_at_moments_drawn_by_chance_comes_to_the_same_end() {
    let whole = whole().1;
    let left = Mutex::new(kills());
    let moments = Mutex::new(Vec::new());
    // Two at a time, each with runs of its own.
    std::thread::scope(|scope| {
        for stream in 0..2 {
            let (left, moments) = (&left, &moments);
            scope.spawn(move || {
                let place = Place::new();
                let mut chance = Chance(stream);
                // Moments are from before there is a folder to after the end. A resumed run goes through what it has first:
                // where it is killed before it gets any further, the next may take longer; where it gets to its end, less.
                let mut most = whole;
                for number in 0.. {
                    let name = format!("run-{number}");
                    let mut reached = None;
                    loop {
                        {
                            let mut left = left.lock().unwrap();
                            if *left == 0 {
                                break;
                            }
                            *left -= 1;
                        }
                        let threads = ["1", "2", "8"][chance.next() as usize % 3];
                        let mut command = place.go_on(&name);
                        command.env("RAYON_NUM_THREADS", threads);
                        let mut child = command.spawn().unwrap();
                        let until = Instant::now() + chance.delay(most);
                        while Instant::now() < until && child.try_wait().unwrap().is_none() {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        if !kill(child) {
                            // It was over before.
                            *left.lock().unwrap() += 1;
                            most = most.mul_f64(0.5);
                            break;
                        }
                        place.clean();
                        let now = progress(&place, &name);
                        moments.lock().unwrap().push(now);
                        if now <= reached {
                            most = most.mul_f64(1.1);
                        }
                        reached = now.max(reached);
                    }
                    place.ends_as_if_nothing_had_happened(&name);
                    std::fs::remove_dir_all(place.run(&name)).unwrap();
                    if *left.lock().unwrap() == 0 {
                        break;
                    }
                }
            });
        }
    });
    let mut moments = moments.into_inner().unwrap();
    moments.sort_unstable();
    assert_eq!(moments.len(), kills());
    eprintln!("killed after checkpoints {moments:?}");
    // Before the first, in training, in rounds.
    let last = whole_ticks();
    // Of a few, chance may leave one out.
    let parts = [0..1, 1..last / 2, last / 2..last];
    for part in parts.into_iter().filter(|_| moments.len() >= 100) {
        let within = |tick: &Option<u32>| part.contains(&tick.unwrap_or(0));
        assert!(moments.iter().any(within), "none in {part:?}: {moments:?}");
    }
}

fn whole_ticks() -> u32 {
    u32::try_from(whole().0.rows["tick"].len()).unwrap()
}

/// Kills where something is being written, in the order of a run: what is done, the call, the path, up to which one of them.
const WRITES: &[(&str, &str, &str, u64)] = &[
    ("kill", "write", "plugins/", 4),
    ("killed", "rename", "plugins/", 4),
    ("kill", "write", "store.db-wal", 300),
    ("kill", "sync", "store.db-wal", 5),
    ("kill", "write", "checkpoints/tick-", 6),
    ("killed", "write", "store.db-wal", 900),
    ("killed", "open", "checkpoints/tick-", 4),
    ("killed", "sync", "store.db-wal", 5),
    ("kill", "rename", "checkpoints/tick-", 4),
    ("killed", "rename", "checkpoints/tick-", 4),
    ("kill", "unlink", "checkpoints/tick-", 3),
    ("killed", "unlink", "checkpoints/tick-", 3),
    ("kill", "write", "checkpoints/best", 2),
    ("killed", "rename", "checkpoints/best", 1),
    ("kill", "sync", "checkpoints/tick-", 3),
    ("kill", "write", "model.partial", 1),
    ("kill", "rename", "modules.partial", 1),
    ("killed", "rename", "modules.partial", 1),
    ("kill", "write", "/store.db$", 40),
    ("killed", "write", "/store.db$", 40),
    ("kill", "unlink", "store.db-wal", 1),
    ("kill", "write", "report.partial", 1),
    ("kill", "rename", "report.partial", 1),
    ("killed", "rename", "report.partial", 1),
];

#[test]
fn a_run_killed_exactly_where_it_writes_comes_to_the_same_end() {
    let place = Place::new();
    let rounds = (kills() / 100).max(1);
    for round in 0..rounds {
        let mut chance = Chance(100 + round as u64);
        let name = format!("run-{round}");
        for &(does, call, path, most) in WRITES {
            let nth = chance.up_to(most);
            let trouble = Trouble {
                does,
                call,
                path,
                nth,
            };
            let output = place.go_on_with(&name, trouble).output().unwrap();
            if output.status.success() {
                // There were no more of these: nothing happened, then.
                assert!(
                    !place.told(&name).exists(),
                    "{trouble:?}: {}",
                    shown(&output)
                );
                assert!(most > 1, "{trouble:?} never comes");
                eprintln!("round {round}: never came to {trouble:?}");
                place.has_ended_as_if_nothing_had_happened(&name);
                std::fs::remove_dir_all(place.run(&name)).unwrap();
            } else {
                assert!(
                    place.told(&name).exists(),
                    "{trouble:?}: {}",
                    shown(&output)
                );
            }
        }
        place.ends_as_if_nothing_had_happened(&name);
    }
}

#[test]
fn a_run_killed_while_its_folder_is_made_is_none_and_can_be_begun_again() {
    let place = Place::new();
    for (does, call, path, nth) in [
        ("kill", "mkdir", ".partial", 1),
        ("killed", "mkdir", ".partial", 1),
        ("killed", "open", "lock", 1),
        ("killed", "mkdir", "checkpoints", 1),
        ("kill", "write", "origin.json", 1),
        ("killed", "write", "plan.json", 1),
        ("kill", "write", "store.db$", 3),
        ("kill", "write", "store.db-wal", 20),
        ("killed", "sync", "store.db-wal", 2),
        ("kill", "rename", ".partial", 1),
    ] {
        let trouble = Trouble {
            does,
            call,
            path,
            nth,
        };
        let output = place.go_on_with("run-a", trouble).output().unwrap();
        assert!(
            place.told("run-a").exists(),
            "{trouble:?}: {}",
            shown(&output)
        );
        assert!(!place.run("run-a").exists(), "{trouble:?}");
        place.clean();
        let output = place.command(&["resume", "run-a"]).output().unwrap();
        let said = shown(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("`run-a` is not the folder of a run"),
            "{said}"
        );
        assert!(!place.run("run-a").exists(), "{trouble:?}");
    }
    // From the renaming on it is a run.
    let trouble = Trouble {
        does: "killed",
        call: "rename",
        path: ".partial",
        nth: 1,
    };
    let output = place.go_on_with("run-a", trouble).output().unwrap();
    assert!(place.run("run-a").exists(), "{}", shown(&output));
    place.ends_as_if_nothing_had_happened("run-a");
}

#[test]
fn a_run_whose_power_fails_comes_to_the_same_end() {
    let place = Place::new();
    for (call, path, nth) in [
        ("mkdir", "run-a/plugins", 1),
        ("rename", "plugins/", 3),
        ("write", "checkpoints/tick-1.", 1),
        ("write", "store.db-wal", 200),
        ("sync", "store.db-wal", 5),
        ("rename", "checkpoints/tick-", 3),
        ("unlink", "checkpoints/tick-", 3),
        ("rename", "checkpoints/best", 1),
        ("write", "store.db-wal", 900),
        ("rename", "modules.partial", 1),
        ("truncate", "store.db-wal", 1),
        ("write", "report.partial", 1),
        ("rename", "report.partial", 1),
    ] {
        let trouble = Trouble {
            does: "cut",
            call,
            path,
            nth,
        };
        let output = place.go_on_with("run-a", trouble).output().unwrap();
        assert!(
            place.told("run-a").exists(),
            "{trouble:?}: {}",
            shown(&output)
        );
        place.clean();
        // What a run that was over has left is whole without anybody's help.
        if path == "report.partial" {
            let model = "model/0_StaticEmbedding/model.safetensors";
            let bytes = std::fs::read(place.run("run-a").join(model)).unwrap();
            assert!(
                bytes == whole().0.files[model],
                "the model was not on the disk"
            );
        }
    }
    place.ends_as_if_nothing_had_happened("run-a");
}

#[test]
fn a_run_killed_between_its_last_checkpoint_and_the_removal_of_the_one_before_leaves_no_more_files()
{
    let ticks: Vec<_> = whole().0.rows["checkpoint"].iter().collect();
    let files = ticks.iter().map(|row| row.split(" | ").nth(1).unwrap());
    let number = |file: &str| {
        file.trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap()
    };
    let mut numbers: Vec<u32> = files.map(number).collect();
    numbers.sort_unstable();
    let file = format!("tick-{}.safetensors", numbers[numbers.len() - 2]);
    let place = Place::new();
    let trouble = Trouble {
        does: "kill",
        call: "unlink",
        path: &file,
        nth: 1,
    };
    let output = place.go_on_with("run-a", trouble).output().unwrap();
    assert!(place.told("run-a").exists(), "{}", shown(&output));
    place.ends_as_if_nothing_had_happened("run-a");
}
