//! The walls of the house: who may depend on whom, who may know what, where `unsafe` may stand.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator_tests::repository;
use serde_json::Value;

/// Package name to the names it depends on at run time.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(repository())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let of_run_time = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["kind"].is_null());
            let names = of_run_time
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') && name != "runs" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn inside(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap()
        .to_string_lossy()
        .replace('\\', "/")
}

#[test]
fn only_one_crate_knows_each_library() {
    let all = dependencies();
    for (library, crates) in [
        ("candle-core", &["orchestrator-model"][..]),
        ("pulp", &["orchestrator-model"]),
        ("tokenizers", &["orchestrator-model"]),
        ("rusqlite", &["orchestrator-store"]),
        ("minijinja", &["orchestrator-reports"]),
        ("libloading", &["orchestrator-plugin-host"]),
        // Endpoints that plugins ask, and hubs that models come from: each has its own rules for redirects and secrets.
        ("ureq", &["orchestrator-chat", "orchestrator-hub"]),
        // Pages served on this machine: nothing else listens.
        ("axum", &["orchestrator-serve", "orchestrator-annotate"]),
        ("tokio", &["orchestrator-serve", "orchestrator-annotate"]),
        ("hyper", &["orchestrator-serve"]),
        ("getrandom", &["orchestrator-serve"]),
        ("futures-util", &["orchestrator-serve"]),
        ("saphyr", &["orchestrator-config"]),
        (
            "jsonschema",
            &["orchestrator-config", "orchestrator-testkit"],
        ),
        // The command line prints resolved plans.
        ("serde_norway", &["orchestrator-config", "orchestrator-cli"]),
        ("clap", &["orchestrator-cli"]),
        ("console", &["orchestrator-cli"]),
        ("indicatif", &["orchestrator-cli"]),
    ] {
        for (package, dependencies) in &all {
            let allowed = crates.contains(&package.as_str());
            assert!(
                allowed || !dependencies.contains(library),
                "{package} may not depend on {library}"
            );
        }
    }
}

#[test]
fn the_sdk_and_the_core_never_see_each_other() {
    let all = dependencies();
    assert!(
        all["orchestrator-plugin-abi"].is_empty(),
        "the ABI depends on nothing"
    );
    for (package, dependencies) in &all {
        let of_plugins = [
            "samplers",
            "augmenters",
            "filters",
            "losses",
            "plugin",
            "misbehaving",
            "examples",
        ]
        .iter()
        .any(|name| *package == format!("orchestrator-{name}"));
        let ours: BTreeSet<&str> = dependencies
            .iter()
            .filter_map(|name| name.strip_prefix("orchestrator-"))
            .collect();
        if of_plugins {
            let allowed = BTreeSet::from(["plugin", "plugin-abi", "plugin-derive"]);
            assert!(ours.is_subset(&allowed), "{package} sees {ours:?}");
        } else {
            assert!(!ours.contains("plugin"), "{package} sees the SDK");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    // Each may depend only on those before it.
    let order = [
        "plugin-abi",
        "diagnostics",
        "hub",
        "store",
        "model",
        "train",
        "data",
        "plugin-host",
        "chat",
        "testkit",
        "config",
        "reports",
        "engine",
        "serve",
        "annotate",
        "cli",
    ];
    let all = dependencies();
    for (place, name) in order.iter().enumerate() {
        for dependency in &all[&format!("orchestrator-{name}")] {
            if let Some(ours) = dependency.strip_prefix("orchestrator-") {
                assert!(order[..place].contains(&ours), "{name} depends on {ours}");
            }
        }
    }
    for (package, dependencies) in &all {
        assert!(
            package == "orchestrator-cli" || !dependencies.contains("orchestrator-annotate"),
            "{package} depends on annotate: only the command line starts a server"
        );
        assert!(
            ["orchestrator-cli", "orchestrator-annotate"].contains(&package.as_str())
                || !dependencies.contains("orchestrator-serve"),
            "{package} depends on serve: only the command line starts a server"
        );
    }
    assert!(
        !all["orchestrator-reports"].contains("orchestrator-engine"),
        "a report reads the store alone"
    );
    for (name, allowed) in [
        ("chat", &["diagnostics", "plugin-host"][..]),
        ("hub", &["diagnostics"]),
        ("serve", &[]),
    ] {
        let ours: Vec<&str> = all[&format!("orchestrator-{name}")]
            .iter()
            .filter_map(|name| name.strip_prefix("orchestrator-"))
            .collect();
        assert_eq!(
            ours, allowed,
            "what talks to the network knows nothing of the run"
        );
    }
}

#[test]
fn unsafe_stands_only_at_the_boundary() {
    for path in sources(&repository()) {
        let name = inside(&path);
        let allowed = [
            "plugins/abi/",
            "plugins/sdk/src/",
            "core/plugin-host/src/",
            // One kernel module: processors' instructions by name, each beside a plain loop that gives the same.
            "core/model/src/kernels/",
        ]
        .iter()
        .any(|start| name.starts_with(start));
        if allowed || name == "tests/tidy.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"] {
            assert!(!text.contains(word), "{name} has `{word}`");
        }
    }
}

#[test]
fn only_the_command_line_reads_the_environment_or_exits() {
    for path in sources(&repository()) {
        let name = inside(&path);
        if name.starts_with("core/cli/") || name.contains("/tests/") || name.starts_with("tests/") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["env::var", "process::exit", "println!(", "print!("] {
            assert!(!text.contains(word), "{name} has `{word}`");
        }
    }
}

#[test]
fn files_tell_one_story_and_begin_with_it() {
    for path in sources(&repository()) {
        let name = inside(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{name} does not begin by saying what it is for"
        );
        let length = text.lines().count();
        assert!(length <= 700, "{name} has {length} lines");
    }
}
