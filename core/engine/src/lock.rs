//! One process at a time works on a run folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::driver::file_error;
use crate::error::Error;

/// Whoever writes to a run folder holds this, from before the first look at it to after the last write. It is the system's
/// lock on the empty file `lock` in it (`flock` on Unix): it ends with the process, however that ends. To read the store
/// nobody needs it.
#[derive(Debug)]
pub struct Lock {
    // Open files are locked, not names: a folder that is renamed stays locked.
    _file: File,
}

impl Lock {
    /// Takes the lock of the run folder `folder`.
    ///
    /// # Errors
    /// If it is no run folder, if another process (or another `Lock` of this one) holds it, or if the system refuses.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        // No file is left in a folder that is not a run's.
        if !folder.join("plan.json").is_file() {
            return Err(Error::NotARun(folder.to_owned(), "plan.json"));
        }
        Self::of(folder)
    }

    /// Takes the lock of any folder.
    pub(crate) fn of(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("lock");
        let failed = || file_error("lock", &path);
        let mut options = File::options();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed())?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(folder.to_owned())),
            Err(TryLockError::Error(why)) => Err(failed()(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped_and_wherever_its_folder_goes() {
        let root = std::env::temp_dir().join(format!("orchestrator-lock-{}", std::process::id()));
        let (here, there) = (root.join("here"), root.join("there"));
        std::fs::create_dir_all(&here).expect("folder");
        assert!(matches!(Lock::take(&here), Err(Error::NotARun(..))));
        assert_eq!(std::fs::read_dir(&here).expect("folder").count(), 0);
        std::fs::write(here.join("plan.json"), "{}").expect("file");
        let lock = Lock::take(&here).expect("free");
        assert!(matches!(Lock::take(&here), Err(Error::Locked(_))));
        std::fs::rename(&here, &there).expect("renamed");
        assert!(matches!(Lock::take(&there), Err(Error::Locked(_))));
        drop(lock);
        drop(Lock::take(&there).expect("free again"));
        std::fs::remove_dir_all(root).expect("removed");
    }
}
