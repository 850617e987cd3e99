//! How much memory there is for a run: what the user allows, else what the system has free and its control group allows.

use std::path::Path;

use orchestrator_diagnostics::{Diagnostic, Kind};

use crate::doctor::value_in;

/// The variable by which a user allows more or less.
const VARIABLE: &str = "ORCHESTRATOR_MEMORY";

/// Bytes that this process may still take, with those that it has; `None` where the system does not say.
pub fn available() -> Result<Option<u64>, Diagnostic> {
    match std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
        Some(given) => parse(&given).map(Some).ok_or_else(|| {
            Diagnostic::new(
                Kind::Experiment,
                format!("{VARIABLE} is a number of bytes, and `{given}` is none"),
            )
            .help(format!("for example: {VARIABLE}=8GB"))
        }),
        None => Ok(free().map(|free| free.min(left_of_group().unwrap_or(u64::MAX)))),
    }
}

/// `8GB`, `500 MB`, `1000000`.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let units = [
        ("TB", 1e12),
        ("GB", 1e9),
        ("MB", 1e6),
        ("KB", 1e3),
        ("", 1.0),
    ];
    let (number, unit) = units
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let number: f64 = number.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number * unit) as u64)
}

/// A line of a file under /proc that gives kibibytes.
pub fn kibibytes(file: &str, key: &str) -> Option<u64> {
    let value = value_in(file, key)?;
    let number: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

fn free() -> Option<u64> {
    let own = kibibytes("/proc/self/status", "VmRSS").unwrap_or(0);
    Some(kibibytes("/proc/meminfo", "MemAvailable")? + own)
}

/// What the control groups of this process leave it, of whichever version.
fn left_of_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = kibibytes("/proc/self/status", "VmRSS").unwrap_or(0);
    left(&groups, Path::new("/sys/fs/cgroup")).map(|left| left + own)
}

/// The least that is left in any group from the process's own up to the root.
fn left(groups: &str, root: &Path) -> Option<u64> {
    // `0::/path` is the second version's, `4:memory:/path` the first one's.
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let of_line = |(kinds, path): (&str, &str)| {
        let (root, limit, used, cache) = if kinds.is_empty() {
            (
                root.to_owned(),
                "memory.max",
                "memory.current",
                "inactive_file",
            )
        } else if kinds.split(',').any(|kind| kind == "memory") {
            (
                root.join("memory"),
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        } else {
            return None;
        };
        let number = |folder: &Path, name: &str| -> Option<u64> {
            std::fs::read_to_string(folder.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let own = root.join(path.trim_start_matches('/'));
        own.ancestors()
            .take_while(|folder| folder.starts_with(&root))
            .filter_map(|folder| {
                let limit = number(folder, limit)?;
                // Pages of files are given up when memory is short.
                let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let cached = stat
                    .lines()
                    .find_map(|line| line.strip_prefix(cache)?.trim().parse().ok());
                let used = number(folder, used)?.saturating_sub(cached.unwrap_or(0));
                Some(limit.saturating_sub(used))
            })
            .min()
    };
    lines.filter_map(of_line).min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_bytes_may_have_a_unit() {
        for (text, bytes) in [
            ("1000000", Some(1_000_000)),
            ("8GB", Some(8_000_000_000)),
            (" 1.5 mb ", Some(1_500_000)),
            ("0", Some(0)),
            ("lots", None),
            ("-1GB", None),
            ("GB", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }

    #[test]
    fn the_tightest_group_says_what_is_left() {
        let root = std::env::temp_dir().join(format!("orchestrator-groups-{}", std::process::id()));
        let write = |file: &str, text: &str| {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("outer/memory.max", "1000\n");
        write("outer/memory.current", "700\n");
        write("outer/memory.stat", "anon 500\ninactive_file 200\n");
        write("outer/inner/memory.max", "max\n");
        write("outer/inner/memory.current", "600\n");
        write("memory/job/memory.limit_in_bytes", "900\n");
        write("memory/job/memory.usage_in_bytes", "100\n");
        for (groups, expected) in [
            ("0::/outer/inner\n", Some(500)),
            ("4:memory:/job\n0::/\n", Some(800)),
            ("4:cpu,memory:/job\n0::/outer\n", Some(500)),
            ("0::/elsewhere\n", None),
            ("", None),
        ] {
            assert_eq!(left(groups, &root), expected, "{groups}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
