//! `orchestrator doctor`: what there is to compute with, and where things are looked for. What a report of a fault needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use orchestrator_diagnostics::Diagnostics;
use orchestrator_model::kernels::{Level, has_bf16, has_vnni};
use orchestrator_plugin_host::{Host, PluginInfo, SearchPath};
use serde_json::{Value, json};

use crate::commands::{Scratch, answers_folder, load_host, search_path};
use crate::memory::kibibytes;
use crate::{model, show};

/// A fact: its name, as text, as JSON.
type Fact = (&'static str, String, Value);

/// Shows everything, and fails if something would keep a run from beginning.
pub fn run(json: bool) -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let lock = std::path::absolute("plugins.lock").unwrap_or_else(|_| "plugins.lock".into());
    let path = search_path(&[], lock, scratch.0.clone())?;
    let host = load_host(&path, json);
    let mut facts = vec![
        (
            "version",
            env!("CARGO_PKG_VERSION").to_owned(),
            json!(env!("CARGO_PKG_VERSION")),
        ),
        system(),
        processor(),
        kernels(),
        threads(),
        memory(),
        plugins(&path, host.as_ref().ok()),
    ];
    facts.extend(caches());
    facts.push(hub());
    show::out(&if json {
        let object: serde_json::Map<String, Value> = facts
            .into_iter()
            .map(|(name, _, value)| (name.to_owned(), value))
            .collect();
        format!("{}\n", Value::Object(object))
    } else {
        let mut text = String::new();
        for (name, shown, _) in facts {
            for (number, line) in shown.lines().enumerate() {
                let name = if number == 0 { name } else { "" };
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{name:<8} {line}");
            }
        }
        text
    });
    host.map(|_| ())
}

/// The value of the first line `key: value` or `key=value` of a file.
pub fn value_in(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once([':', '='])?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn system() -> Fact {
    let (name, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let release = value_in("/etc/os-release", "PRETTY_NAME");
    let shown = match &release {
        Some(release) => format!("{name} {architecture}, {release}"),
        None => format!("{name} {architecture}"),
    };
    let value = json!({ "name": name, "architecture": architecture, "release": release });
    ("system", shown, value)
}

/// The instructions that kernels may be written for, and whether this processor has them.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    return vec![
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512_vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    #[cfg(target_arch = "aarch64")]
    return vec![("neon", std::arch::is_aarch64_feature_detected!("neon"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Vec::new();
}

fn processor() -> Fact {
    let name = value_in("/proc/cpuinfo", "model name");
    let features = features();
    let of = |there: bool| -> String {
        let names: Vec<&str> = features
            .iter()
            .filter(|(_, has)| *has == there)
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    };
    let mut shown = name.clone().unwrap_or_else(|| "unknown".to_owned());
    for (word, names) in [("has", of(true)), ("lacks", of(false))] {
        if !names.is_empty() {
            shown.push_str(&format!("\n{word} {names}"));
        }
    }
    let object: serde_json::Map<String, Value> = features
        .iter()
        .map(|(name, has)| ((*name).to_owned(), json!(has)))
        .collect();
    ("cpu", shown, json!({ "name": name, "features": object }))
}

/// What the hot path of transformers was chosen to be on this processor, by precision.
fn kernels() -> Fact {
    let vectors = match Level::best() {
        Level::Plain if cfg!(target_arch = "aarch64") => "NEON",
        Level::Plain => "plain",
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => "AVX2 and FMA",
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => "AVX-512",
    };
    let bf16 = if has_bf16() {
        "AVX512-BF16"
    } else {
        "f32: no instruction for it"
    };
    let int8 = if has_vnni() { "AVX512-VNNI" } else { "plain" };
    let shown = format!("f32 by {vectors}\nbf16 by {bf16}\nint8 by {int8}");
    let shown = shown.replace("by f32", "as f32");
    let value = json!({ "f32": vectors, "bf16": bf16, "int8": int8 });
    ("kernels", shown, value)
}

fn threads() -> Fact {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let given = std::env::var("RAYON_NUM_THREADS").ok();
    let given = given.and_then(|text| text.parse().ok()).filter(|n| *n > 0);
    let shown = match given {
        Some(given) => {
            format!("{given} (RAYON_NUM_THREADS) of {available}")
        }
        None => available.to_string(),
    };
    let value = json!({ "available": available, "used": given.unwrap_or(available) });
    ("threads", shown, value)
}

/// Memory in bytes, where the system says it in files.
fn memory() -> Fact {
    let of = |key: &str| kibibytes("/proc/meminfo", key);
    let (total, free) = (of("MemTotal"), of("MemAvailable"));
    // A container may have less than its machine.
    let bound = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let bound: Option<u64> = bound.and_then(|text| text.trim().parse().ok());
    let bound = bound.filter(|bound| total.is_none_or(|total| *bound < total));
    let shown = match (total, free) {
        (Some(total), Some(free)) => {
            format!("{}, {} of it free", model::size(total), model::size(free))
        }
        _ => "unknown".to_owned(),
    };
    let shown = match bound {
        Some(bound) => format!("{shown}; this process may have {}", model::size(bound)),
        None => shown,
    };
    let value = json!({ "total": total, "available": free, "limit": bound });
    ("memory", shown, value)
}

fn plugins(path: &SearchPath, host: Option<&Host>) -> Fact {
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(folder) = &path.beside_executable {
        places.push(folder.clone());
        places.push(folder.join("plugins"));
    }
    places.extend(path.further.iter().cloned());
    let mut shown = Vec::new();
    let mut values = Vec::new();
    for place in places {
        let there = place.exists();
        let here = |info: &&PluginInfo| {
            info.library == place || info.library.parent() == Some(place.as_path())
        };
        let count = host.map(|host| host.plugins().filter(here).count());
        let found = match (there, count) {
            (false, _) => "not there".to_owned(),
            (true, Some(count)) => format!("{count} plugins"),
            (true, None) => "not loaded".to_owned(),
        };
        shown.push(format!("{} ({found})", place.display()));
        values.push(json!({ "path": place, "exists": there, "plugins": count }));
    }
    ("plugins", shown.join("\n"), json!(values))
}

fn caches() -> [Fact; 2] {
    let fact = |name, folder: Option<PathBuf>| {
        let there = folder.as_deref().is_some_and(Path::is_dir);
        let shown = match &folder {
            Some(folder) if there => folder.display().to_string(),
            Some(folder) => format!("{} (not there yet)", folder.display()),
            None => "none: no home folder is known".to_owned(),
        };
        (name, shown, json!({ "path": folder, "exists": there }))
    };
    let models = model::cache().ok().map(|cache| cache.folder().to_owned());
    [fact("models", models), fact("answers", answers_folder())]
}

/// Where models are downloaded from. Of the token only whether there is one.
fn hub() -> Fact {
    let settings = model::settings();
    // A password could be in it.
    let endpoint = match settings.endpoint.contains('@') {
        true => "an address with a password in it".to_owned(),
        false => settings.endpoint,
    };
    let token = settings.token.is_some();
    let mut shown = endpoint.clone();
    shown.push_str(if token {
        ", with a token"
    } else {
        ", without a token"
    });
    if settings.offline {
        shown.push_str("; offline: nothing is downloaded");
    }
    let value = json!({ "endpoint": endpoint, "token": token, "offline": settings.offline });
    ("hub", shown, value)
}
