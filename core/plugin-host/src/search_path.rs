//! Where plugins are looked for, and what was found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::info::{Kind, PluginInfo};
use crate::isolated::ChildCommand;
use crate::library::{self, Plugin};
use crate::trust::{self, Standing};

/// The libraries that come with the product, beside its executable.
const SHIPPED: [&str; 4] = [
    "orchestrator_samplers",
    "orchestrator_augmenters",
    "orchestrator_filters",
    "orchestrator_losses",
];

/// Where to look, and whom to trust.
#[derive(Debug, Clone, Default)]
pub struct SearchPath {
    /// Folder of the executable: the libraries shipped there, and all in its `plugins` folder, are trusted.
    pub beside_executable: Option<PathBuf>,
    /// Further libraries, or folders of libraries: must be pinned.
    pub further: Vec<PathBuf>,
    /// The lock file that pins them.
    pub lock: PathBuf,
    /// Where content-addressed copies go, which are what is loaded: a rebuild under a running experiment changes nothing.
    pub copies: PathBuf,
    /// How a process for a plugin is started. With it, libraries that were not shipped are asked what is in them by a
    /// process of their own; they are opened in this one only for an instance that is to run here. Without it, no plugin can
    /// be isolated.
    pub children: Option<ChildCommand>,
}

/// Every plugin that was found.
pub struct Host {
    plugins: Vec<Plugin>,
    looked_in: Vec<PathBuf>,
    under_development: Vec<(PathBuf, String)>,
}

fn is_library(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
}

/// The libraries of a folder, in order of their names.
fn libraries_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::File {
        what: "cannot look into",
        path: folder.to_owned(),
        why: error.to_string(),
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_library(path))
        .collect();
    found.sort();
    Ok(found)
}

impl Host {
    /// Finds, checks and loads every library on the path.
    ///
    /// # Errors
    /// On the first library that cannot be used.
    pub fn load(path: &SearchPath) -> Result<Self, Error> {
        let mut looked_in = Vec::new();
        let mut libraries: Vec<(PathBuf, bool)> = Vec::new();
        if let Some(folder) = &path.beside_executable {
            looked_in.push(folder.clone());
            for name in SHIPPED {
                let file = folder.join(format!(
                    "{}{name}{}",
                    std::env::consts::DLL_PREFIX,
                    std::env::consts::DLL_SUFFIX
                ));
                if file.is_file() {
                    libraries.push((file, true));
                }
            }
            let folder = folder.join("plugins");
            if folder.is_dir() {
                libraries.extend(libraries_in(&folder)?.into_iter().map(|file| (file, true)));
                looked_in.push(folder);
            }
        }
        for given in &path.further {
            looked_in.push(given.clone());
            if given.is_dir() {
                libraries.extend(libraries_in(given)?.into_iter().map(|file| (file, false)));
            } else {
                libraries.push((given.clone(), false));
            }
        }
        // Elsewhere a stranger's library is opened here, or not at all.
        let children = path.children.clone().filter(|_| cfg!(unix)).map(Arc::new);
        let mut seen = BTreeSet::new();
        let mut plugins: Vec<Plugin> = Vec::new();
        let mut under_development = Vec::new();
        for (file, trusted) in libraries {
            let bytes = trust::read(&file)?;
            let hash = trust::sha256(&bytes);
            if !seen.insert(hash.clone()) {
                continue;
            }
            if !trusted && trust::check(&file, &hash, &path.lock)? == Standing::Development {
                under_development.push((file.clone(), hash.clone()));
            }
            let copy = copy_of(&file, &hash, &bytes, &path.copies)?;
            let found = match &children {
                Some(children) if !trusted => library::described(&file, &copy, &hash, children)?,
                children => library::opened(&file, &copy, (&hash, trusted), children.as_ref())?,
            };
            for plugin in found {
                if let Some(first) = plugins.iter().find(|one| one.info().id == plugin.info().id) {
                    return Err(Error::Duplicate {
                        id: plugin.info().id.clone(),
                        first: first.info().library.clone(),
                        second: file,
                    });
                }
                plugins.push(plugin);
            }
        }
        Ok(Self {
            plugins,
            looked_in,
            under_development,
        })
    }

    /// Every plugin, in the order found.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.iter().map(Plugin::info)
    }

    /// Where plugins were looked for.
    #[must_use]
    pub fn looked_in(&self) -> &[PathBuf] {
        &self.looked_in
    }

    /// The libraries that were loaded as they are because the lock file says they are being written, each with its hash.
    #[must_use]
    pub fn under_development(&self) -> &[(PathBuf, String)] {
        &self.under_development
    }

    /// The plugin of a kind with that id, or with that last part of its id if only one has it.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Plugin> {
        PluginInfo::find(self.plugins.iter().map(Plugin::info), kind, name)
            .map(|place| &self.plugins[place])
    }
}

/// The content-addressed copy of a library; made if it is not there.
fn copy_of(file: &Path, hash: &str, bytes: &[u8], copies: &Path) -> Result<PathBuf, Error> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let copy = copies.join(format!("{}-{name}", &hash[..16]));
    let failed = |what: &'static str| {
        let path = copy.clone();
        move |error: std::io::Error| Error::Unwritable {
            what,
            path,
            why: error.to_string(),
        }
    };
    std::fs::create_dir_all(copies).map_err(failed("cannot make the folder for"))?;
    let there = std::fs::read(&copy).is_ok_and(|there| there == bytes);
    if !there {
        // Written beside and renamed: under its name there is never half a library. One process at a time has the folder, so
        // the name beside is always the same, and what one that was killed left does not stay.
        let beside = copies.join(format!(".{name}.partial"));
        std::fs::write(&beside, bytes).map_err(failed("cannot copy the plugin to"))?;
        std::fs::rename(&beside, &copy).map_err(failed("cannot copy the plugin to"))?;
    }
    Ok(copy)
}
