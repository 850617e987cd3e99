//! A model from a hub into the cache.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::address::quoted;
use crate::blob::Hash;
use crate::client::{Client, Failure, Want};
use crate::download::Download;
use crate::listing::{Listed, Listing};
use crate::name::is_commit;
use crate::{Cache, Error, Name};

/// How a hub is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is: `https://huggingface.co` unless HF_ENDPOINT says otherwise.
    pub endpoint: String,
    /// HF_TOKEN. Sent to the endpoint's host alone, over https or on this machine.
    pub token: Option<String>,
    /// HF_HUB_OFFLINE: nothing is asked.
    pub offline: bool,
    /// How often a request is tried again in a row; once at most as long as nobody has answered.
    pub retries: u32,
    /// How long a hub may say nothing.
    pub timeout: Duration,
    /// The wait before the second try; doubled for each further one.
    pub first_wait: Duration,
    /// The longest wait between two tries. A hub that asks to wait longer is not asked again.
    pub longest_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: "https://huggingface.co".into(),
            token: None,
            offline: false,
            retries: 5,
            timeout: Duration::from_secs(30),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// What will be downloaded: how many files, and how many bytes of those whose length the hub tells.
    Begun {
        /// How many.
        files: usize,
        /// How long together.
        bytes: u64,
    },
    /// A file is coming.
    At {
        /// Its path in the model.
        file: &'a str,
        /// How many bytes of all that is to come are there.
        bytes: u64,
    },
}

/// A file of a model that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledFile {
    /// Its path in the model.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of large files, git's SHA-1 of the others: it has been checked.
    pub hash: String,
    /// Whether it came now, or was there.
    pub downloaded: bool,
}

/// A model that is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its folder.
    pub folder: PathBuf,
    /// Its commit.
    pub commit: String,
    /// Its files, in the order of their names.
    pub files: Vec<PulledFile>,
}

/// Downloads what is lacking of a model into the cache: only what an encoder needs, each file checked by the hash that the hub
/// lists. A pull that is stopped, or loses its connection for good, goes on where it was when it is asked again; until then
/// [`crate::find`] does not find the model. `cancelled` ends it soon.
///
/// # Errors
/// If it cannot be downloaded, is not what the hub promised, has no safetensors, cannot be written, or was cancelled.
pub fn pull(
    name: &Name,
    cache: &Cache,
    settings: &Settings,
    cancelled: &AtomicBool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Pulled, Error> {
    if settings.offline {
        return Err(Error::Offline(name.to_string()));
    }
    let client = Client::new(settings, cancelled)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| client.watch(&done));
        let pulled = with(&client, name, cache, progress);
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        pulled
    })
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::File {
        what,
        path: path.to_owned(),
        why: error.to_string(),
    }
}

fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(failed("make the folder", folder))
}

