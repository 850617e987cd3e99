//! What is downloaded, where it lies, and that it goes on where it stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator_hub::{Cache, Error, Name, Progress, Settings, find, pull};

use crate::server::{
    COMMIT, Model, NAME, Reply, Server, files, get, get_named, git, settings, sha256,
};

/// What is needed of the model.
const NEEDED: [&str; 6] = [
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
];

#[test]
fn a_model_lies_where_python_looks_for_it() {
    let model = Model::small();
    let server = Server::hub(model.clone(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    let pulled = get(&settings(&server), folder.path()).unwrap();
    let of_model = folder.path().join("models--org--model");
    assert_eq!(pulled.folder, of_model.join("snapshots").join(COMMIT));
    let names: Vec<&str> = pulled.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, NEEDED);
    assert_eq!(
        std::fs::read_to_string(of_model.join("refs/main")).unwrap(),
        COMMIT
    );
    for file in &pulled.files {
        let content = model.content(&file.name);
        let hash = if file.name == "model.safetensors" {
            sha256(content)
        } else {
            git(content)
        };
        assert_eq!((&file.hash, file.downloaded), (&hash, true));
        let place = pulled.folder.join(&file.name);
        assert_eq!(std::fs::read(&place).unwrap(), content, "{}", file.name);
        if cfg!(unix) {
            let up = if file.name.contains('/') {
                "../../../../"
            } else {
                "../../../"
            };
            let target = std::fs::read_link(&place).unwrap();
            // A snapshot's own folder is two below the model's.
            assert_eq!(
                target.to_string_lossy(),
                format!("{}blobs/{hash}", &up[3..])
            );
        }
    }
    // Blobs, the ref, locks: nothing else, nothing half.
    assert_eq!(files(folder.path()).len(), 2 * NEEDED.len() + 1);
    assert!(
        server
            .paths()
            .iter()
            .all(|path| !path.ends_with(".bin") && !path.ends_with(".onnx"))
    );
    assert_eq!(
        find(NAME, &Cache::new(folder.path())).unwrap(),
        pulled.folder
    );
}

#[test]
fn a_second_pull_downloads_nothing() {
    let server = Server::hub(Model::small(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    let first = get(&settings(&server), folder.path()).unwrap();
    let before = server.seen().len();
    let second = get(&settings(&server), folder.path()).unwrap();
    assert_eq!(second.folder, first.folder);
    assert!(second.files.iter().all(|file| !file.downloaded));
    let asked = server.paths().split_off(before);
    assert_eq!(
        asked,
        [format!("/api/models/{NAME}/revision/main?blobs=true")]
    );
}

#[test]
fn a_commit_or_branch_can_be_named() {
    let server = Server::hub(Model::small(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    for (revision, asked) in [("refs/pr/7", "refs%2Fpr%2F7"), (COMMIT, COMMIT)] {
        let name = format!("{NAME}@{revision}");
        let pulled = get_named(&name, &settings(&server), folder.path()).unwrap();
        let found = find(&name, &Cache::new(folder.path())).unwrap();
        assert_eq!(found, pulled.folder);
        let path = format!("/api/models/{NAME}/revision/{asked}?blobs=true");
        assert!(server.paths().contains(&path));
    }
    let refs = folder.path().join("models--org--model/refs");
    assert!(refs.join("refs/pr/7").is_file());
    assert!(!refs.join(COMMIT).exists(), "a commit is its own name");
    // Another commit than the one that was asked for.
    let other = format!("{NAME}@{}", "a".repeat(40));
    let error = get_named(&other, &settings(&server), folder.path()).unwrap_err();
    assert!(error.to_string().contains("asked for aaaa"), "{error}");
}

#[test]
fn what_was_interrupted_goes_on_where_it_stopped() {
    let model = Model::small();
    let whole = model.content("model.safetensors").len();
    // The first pull loses its connection three times, and gives up.
    let server = Server::hub(model.clone(), move |number, seen, reply| {
        let large = seen.path.ends_with("model.safetensors");
        if large && number < 9 {
            reply.cut(300_000)
        } else {
            reply
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let error = get(&settings(&server), folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("broke after 900000 of"),
        "{error}"
    );
    assert!(find(NAME, &Cache::new(folder.path())).is_err());
    let incomplete = folder
        .path()
        .join("models--org--model/blobs")
        .join(sha256(model.content("model.safetensors")) + ".incomplete");
    assert_eq!(std::fs::metadata(&incomplete).unwrap().len(), 900_000);

    let before = server.seen().len();
    let pulled = get(&settings(&server), folder.path()).unwrap();
    let after = server.seen().split_off(before);
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[1].header("range"), Some("bytes=900000-"));
    let place = pulled.folder.join("model.safetensors");
    assert_eq!(
        std::fs::read(place).unwrap(),
        model.content("model.safetensors")
    );
    assert!(!incomplete.exists() && whole > 2_000_000);
    let downloaded: Vec<&str> = pulled
        .files
        .iter()
        .filter(|file| file.downloaded)
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(downloaded, ["model.safetensors"]);
}

#[test]
fn a_long_download_may_break_off_often_as_long_as_it_goes_forward() {
    // Of 2.1 MB, a little more than 1 MiB comes at a time: two breaks, where one try more is allowed.
    let server = Server::hub(Model::small(), |_, _, reply| reply.cut(1_050_000));
    let folder = tempfile::tempdir().unwrap();
    let impatient = Settings {
        retries: 1,
        ..settings(&server)
    };
    get(&impatient, folder.path()).unwrap();
    let asked = server.paths();
    let tries = asked
        .iter()
        .filter(|path| path.ends_with("model.safetensors"));
    assert_eq!(tries.count(), 3);
}

#[test]
fn a_server_that_knows_no_ranges_gives_it_all_again() {
    let model = Model::small();
    let whole = model.clone();
    let server = Server::hub(model.clone(), move |number, seen, reply| {
        if !seen.path.ends_with("model.safetensors") {
            return reply;
        }
        let content = whole.content("model.safetensors").to_vec();
        let all = Reply::Full(200, Vec::new(), content);
        if number < 7 { all.cut(1000) } else { all }
    });
    let folder = tempfile::tempdir().unwrap();
    let pulled = get(&settings(&server), folder.path()).unwrap();
    let place = pulled.folder.join("model.safetensors");
    assert_eq!(
        std::fs::read(place).unwrap(),
        model.content("model.safetensors")
    );
}

#[test]
fn hashes_may_come_with_the_files_instead_of_the_listing() {
    let model = Model {
        hashes: false,
        ..Model::small()
    };
    let other = model.clone();
    let elsewhere = Server::start(move |_, seen| {
        let content = other.content("model.safetensors");
        match other.file(seen, "x", content) {
            Reply::Full(status, headers, body) => {
                // Whoever stores files has tags of its own.
                let headers = headers.into_iter().filter(|one| !one.starts_with("ETag"));
                Reply::Full(status, headers.collect(), body).with("ETag: \"of-the-store\"")
            }
            reply => reply,
        }
    });
    let to = format!("Location: {}/stored", elsewhere.url);
    let linked = format!(
        "X-Linked-Etag: \"{}\"",
        sha256(model.content("model.safetensors"))
    );
    let server = Server::hub(model.clone(), move |_, seen, reply| {
        if seen.path.ends_with("model.safetensors") {
            Reply::status(302).with(&to).with(&linked)
        } else {
            reply
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let pulled = get(&settings(&server), folder.path()).unwrap();
    for file in &pulled.files {
        assert_eq!(
            std::fs::read(pulled.folder.join(&file.name)).unwrap(),
            model.content(&file.name)
        );
    }
    assert_eq!(
        elsewhere.seen().len(),
        1,
        "only the hub is asked for hashes"
    );
}

#[test]
fn progress_says_what_will_come_and_reaches_it() {
    let server = Server::hub(Model::small(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    let (mut begun, mut last) = (None, 0);
    pull(
        &Name::parse(NAME).unwrap(),
        &Cache::new(folder.path()),
        &settings(&server),
        &AtomicBool::new(false),
        &mut |event| match event {
            Progress::Begun { files, bytes } => begun = Some((files, bytes)),
            Progress::At { bytes, .. } => {
                assert!(bytes >= last);
                last = bytes;
            }
        },
    )
    .unwrap();
    assert_eq!(begun, Some((NEEDED.len(), last)));
    assert!(last > 2_000_000);
}

#[test]
fn a_pull_can_be_stopped_at_any_time_and_goes_on_afterwards() {
    /// Its name, what the server does with the weights.
    type Case<'a> = (&'a str, fn(Reply) -> Reply);
    let cases: [Case<'_>; 3] = [
        ("a hanging server", |_| Reply::Hang),
        ("a back-off", |_| Reply::status(503).with("Retry-After: 50")),
        ("a download", |reply| reply.cut(100_000)),
    ];
    for (name, change) in cases {
        let well = Arc::new(AtomicBool::new(false));
        let healed = Arc::clone(&well);
        let server = Server::hub(Model::small(), move |_, seen, reply| {
            if seen.path.ends_with("model.safetensors") && !healed.load(Ordering::SeqCst) {
                change(reply)
            } else {
                reply
            }
        });
        let patient = Settings {
            retries: 20,
            timeout: Duration::from_secs(100),
            longest_wait: Duration::from_secs(100),
            ..settings(&server)
        };
        let folder = tempfile::tempdir().unwrap();
        let cancelled = AtomicBool::new(false);
        let at = Mutex::new(Instant::now());
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                *at.lock().unwrap() = Instant::now();
                cancelled.store(true, Ordering::SeqCst);
            });
            let model = Name::parse(NAME).unwrap();
            let cache = Cache::new(folder.path());
            pull(&model, &cache, &patient, &cancelled, &mut |_| {})
        });
        assert!(
            matches!(result, Err(Error::Cancelled)),
            "{name}: {result:?}"
        );
        let late = at.lock().unwrap().elapsed();
        assert!(late < Duration::from_millis(500), "{name}: {late:?}");
        assert!(find(NAME, &Cache::new(folder.path())).is_err(), "{name}");
        well.store(true, Ordering::SeqCst);
        get(&settings(&server), folder.path()).unwrap();
        assert!(find(NAME, &Cache::new(folder.path())).is_ok(), "{name}");
    }
}

#[test]
fn two_pulls_at_once_download_each_file_once() {
    let server = Server::hub(Model::small(), |_, _, reply| {
        std::thread::sleep(Duration::from_millis(20));
        reply
    });
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| get(&settings(&server), folder.path())))
            .collect();
        for one in both {
            one.join().unwrap().unwrap();
        }
    });
    let mut asked: Vec<String> = server.paths();
    asked.retain(|path| path.contains("/resolve/"));
    asked.sort();
    assert_eq!(asked.len(), NEEDED.len(), "{asked:?}");
}
