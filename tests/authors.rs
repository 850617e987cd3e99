//! What an author of a plugin does, as an author does it: templates, checks, development, examples, the guide.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use orchestrator_tests::{
    built, experiment, fail, library, repository, run, small_experiment, succeed,
};
use serde_json::Value;

#[path = "authors/checks.rs"]
mod checks;

const KINDS: [&str; 5] = ["sampler", "selector", "augmenter", "filter", "loss"];

/// A shell command of an author: the product on the PATH, cargo without a network, what it compiles shared by all tests.
fn shell(script: &str, folder: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", built().display()))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_BUILD_BUILD_DIR", built().join("authors"))
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("ORCHESTRATOR_PLUGIN_PATH")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap()
}

/// [`shell`], which must succeed; what it said on both ways.
fn shell_succeeds(script: &str, folder: &Path) -> String {
    let output = shell(script, folder);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

/// Compiles a plugin in C or C++ as strictly as there is.
fn compile(source: &Path, library: &Path) {
    let (compiler, standard) = match source.extension().unwrap().to_str().unwrap() {
        "c" => ("cc", "-std=c11"),
        _ => ("c++", "-std=c++20"),
    };
    let status = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(["-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(repository().join("plugins/abi/include"))
        .arg("-I")
        .arg(repository().join("plugins/templates/c"))
        .arg(source)
        .arg("-o")
        .arg(library)
        .args(["-lm", "-pthread"])
        .status()
        .unwrap();
    assert!(status.success(), "{}", source.display());
}

#[test]
fn every_template_in_c_and_cpp_builds_without_a_warning_and_passes_the_checks() {
    let folder = experiment("");
    let folder = folder.path();
    for language in ["c", "cpp"] {
        for kind in KINDS {
            let name = format!("{language}_{kind}");
            let script = format!(
                "orchestrator plugin new {name} --kind {kind} --lang {language}
                 cd {name}
                 make CFLAGS='-O2 -Werror -pedantic' CXXFLAGS='-O2 -Werror -pedantic'
                 make check"
            );
            let said = shell_succeeds(&script, folder);
            assert!(said.contains(" 0 failed, 0 skipped"), "{said}");
        }
    }
}

#[test]
fn every_template_in_rust_builds_and_passes_its_tests() {
    let folder = experiment("");
    let folder = folder.path();
    for kind in KINDS {
        let name = format!("rust_{kind}");
        let said = shell_succeeds(
            &format!(
                "orchestrator plugin new {name} --kind {kind} --lang rust && cd {name} && cargo test"
            ),
            folder,
        );
        assert!(said.contains("test result: ok. 1 passed"), "{said}");
        assert!(!said.contains("warning"), "{said}");
        assert!(said.contains("Running tests/checks.rs"), "{said}");
    }
    // And what its test says when the plugin is wrong.
    let source = folder.join("rust_filter/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let wrong = text.replace(
        "let words = sample.text.split_whitespace().count();",
        "let words = sample.text.len() / usize::from(sample.text.is_ascii());",
    );
    assert_ne!(text, wrong);
    std::fs::write(&source, wrong).unwrap();
    let output = shell("cd rust_filter && cargo test --test checks", folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("FAILED   odd")
            && said.contains("panicked in judge: attempt to divide by zero"),
        "{said}"
    );
}

#[test]
fn a_project_is_begun_only_where_nothing_is_and_only_under_a_usable_name() {
    let folder = experiment("");
    let path = folder.path();
    let new = |name: &str, more: &[&str]| {
        let mut arguments = vec!["plugin", "new", name, "--kind", "filter"];
        arguments.extend(more);
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fail(&arguments, path, 2)
    };
    for (name, said) in [
        ("Word", "must begin with a small letter"),
        ("3d", "must begin with a small letter"),
        ("a-b", "small letters, digits and _ only"),
        ("ab", "3 to 64 characters"),
        ("struct", "means something to a compiler"),
    ] {
        assert!(refused(&new(name, &[])).contains(said), "{name}");
    }
    assert!(refused(&new("word", &["--sdk", "."])).contains("not the folder of the SDK"));
    // A name that is shipped is usable, and warned of.
    let shadowing = run(
        &[
            "plugin",
            "new",
            "word_count",
            "--kind",
            "filter",
            "--lang",
            "c",
            "--json",
        ],
        path,
    );
    assert!(shadowing.status.success());
    let made: Value = serde_json::from_slice(&shadowing.stdout).unwrap();
    assert_eq!(made["taken_by"], "org.orchestrator.word_count");
    let warned: Value = serde_json::from_slice(&shadowing.stderr).unwrap();
    let message = warned["warning"]["message"].as_str().unwrap();
    assert!(message.contains("a filter that is shipped"), "{message}");
    let shadowing = run(
        &["plugin", "new", "mnrl", "--kind", "filter", "--lang", "c"],
        path,
    );
    let said = String::from_utf8_lossy(&shadowing.stderr).into_owned();
    assert!(
        shadowing.status.success()
            && said.contains("warning: `mnrl` is the name of a loss that is shipped"),
        "{said}"
    );
    std::fs::create_dir(path.join("here")).unwrap();
    std::fs::write(path.join("here/mine"), "mine").unwrap();
    assert!(refused(&new("here", &["--lang", "c"])).contains("`here` exists"));
    assert_eq!(std::fs::read_dir(path.join("here")).unwrap().count(), 1);
    let made: Value = serde_json::from_str(&succeed(
        &[
            "plugin", "new", "word", "--kind", "loss", "--lang", "c", "--dir", "a/b", "--json",
        ],
        path,
    ))
    .unwrap();
    assert_eq!(made["library"], "a/b/word.so");
    assert_eq!(made["taken_by"], Value::Null);
    for file in made["files"].as_array().unwrap() {
        assert!(path.join("a/b").join(file.as_str().unwrap()).is_file());
    }
}

#[test]
fn what_is_no_plugin_is_not_pinned() {
    let folder = experiment("");
    let path = folder.path();
    std::fs::write(path.join("text.so"), "I am a text").unwrap();
    std::fs::write(
        path.join("crash.c"),
        "#include <stdlib.h>\n__attribute__((constructor)) static void early(void) { abort(); }\n",
    )
    .unwrap();
    compile(&path.join("crash.c"), &path.join("crash.so"));
    for (name, said) in [
        ("text.so", "is not a shared library"),
        ("crash.so", "signal 6"),
        ("nothing.so", "there is no file"),
    ] {
        for command in ["trust", "dev"] {
            let shown = fail(&["plugin", command, name], path, 4);
            assert!(shown.contains(said), "{name}: {shown}");
        }
    }
    assert!(!path.join("plugins.lock").exists());
    let losses = library("orchestrator_losses");
    let pinned: Value = serde_json::from_str(&succeed(
        &["plugin", "trust", losses.to_str().unwrap(), "--json"],
        path,
    ))
    .unwrap();
    assert_eq!(pinned["sha256"].as_str().unwrap().len(), 64);
    assert!(
        pinned["plugins"]
            .as_array()
            .unwrap()
            .contains(&"org.orchestrator.mnrl".into())
    );
}

/// Writes a filter that drops texts of fewer words than its default.
fn filter_in_c(words: usize, object: &Path) {
    let text = std::fs::read_to_string(repository().join("plugins/templates/c/filter.c")).unwrap();
    let source = object.with_extension("c");
    std::fs::write(
        &source,
        text.replace("\\\"default\\\":5", &format!("\\\"default\\\":{words}")),
    )
    .unwrap();
    compile(&source, object);
}

#[test]
fn a_library_under_development_is_loaded_as_it_is_and_every_run_says_so() {
    let text =
        small_experiment().replace("    - retracted\n", "    - retracted\n    - my_plugin\n");
    let folder = experiment(&format!("plugins: [my_plugin.so]\n{text}"));
    let path = folder.path();
    let object = path.join("my_plugin.so");
    filter_in_c(5, &object);
    let refused = fail(&["check", "x.yaml"], path, 4);
    assert!(refused.contains("orchestrator plugin dev"), "{refused}");
    let _ = succeed(&["plugin", "dev", "my_plugin.so"], path);
    let hash_in_plan = |run: &str| {
        let plan = std::fs::read_to_string(path.join(run).join("plan.json")).unwrap();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let used = plan["plugins"].as_array().unwrap().iter();
        used.filter(|one| one["id"] == "org.example.my_plugin")
            .map(|one| one["sha256"].as_str().unwrap().to_owned())
            .next()
            .unwrap()
    };
    let warned = |arguments: &[&str]| {
        let output = run(arguments, path);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{shown}");
        assert_eq!(shown.matches("under development").count(), 1, "{shown}");
        shown
    };
    let shown = warned(&["run", "x.yaml", "--run-dir", "first"]);
    assert!(
        shown.contains("my_plugin.so") && shown.contains(&hash_in_plan("first")),
        "{shown}"
    );
    // Built anew: loaded as it is now, recorded, and no part of the first run.
    filter_in_c(6, &object);
    let shown = warned(&["run", "x.yaml", "--run-dir", "second", "--json"]);
    assert!(
        shown.contains("\"warning\"") && shown.contains(&hash_in_plan("second")),
        "{shown}"
    );
    assert_ne!(hash_in_plan("first"), hash_in_plan("second"));
    let _ = warned(&["check", "x.yaml"]);
    let _ = warned(&["resume", "second"]);
    let refused = fail(&["resume", "first"], path, 2);
    assert!(refused.contains("changed"), "{refused}");
    // No longer: as untrusted as any. Pinned: silent.
    let _ = succeed(&["plugin", "dev", "--off", "my_plugin.so"], path);
    let _ = fail(&["check", "x.yaml"], path, 4);
    let _ = fail(&["plugin", "dev", "--off", "my_plugin.so"], path, 2);
    let _ = succeed(&["plugin", "dev", "my_plugin.so"], path);
    let _ = succeed(&["plugin", "trust", "my_plugin.so"], path);
    let output = run(&["check", "x.yaml"], path);
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn an_example_of_each_kind_takes_part_in_a_run() {
    let text = small_experiment()
        .replace(
            "    - explicit_negative\n",
            "    - explicit_negative\n    - title_positive: { weight: 0.5 }\n",
        )
        .replace(
            "    - char_noise: {}\n",
            "    - first_words: { words: 12, from: positive }\n",
        )
        .replace(
            "    - retracted\n",
            "    - shouting: { at_most: 0.2 }\n    - repetition: { at_most: 0.15 }\n",
        )
        .replace(
            "{ mnrl: { weight: 0.6 } }",
            "{ org.example.triplet: { weight: 0.6, margin: 0.3 } }",
        )
        .replace("select: margin", "select: one_each");
    let examples = library("orchestrator_examples");
    let folder = experiment(&format!(
        "plugins: [\"{}\", triplet.so, repetition.so]\n{text}",
        examples.display()
    ));
    let path = folder.path();
    for name in ["triplet.c", "repetition.cpp"] {
        let source = repository().join("plugins/examples").join(name);
        compile(&source, &path.join(name).with_extension("so"));
    }
    for library in [examples.to_str().unwrap(), "triplet.so", "repetition.so"] {
        let _ = succeed(&["plugin", "trust", library], path);
    }
    for library in ["triplet.so", "repetition.so"] {
        let said = succeed(&["plugin", "check", library, "--timeout", "60"], path);
        assert!(said.contains(" 0 failed, 0 skipped"), "{said}");
    }
    let _ = succeed(&["run", "x.yaml", "--run-dir", "r"], path);
    let store = rusqlite::Connection::open(path.join("r/store.db")).unwrap();
    for (what, sql) in [
        (
            "sampler",
            "SELECT count(*) FROM provenance WHERE source = 'title_positive'",
        ),
        (
            "augmenter",
            "SELECT count(*) FROM provenance WHERE source = 'first_words'",
        ),
        (
            "filter",
            "SELECT count(*) FROM verdict WHERE filter = 'shouting' AND score IS NOT NULL",
        ),
        (
            "filter in C++",
            "SELECT count(*) FROM verdict WHERE filter = 'repetition' AND NOT keep AND reason LIKE '%again and again'",
        ),
        (
            "loss",
            "SELECT count(*) FROM metric WHERE name = 'loss/triplet' AND value > 0",
        ),
        ("selector", "SELECT count(*) FROM annotation"),
    ] {
        let n: i64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
        assert!(n > 0, "the {what} left nothing");
    }
}

/// The fenced blocks of a page, in order: their first line, their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((info.to_owned(), text.join("\n") + "\n"));
        }
    }
    found
}

#[test]
fn the_guide_leads_where_it_says() {
    let page = std::fs::read_to_string(repository().join("plugins/GUIDE.md")).unwrap();
    let folder = experiment("");
    let (mut script, mut expected, mut commands) = (String::new(), Vec::new(), 0);
    for (info, text) in blocks(&page) {
        match info.split_once(" file=") {
            Some((_, file)) => {
                script += &format!(
                    "mkdir -p \"$(dirname {file})\"\ncat > {file} <<'END OF FILE'\n{text}END OF FILE\n"
                );
            }
            None if info == "sh" => {
                script += &text;
                commands += 1;
            }
            None if info == "output" => {
                expected.extend(text.lines().map(str::to_owned).collect::<Vec<_>>())
            }
            None => panic!("the guide has a block of `{info}`, which this test does not know"),
        }
    }
    assert!(commands >= 10, "only {commands} blocks of commands");
    let said = shell_succeeds(
        &format!("{script}\nls lab.yaml before/report.html after/report.html both/report.html"),
        folder.path(),
    );
    for line in expected {
        let mut parts = line.trim().split('…');
        assert!(
            parts.all(|part| said.contains(part)),
            "`{line}` is not in\n{said}"
        );
    }
    let lab: PathBuf = folder.path().join("lab");
    let store = rusqlite::Connection::open(lab.join("both/store.db")).unwrap();
    for sql in [
        "SELECT count(*) FROM metric WHERE name = 'loss/soft_triplet'",
        "SELECT count(*) FROM metric WHERE name = 'plugin/soft_triplet/in_order' AND step >= 0 AND value BETWEEN 0 AND 1",
        "SELECT count(*) FROM verdict WHERE filter = 'few_digits' AND reason LIKE '% digits'",
    ] {
        let n: i64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
        assert!(n > 0, "{sql}");
    }
}

#[test]
fn the_catalogue_is_what_the_plugins_say() {
    let folder = experiment("");
    let fresh = succeed(&["plugin", "list", "--markdown"], folder.path());
    let committed =
        std::fs::read_to_string(repository().join("docs/PLUGINS.md")).unwrap_or_default();
    assert!(
        committed == fresh,
        "docs/PLUGINS.md is not fresh; write it again: orchestrator plugin list --markdown > docs/PLUGINS.md"
    );
    let listed: Value =
        serde_json::from_str(&succeed(&["plugin", "list", "--json"], folder.path())).unwrap();
    for info in listed.as_array().unwrap() {
        let id = info["id"].as_str().unwrap();
        assert!(fresh.contains(&format!("Id `{id}`")), "{id}");
        for key in info["schema"]["properties"].as_object().unwrap().keys() {
            assert!(fresh.contains(&format!("| `{key}` |")), "{id}: {key}");
        }
    }
}