fn with(
    client: &Client<'_>,
    name: &Name,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Pulled, Error> {
    let model = name.to_string();
    let path = format!(
        "/api/models/{}/revision/{}?blobs=true",
        name.repository(),
        quoted(name.revision(), false)
    );
    let answer = client.json(&model, &path)?;
    let listing = Listing::read(&model, &client.hub().host(), &answer)?;
    if is_commit(name.revision()) && name.revision() != listing.commit {
        return Err(Error::Answer {
            host: client.hub().host(),
            why: format!("asked for {}, it gives {}", name.revision(), listing.commit),
        });
    }
    let files = listing
        .needed(&model)?
        .into_iter()
        .map(|file| complete(client, name, &listing.commit, file))
        .collect::<Result<Vec<(Listed, Hash)>, Error>>()?;

    let of_model = cache.of(name);
    let (blobs, locks) = (of_model.join("blobs"), cache.locks(name));
    make(&blobs)?;
    make(&locks)?;
    let downloads: Vec<Download<'_>> = files
        .iter()
        .map(|(file, hash)| Download {
            model: name.repository(),
            file: &file.name,
            address: client
                .hub()
                .below(&file_path(name, &listing.commit, &file.name)),
            hash,
            size: file.size,
            blob: blobs.join(hash.hex()),
            lock: locks.join(format!("{hash}.lock")),
        })
        .collect();
    let lacking: Vec<bool> = downloads.iter().map(|one| !one.is_there()).collect();
    let to_come = || downloads.iter().zip(&lacking).filter(|(_, lacks)| **lacks);
    progress(Progress::Begun {
        files: to_come().count(),
        bytes: to_come().filter_map(|(one, _)| one.size).sum(),
    });
    let mut before = 0;
    for (one, _) in to_come() {
        let mut of_file = one.came();
        one.run(client, &mut |bytes| {
            of_file = bytes;
            progress(Progress::At {
                file: one.file,
                bytes: before + bytes,
            });
        })?;
        before += one.size.unwrap_or(of_file);
    }

    // Only now, so that whoever finds the snapshot finds it whole.
    let snapshot = of_model.join("snapshots").join(&listing.commit);
    let mut pulled = Vec::new();
    for (one, downloaded) in downloads.iter().zip(lacking) {
        link(&snapshot, one.file, &one.blob)?;
        let length = std::fs::metadata(&one.blob).map_err(failed("read", &one.blob))?;
        pulled.push(PulledFile {
            name: one.file.to_owned(),
            bytes: length.len(),
            hash: one.hash.to_string(),
            downloaded,
        });
    }
    pulled.sort_by(|a, b| a.name.cmp(&b.name));
    if name.revision() != listing.commit {
        write_ref(
            &of_model.join("refs").join(name.revision()),
            &listing.commit,
        )?;
    }
    Ok(Pulled {
        folder: snapshot,
        commit: listing.commit,
        files: pulled,
    })
}

/// The path of a file at a hub.
fn file_path(name: &Name, commit: &str, file: &str) -> String {
    format!(
        "/{}/resolve/{commit}/{}",
        name.repository(),
        quoted(file, true)
    )
}

/// A file with its hash: the listing's, else what the hub says when it is asked for the file.
fn complete(
    client: &Client<'_>,
    name: &Name,
    commit: &str,
    mut file: Listed,
) -> Result<(Listed, Hash), Error> {
    if let Some(hash) = file.hash.take() {
        return Ok((file, hash));
    }
    let what = format!("{}/{}", name.repository(), file.name);
    let address = client.hub().below(&file_path(name, commit, &file.name));
    let (hash, size) = client.retrying(&what, || {
        let reply = client.once(&what, &address, Want::Headers)?;
        let hash = reply.etag().and_then(Hash::read).ok_or_else(|| {
            Failure::Lasting(Error::Answer {
                host: client.hub().host(),
                why: format!("it gives no hash of {what}, so that nobody could check it"),
            })
        })?;
        Ok((hash, reply.length()))
    })?;
    file.size = file.size.or(size);
    Ok((file, hash))
}

/// Puts a blob into a snapshot under its name, unless it is there.
fn link(snapshot: &Path, file: &str, blob: &Path) -> Result<(), Error> {
    let place = file
        .split('/')
        .fold(snapshot.to_owned(), |path, part| path.join(part));
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if same(&place, blob) {
        return Ok(());
    }
    let folder = place.parent().unwrap_or(snapshot);
    make(folder)?;
    // Relative, so that a cache can be moved.
    let up = "../".repeat(file.split('/').count() + 1);
    let hash = blob.file_name().unwrap_or_default();
    let target = Path::new(&up).join("blobs").join(hash);
    // Written beside and renamed: whoever looks finds the one or the other.
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = std::fs::remove_file(&beside);
    point(&target, blob, &beside)
        .and_then(|()| std::fs::rename(&beside, &place))
        .map_err(failed("write", &place))
}

#[cfg(unix)]
fn point(target: &Path, blob: &Path, place: &Path) -> std::io::Result<()> {
    match std::os::unix::fs::symlink(target, place) {
        // Some drives have no links.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            std::fs::copy(blob, place).map(|_| ())
        }
        result => result,
    }
}

/// Links are not for everybody here; Python's libraries copy as well.
#[cfg(not(unix))]
fn point(_: &Path, blob: &Path, place: &Path) -> std::io::Result<()> {
    std::fs::hard_link(blob, place).or_else(|_| std::fs::copy(blob, place).map(|_| ()))
}

/// Writes down which commit a branch or tag is, without a line break, as Python's libraries do.
fn write_ref(path: &Path, commit: &str) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == commit) {
        return Ok(());
    }
    make(path.parent().unwrap_or(path))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, commit)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(failed("write", path))
}
