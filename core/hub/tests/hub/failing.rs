//! What is refused, what is tried again, and what is said.

use std::time::{Duration, Instant};

use orchestrator_diagnostics::Diagnostic;
use orchestrator_hub::{Cache, Error, Settings, find};

use crate::server::{Model, NAME, Reply, Server, files, get, get_named, settings, sha256};

fn shown(error: Error) -> String {
    Diagnostic::from(error).render(false)
}

#[test]
fn what_came_damaged_is_refused_and_removed() {
    for (file, what) in [
        ("model.safetensors", "its SHA-256 is"),
        ("config.json", "its git SHA-1 is"),
    ] {
        let server = Server::hub(Model::small(), move |_, seen, reply| match reply {
            Reply::Full(200, headers, mut body) if seen.path.ends_with(&format!("/{file}")) => {
                let last = body.len() - 1;
                body[last] ^= 1;
                Reply::Full(200, headers, body)
            }
            reply => reply,
        });
        let folder = tempfile::tempdir().unwrap();
        let said = shown(get(&settings(&server), folder.path()).unwrap_err());
        assert!(
            said.contains(file) && said.contains(what) && said.contains("what came was removed"),
            "{said}"
        );
        let left = files(folder.path());
        assert!(
            left.iter().all(|(name, _)| !name.contains(".incomplete")),
            "{left:?}"
        );
        assert!(find(NAME, &Cache::new(folder.path())).is_err());
        let tries = server.paths();
        let tries = tries
            .iter()
            .filter(|path| path.ends_with(&format!("/{file}")));
        assert_eq!(tries.count(), 1, "a wrong file is not asked for again");
    }
}

