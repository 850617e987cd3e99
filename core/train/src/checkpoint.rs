//! The state of a training run in one file: named tensors, in safetensors' format. Written beside, synced and renamed:
//! there is never half a checkpoint under its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use orchestrator_model::parameters::Parameter;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {what} `{path}`: {why}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// It is not what was written.
    #[error("`{path}` is not a checkpoint of this run: {why}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Tensors of f32 by name, with their shapes, and counters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Name to (shape, values).
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Name to number.
    pub counters: BTreeMap<String, u64>,
}

impl Checkpoint {
    /// Puts the values of what is trained into it, by the parameters' names. The rest never changes.
    pub fn put_values(&mut self, parameters: &[Parameter]) {
        for parameter in parameters.iter().filter(|one| one.trained) {
            let tensor = (parameter.shape.clone(), parameter.values.clone());
            self.tensors.insert(parameter.name.clone(), tensor);
        }
    }

    /// Takes the values of what is trained out of it; `false`, and nothing is changed, if it is of other parameters.
    pub fn take_values(&mut self, parameters: &mut [Parameter]) -> bool {
        let fits = |one: &Parameter| {
            let tensor = self.tensors.get(&one.name);
            tensor.is_some_and(|(shape, _)| *shape == one.shape)
        };
        if !parameters.iter().filter(|one| one.trained).all(fits) {
            return false;
        }
        for parameter in parameters.iter_mut().filter(|one| one.trained) {
            if let Some((_, values)) = self.tensors.remove(&parameter.name) {
                parameter.values = values;
            }
        }
        true
    }

    /// Its bytes, the same for the same state.
    ///
    /// # Errors
    /// If a tensor's shape does not fit its values.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for (name, (shape, values)) in &self.tensors {
            let raw = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            bytes.insert(name.clone(), (Dtype::F32, shape.clone(), raw));
        }
        for (name, counter) in &self.counters {
            let raw = counter.to_le_bytes().to_vec();
            bytes.insert(name.clone(), (Dtype::U64, vec![1], raw));
        }
        let views = bytes
            .iter()
            .map(|(name, (dtype, shape, raw))| {
                Ok((name.clone(), TensorView::new(*dtype, shape.clone(), raw)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| error.to_string())?;
        safetensors::serialize(views, None).map_err(|error| error.to_string())
    }

    /// Writes it to `path`, atomically and synced; gives the bytes written.
    ///
    /// # Errors
    /// If the file system refuses: then there is nothing new under `path`.
    pub fn write(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let bytes = self.to_bytes().map_err(|why| CheckpointError::Content {
            path: path.to_owned(),
            why,
        })?;
        let beside = path.with_extension("partial");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)?;
            // The rename itself is durable only once its folder is synced.
            #[cfg(unix)]
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|why| {
            let _ = std::fs::remove_file(&beside);
            CheckpointError::File {
                what: "write the checkpoint",
                path: path.to_owned(),
                why,
            }
        })?;
        Ok(bytes)
    }

    /// Reads a checkpoint from its bytes; `path` is for the message.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let wrong = |why: String| CheckpointError::Content {
            path: path.to_owned(),
            why,
        };
        let parsed = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
        let mut checkpoint = Self::default();
        for (name, view) in parsed.tensors() {
            match view.dtype() {
                Dtype::F32 => {
                    let (chunks, _) = view.data().as_chunks::<4>();
                    let values = chunks
                        .iter()
                        .map(|chunk| f32::from_le_bytes(*chunk))
                        .collect();
                    checkpoint
                        .tensors
                        .insert(name, (view.shape().to_vec(), values));
                }
                Dtype::U64 => {
                    let (chunks, _) = view.data().as_chunks::<8>();
                    let value = chunks.first().map_or(0, |chunk| u64::from_le_bytes(*chunk));
                    checkpoint.counters.insert(name, value);
                }
                other => return Err(wrong(format!("tensor `{name}` is of type {other:?}"))),
            }
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_as_it_was_and_its_bytes_are_the_same() {
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .tensors
            .insert("table".into(), (vec![2, 2], vec![1.0, -2.5, 3.25, 0.1]));
        checkpoint.counters.insert("step".into(), 77);
        let bytes = checkpoint.to_bytes().expect("bytes");
        assert_eq!(bytes, checkpoint.clone().to_bytes().expect("bytes"));
        assert_eq!(
            Checkpoint::from_bytes(&bytes, Path::new("x")).expect("read"),
            checkpoint
        );
        assert!(Checkpoint::from_bytes(&bytes[..bytes.len() - 3], Path::new("x")).is_err());
    }
}
