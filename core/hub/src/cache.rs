//! The cache of Hugging Face's libraries: where it is, and what is in it.
//!
//! ```text
//! CACHE/models--org--name/refs/main               the commit that `main` was when it was last pulled
//! CACHE/models--org--name/blobs/HASH              each content once; HASH.incomplete while it comes
//! CACHE/models--org--name/snapshots/COMMIT/FILE   a link to ../../blobs/HASH
//! CACHE/.locks/models--org--name/HASH.lock        held while a blob is written
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::name::is_commit;
use crate::{Name, NotFound};

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in this folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The cache that Python's libraries would use, by what `variable` says of the environment: HF_HUB_CACHE, else its old name
    /// HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, else in `huggingface` in XDG_CACHE_HOME, else in `.cache` at home. `None`
    /// if there is no home.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = given("HOME")
            .or_else(|| given("USERPROFILE"))
            .map(PathBuf::from);
        let path = |name: &str| {
            let path = PathBuf::from(given(name)?);
            match path.strip_prefix("~") {
                Ok(rest) => home.as_ref().map(|home| home.join(rest)),
                Err(_) => Some(path),
            }
        };
        if let Some(folder) = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")) {
            return Some(Self::new(folder));
        }
        let of_all = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| Some(home.as_ref()?.join(".cache").join("huggingface")))?;
        Some(Self::new(of_all.join("hub")))
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a model.
    pub(crate) fn of(&self, name: &Name) -> PathBuf {
        self.folder.join(name.folder())
    }

    /// The folder of a model's lock files.
    pub(crate) fn locks(&self, name: &Name) -> PathBuf {
        self.folder.join(".locks").join(name.folder())
    }
}

/// The folder of a model: `name` itself if it is one, else the snapshot of `organisation/name[@revision]` in the cache. Asks no
/// network.
///
/// # Errors
/// If there is neither, or only a part of it: says where it looked and what to run.
pub fn find(name: &str, cache: &Cache) -> Result<PathBuf, NotFound> {
    find_beside(name, Path::new(name), cache)
}

/// The same, where the folder that the name would be is another than the name: in a file, paths are relative to the file.
///
/// # Errors
/// As [`find`].
pub fn find_beside(name: &str, as_folder: &Path, cache: &Cache) -> Result<PathBuf, NotFound> {
    let as_folder = as_folder.to_owned();
    if as_folder.is_dir() {
        return Ok(as_folder);
    }
    let Ok(model) = Name::parse(name) else {
        return Err(NotFound {
            name: name.to_owned(),
            why: None,
            looked_in: vec![as_folder],
            help: "give the folder of a model, or a name such as sentence-transformers/all-MiniLM-L6-v2"
                .into(),
        });
    };
    let of_model = cache.of(&model);
    let missing = |why: Option<String>| NotFound {
        name: name.to_owned(),
        why,
        looked_in: vec![as_folder.clone(), of_model.clone()],
        help: format!("orchestrator model pull {model}"),
    };
    if !of_model.is_dir() {
        return Err(missing(None));
    }
    let commit = if is_commit(model.revision()) {
        model.revision().to_owned()
    } else {
        let text = std::fs::read_to_string(of_model.join("refs").join(model.revision()));
        let commit = text.map(|text| text.trim().to_owned());
        commit
            .ok()
            .filter(|commit| is_commit(commit))
            .ok_or_else(|| {
                let revision = model.revision();
                missing(Some(format!(
                    "the cache has the model, but not its revision `{revision}`"
                )))
            })?
    };
    let snapshot = of_model.join("snapshots").join(&commit);
    if !snapshot.is_dir() {
        return Err(missing(Some(format!(
            "the cache has the model, but not its commit {commit}"
        ))));
    }
    match lacking(&snapshot) {
        None => Ok(snapshot),
        Some(what) => Err(missing(Some(format!(
            "the cache has only a part of it, {what}"
        )))),
    }
}

/// What a snapshot lacks to be a model. Other programs download single files, and may be stopped.
fn lacking(snapshot: &Path) -> Option<&'static str> {
    // Through the links: `exists` is false for one that leads nowhere.
    if !snapshot.join("config.json").exists() && !snapshot.join("modules.json").exists() {
        return Some("without config.json");
    }
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        paths
    };
    let mut all = files(snapshot);
    let folders: Vec<PathBuf> = all.iter().filter(|path| path.is_dir()).cloned().collect();
    all.extend(folders.iter().flat_map(|folder| files(folder)));
    let weights = |path: &PathBuf| path.extension().is_some_and(|end| end == "safetensors");
    let whole = all.iter().any(|path| weights(path) && path.exists());
    (!whole).then_some("without weights in the safetensors format")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Cache;

    #[test]
    fn the_cache_is_where_python_looks() {
        // As huggingface_hub 2.4 (constants.py) says.
        for (variables, folder) in [
            (
                &[
                    ("HF_HUB_CACHE", "/c"),
                    ("HF_HOME", "/hf"),
                    ("HOME", "/home/me"),
                ][..],
                Some("/c"),
            ),
            (
                &[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")],
                Some("/old"),
            ),
            (
                &[("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/x")],
                Some("/hf/hub"),
            ),
            (
                &[("HF_HOME", "~/hf"), ("HOME", "/home/me")],
                Some("/home/me/hf/hub"),
            ),
            (
                &[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/me")],
                Some("/x/huggingface/hub"),
            ),
            (
                &[("HF_HOME", ""), ("HOME", "/home/me")],
                Some("/home/me/.cache/huggingface/hub"),
            ),
            (&[], None),
        ] {
            let found = Cache::from_environment(&|name| {
                let pair = variables.iter().find(|(variable, _)| *variable == name)?;
                Some(pair.1.into())
            });
            assert_eq!(found, folder.map(Cache::new), "{variables:?}");
        }
    }
}
