//! Models by name, without a network.

use std::path::Path;

use orchestrator_diagnostics::Diagnostic;
use orchestrator_hub::{Cache, find};

use crate::server::COMMIT;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A snapshot as Python's libraries leave one.
fn cached(cache: &Path, files: &[&str]) {
    let of_model = cache.join("models--org--model");
    write(&of_model.join("refs/main"), COMMIT);
    for file in files {
        write(&of_model.join("snapshots").join(COMMIT).join(file), "x");
    }
}

#[test]
fn a_folder_is_itself_and_a_name_is_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    cached(folder.path(), &["config.json", "model.safetensors"]);
    let snapshot = folder
        .path()
        .join("models--org--model/snapshots")
        .join(COMMIT);
    for name in [
        "org/model".to_owned(),
        "org/model@main".to_owned(),
        format!("org/model@{COMMIT}"),
        snapshot.to_string_lossy().into_owned(),
    ] {
        assert_eq!(find(&name, &cache).unwrap(), snapshot, "{name}");
    }
}

#[test]
fn weights_of_a_module_are_weights() {
    let folder = tempfile::tempdir().unwrap();
    cached(
        folder.path(),
        &["modules.json", "0_StaticEmbedding/model.safetensors"],
    );
    assert!(find("org/model", &Cache::new(folder.path())).is_ok());
}

#[test]
fn what_is_not_there_is_told_with_where_and_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let other = "b".repeat(40);
    for (files, name, said) in [
        (
            &[][..],
            "org/other",
            &[
                "there is no model `org/other`\n",
                "models--org--other",
                "help: orchestrator model pull org/other",
            ][..],
        ),
        (
            &["config.json", "model.safetensors"],
            "org/model@v2",
            &[
                "not its revision `v2`",
                "help: orchestrator model pull org/model@v2",
            ],
        ),
        (
            &["config.json", "model.safetensors"],
            &format!("org/model@{other}"),
            &["not its commit bbbb"],
        ),
        (
            &["config.json", "tokenizer.json", "pytorch_model.bin"],
            "org/model",
            &["only a part of it, without weights"],
        ),
        (
            &["model.safetensors"],
            "org/model",
            &["without config.json"],
        ),
        (
            &[],
            "./no/such/folder",
            &["looked in ./no/such/folder", "give the folder of a model"],
        ),
    ] {
        let cache = folder.path().join(files.len().to_string());
        cached(&cache, files);
        let error = find(name, &Cache::new(cache)).unwrap_err();
        let shown = Diagnostic::from(error).render(false);
        for part in said {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    cached(folder.path(), &["config.json"]);
    let snapshot = folder
        .path()
        .join("models--org--model/snapshots")
        .join(COMMIT);
    std::os::unix::fs::symlink("../../blobs/gone", snapshot.join("model.safetensors")).unwrap();
    let error = find("org/model", &Cache::new(folder.path())).unwrap_err();
    assert!(error.to_string().contains("without weights"), "{error}");
}