#[test]
fn a_damaged_beginning_that_another_run_left_is_thrown_away() {
    let model = Model::small();
    let server = Server::hub(model.clone(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("models--org--model/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let content = model.content("model.safetensors");
    for left in [
        vec![7; 1000],
        vec![7; content.len()],
        vec![7; content.len() + 1],
    ] {
        let _ = std::fs::remove_file(blobs.join(sha256(content)));
        let incomplete = blobs.join(sha256(content) + ".incomplete");
        std::fs::write(&incomplete, left).unwrap();
        let pulled = get(&settings(&server), folder.path()).unwrap();
        let place = pulled.folder.join("model.safetensors");
        assert_eq!(std::fs::read(place).unwrap(), content);
        assert!(!incomplete.exists());
    }
}

#[test]
fn a_file_that_is_longer_than_listed_is_not_written_on() {
    let server = Server::hub(Model::small(), |_, seen, reply| match reply {
        Reply::Full(200, headers, mut body) if seen.path.ends_with("model.safetensors") => {
            body.extend_from_slice(&[0; 1000]);
            Reply::Full(200, headers, body)
        }
        reply => reply,
    });
    let folder = tempfile::tempdir().unwrap();
    let said = shown(get(&settings(&server), folder.path()).unwrap_err());
    assert!(said.contains("its length is more than"), "{said}");
    let left = files(folder.path());
    assert!(left.iter().all(|(name, _)| !name.contains(".incomplete")));
}

#[test]
fn what_the_hub_does_not_give_is_told_with_what_to_do() {
    let gated = "X-Error-Message: Access to model org/model is restricted";
    for (name, reply, said) in [
        (
            NAME,
            Reply::status(404).with("X-Error-Message: Repository not found"),
            &[
                "has no `org/model`",
                "it says: Repository not found",
                "check the name and the revision",
            ][..],
        ),
        (
            "all-MiniLM-L6-v2",
            Reply::status(404),
            &["sentence-transformers/all-MiniLM-L6-v2"],
        ),
        (
            NAME,
            Reply::status(401).with(gated),
            &[
                "to somebody without a token",
                "is restricted",
                "accept its conditions on its page and set HF_TOKEN",
            ],
        ),
        (NAME, Reply::status(403), &["the status is 403"]),
        (
            NAME,
            Reply::Full(200, Vec::new(), b"<html>".to_vec()),
            &["what should be JSON is not", "check HF_ENDPOINT"],
        ),
        (
            NAME,
            Reply::Full(200, Vec::new(), b"{}".to_vec()),
            &["it names no commit"],
        ),
        (NAME, Reply::status(418), &["status 418"]),
    ] {
        let server = Server::start(move |_, _| reply.clone());
        let folder = tempfile::tempdir().unwrap();
        let error = get_named(name, &settings(&server), folder.path()).unwrap_err();
        let shown = shown(error);
        for part in said {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert_eq!(server.seen().len(), 1, "it is not asked again\n{shown}");
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    let cases: [fn(Reply) -> Reply; 4] = [
        |_| Reply::status(429).with("Retry-After: 0.1"),
        |_| Reply::status(500),
        |_| Reply::status(503),
        |reply| reply.cut(1),
    ];
    for change in cases {
        // The first answers, for the listing and for the first file, go wrong.
        let server = Server::hub(Model::small(), move |number, _, reply| match number {
            0 | 2 => change(reply),
            _ => reply,
        });
        let folder = tempfile::tempdir().unwrap();
        get(&settings(&server), folder.path()).unwrap();
        assert_eq!(server.seen().len(), 2 + 1 + 6);
    }
}

#[test]
fn tries_end() {
    let server = Server::start(|_, _| Reply::status(503));
    let folder = tempfile::tempdir().unwrap();
    let said = shown(get(&settings(&server), folder.path()).unwrap_err());
    assert!(
        said.contains("status 503; tried 3 times") && said.contains("goes on where it stopped"),
        "{said}"
    );
    assert_eq!(server.seen().len(), 3);

    let server = Server::start(|_, _| Reply::status(429).with("Retry-After: 3600"));
    let begun = Instant::now();
    let said = shown(get(&settings(&server), folder.path()).unwrap_err());
    assert!(said.contains("left alone for 3600 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(1));

    let nobody = Settings {
        endpoint: "http://127.0.0.1:9".into(),
        ..settings(&server)
    };
    let said = shown(get(&nobody, folder.path()).unwrap_err());
    // Who has never answered is not waited for as long.
    assert!(
        said.contains("nobody listens at 127.0.0.1:9; tried 2 times"),
        "{said}"
    );
}

#[test]
fn offline_asks_nothing() {
    let server = Server::hub(Model::small(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    let offline = Settings {
        offline: true,
        ..settings(&server)
    };
    let said = shown(get(&offline, folder.path()).unwrap_err());
    assert!(said.contains("HF_HUB_OFFLINE is set"), "{said}");
    assert!(server.seen().is_empty() && files(folder.path()).is_empty());
}

#[test]
fn models_that_cannot_be_used_safely_are_not_downloaded() {
    for (model, said) in [
        (
            Model::small().without("model.safetensors"),
            &[
                "only as pickles (pytorch_model.bin)",
                "a program that runs",
                "refs/pr/1",
            ][..],
        ),
        (
            Model::small()
                .without("model.safetensors")
                .without("pytorch_model.bin"),
            &["no weights in the safetensors format", "onnx/model.onnx"],
        ),
        (
            Model::small().and("../../../.ssh/authorized_keys", b"x"),
            &["`org/model` lists a file \"../../../.ssh/authorized_keys\""],
        ),
        (
            Model::small().and("config/../../../x.json", b"x"),
            &["could lie outside"],
        ),
    ] {
        let server = Server::hub(model, |_, _, reply| reply);
        let folder = tempfile::tempdir().unwrap();
        let shown = shown(get(&settings(&server), folder.path()).unwrap_err());
        for part in said {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert_eq!(server.seen().len(), 1);
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn redirects_stay_on_safe_ground() {
    for (location, said) in [
        ("http://hub.example/x", "another host without encryption"),
        ("ftp://hub.example/x", "a redirect leads nowhere"),
        (
            "https://me:secret@hub.example/x",
            "a redirect leads nowhere",
        ),
    ] {
        let header = format!("Location: {location}");
        let server = Server::start(move |_, _| Reply::status(302).with(&header));
        let folder = tempfile::tempdir().unwrap();
        let shown = shown(get(&settings(&server), folder.path()).unwrap_err());
        assert!(shown.contains(said) && !shown.contains("secret"), "{shown}");
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(|_, _| Reply::status(307).with("Location: /again"));
    let folder = tempfile::tempdir().unwrap();
    let shown = shown(get(&settings(&server), folder.path()).unwrap_err());
    assert!(shown.contains("its redirects do not end"), "{shown}");
}
