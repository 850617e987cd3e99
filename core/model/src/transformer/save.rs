//! Writes a model folder that sentence-transformers loads.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::Transformer;
use crate::{Card, Error};

impl Transformer {
    /// Writes the folder `path`: the files of the folder it came from, with the weights as they are now (what adapters add is
    /// added), and a card that says what made it. Files are written beside and renamed.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, path: &Path, card: &Card) -> Result<(), Error> {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let own = |name: &str| -> Vec<usize> {
            let all = self.parameters.iter().enumerate();
            all.filter(|(_, one)| !one.name.contains(".lora_") && module(&one.name) == name)
                .map(|(place, _)| place)
                .collect()
        };
        let root = if self.root.is_empty() {
            String::new()
        } else {
            format!("{}/", self.root)
        };
        files.push((
            format!("{root}model.safetensors"),
            self.tensors(path, &own(""))?,
        ));
        let mut modules: Vec<&str> = self
            .parameters
            .iter()
            .map(|one| module(&one.name))
            .filter(|name| !name.is_empty())
            .collect();
        modules.dedup();
        for name in modules {
            files.push((
                format!("{name}/model.safetensors"),
                self.tensors(path, &own(name))?,
            ));
        }
        let index = "modules.json";
        for (name, bytes) in self.kept.iter().filter(|(name, _)| name.as_str() != index) {
            files.push((name.clone(), bytes.clone()));
        }
        files.push((
            "README.md".to_owned(),
            card.to_markdown(self.dim()).into_bytes(),
        ));
        // Last: a folder of several modules without it is not a model.
        if let Some(bytes) = self.kept.get(index) {
            files.push((index.to_owned(), bytes.clone()));
        }
        crate::save::write_all(path, &files)
    }

    fn tensors(&self, path: &Path, places: &[usize]) -> Result<Vec<u8>, Error> {
        let raw: Vec<(String, Vec<usize>, Vec<u8>)> = places
            .iter()
            .map(|&place| {
                let one = &self.parameters[place];
                let values = self.adapters.weight(&self.parameters, place);
                let bytes = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                let name = one.name.rsplit('/').next().unwrap_or_default().to_owned();
                (name, one.shape.clone(), bytes)
            })
            .collect();
        let views = raw.iter().map(|(name, shape, bytes)| {
            Ok((
                name.as_str(),
                TensorView::new(Dtype::F32, shape.clone(), bytes)?,
            ))
        });
        let format = Some([("format".to_owned(), "pt".to_owned())].into());
        views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, format))
            .map_err(|error| Error::File {
                what: "write the weights of",
                path: path.to_owned(),
                why: error.to_string(),
            })
    }
}

/// The folder of a module's tensor; of the transformer's own, nothing.
fn module(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
