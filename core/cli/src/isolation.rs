//! How a process for an isolated plugin is started: this executable again, without the user's environment.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_plugin_host::ChildCommand;

/// What a plugin's process may see of the environment, by how the names begin: where libraries lie, how many threads to use,
/// how errors are shown. Keys and tokens are not among it.
const SEEN: [&str; 12] = [
    "LD_",
    "DYLD_",
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_",
    "RUST_",
    "RAYON_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
];

pub fn child_command() -> Result<ChildCommand, Diagnostics> {
    let seen = |name: &OsStr| {
        let name = name.to_string_lossy();
        SEEN.iter().any(|start| name.starts_with(start))
    };
    Ok(ChildCommand {
        program: executable()?,
        arguments: vec![OsString::from("plugin-child")],
        environment: std::env::vars_os().filter(|(name, _)| seen(name)).collect(),
    })
}

/// This executable as it was started, even if another has taken its place since.
pub fn executable() -> Result<PathBuf, Diagnostics> {
    let itself = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && itself.exists() {
        return Ok(itself);
    }
    std::env::current_exe().map_err(|error| {
        Diagnostic::new(Kind::Internal, "cannot find the executable")
            .note(error.to_string())
            .into()
    })
}
