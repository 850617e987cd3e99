//! Model folders in sentence-transformers' layout: `StaticEmbedding` followed by `Normalize`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::{Card, Error, StaticEncoder};

/// Writes files into the folder `path`, each beside, synced and renamed: whoever says afterwards that the model is there, says
/// so of what is on the disk.
pub(crate) fn write_all(path: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
    for (name, bytes) in files {
        let file = path.join(name);
        let beside = file.with_extension("partial");
        let write = || {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut written = File::create(&beside)?;
            written.write_all(bytes)?;
            written.sync_all()?;
            std::fs::rename(&beside, &file)?;
            #[cfg(unix)]
            if let Some(folder) = file.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error: std::io::Error| Error::File {
            what: "write",
            path: file.clone(),
            why: error.to_string(),
        })?;
    }
    Ok(())
}

impl StaticEncoder {
    /// Writes the folder `path`, which `SentenceTransformer(path)` loads, with its card. Files are written beside and renamed.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, path: &Path, card: &Card) -> Result<(), Error> {
        let modules = json!([
            { "idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding" },
            { "idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize" },
        ]);
        let config = json!({
            "model_type": "SentenceTransformer",
            "__version__": { "orchestrator": env!("CARGO_PKG_VERSION") },
            "similarity_fn_name": "cosine",
            "prompts": {},
            "default_prompt_name": null,
        });
        let raw: Vec<u8> = self
            .table()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let tensor = TensorView::new(Dtype::F32, vec![self.vocabulary(), self.dim()], &raw)
            .and_then(|view| safetensors::serialize([("embedding.weight", view)], None))
            .map_err(|error| Error::File {
                what: "write the weights of",
                path: path.to_owned(),
                why: error.to_string(),
            })?;
        let pretty = |value| {
            serde_json::to_string_pretty(&value)
                .unwrap_or_default()
                .into_bytes()
        };
        let files = [
            ("0_StaticEmbedding/model.safetensors", tensor),
            (
                "0_StaticEmbedding/tokenizer.json",
                self.tokenizer_json().as_bytes().to_vec(),
            ),
            ("1_Normalize/.gitkeep", Vec::new()),
            ("config_sentence_transformers.json", pretty(config)),
            ("README.md", card.to_markdown(self.dim()).into_bytes()),
            // Last: a folder without it is not a model.
            ("modules.json", pretty(modules)),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes));
        write_all(path, &files)
    }

    /// Loads a folder that [`StaticEncoder::save`] wrote.
    ///
    /// # Errors
    /// If it is not such a folder.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let folder = path.join("0_StaticEmbedding");
        let failed = |file: &Path, why: String| Error::File {
            what: "read the model file",
            path: file.to_owned(),
            why,
        };
        let file = folder.join("tokenizer.json");
        let json =
            std::fs::read_to_string(&file).map_err(|error| failed(&file, error.to_string()))?;
        let file = folder.join("model.safetensors");
        let bytes = std::fs::read(&file).map_err(|error| failed(&file, error.to_string()))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| failed(&file, error.to_string()))?;
        let view = tensors
            .tensor("embedding.weight")
            .map_err(|error| failed(&file, error.to_string()))?;
        let (Dtype::F32, &[_, dim]) = (view.dtype(), view.shape()) else {
            return Err(failed(
                &file,
                "embedding.weight is not a table of f32".to_owned(),
            ));
        };
        let (values, _) = view.data().as_chunks::<4>();
        let table = values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        let encoder = Self::with_table(json, dim, table)?;
        if dim == 0 || encoder.vocabulary() < encoder.tokens_known() {
            return Err(failed(
                &file,
                "embedding.weight has not a row for each token".to_owned(),
            ));
        }
        Ok(encoder)
    }
}
