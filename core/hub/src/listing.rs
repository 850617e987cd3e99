//! What a hub lists of a model, and which of it is needed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;
use crate::blob::Hash;
use crate::name::is_commit;

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Path from the root of the model, with `/`.
    pub name: String,
    pub size: Option<u64>,
    /// Not every hub lists it.
    pub hash: Option<Hash>,
}

/// A model at one commit.
#[derive(Debug)]
pub(crate) struct Listing {
    pub commit: String,
    pub files: Vec<Listed>,
}

impl Listing {
    /// Reads the answer of `/api/models/NAME/revision/REVISION?blobs=true`.
    pub fn read(model: &str, host: &str, answer: &Value) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Answer {
            host: host.to_owned(),
            why: why.to_owned(),
        };
        let commit = answer.get("sha").and_then(Value::as_str);
        let commit = commit
            .filter(|commit| is_commit(commit))
            .ok_or_else(|| wrong("it names no commit of the model"))?;
        let siblings = answer.get("siblings").and_then(Value::as_array);
        let siblings = siblings.ok_or_else(|| wrong("it lists no files of the model"))?;
        let mut files = Vec::new();
        for one in siblings {
            let name = one.get("rfilename").and_then(Value::as_str);
            let name = name.ok_or_else(|| wrong("it lists a file without a name"))?;
            if !stays_inside(name) {
                return Err(Error::Path {
                    model: model.to_owned(),
                    file: name.to_owned(),
                });
            }
            let large = one.get("lfs").filter(|large| large.is_object());
            let text = |value: &Value, key: &str| {
                let text = value.get(key).and_then(Value::as_str)?;
                Hash::read(text)
            };
            let hash = match large {
                Some(large) => text(large, "sha256").or_else(|| text(large, "oid")),
                None => text(one, "blobId"),
            };
            let size = large.and_then(|large| large.get("size"));
            let size = size.or_else(|| one.get("size")).and_then(Value::as_u64);
            files.push(Listed {
                name: name.to_owned(),
                size,
                hash,
            });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup_by(|a, b| a.name == b.name);
        Ok(Self {
            commit: commit.to_owned(),
            files,
        })
    }

    /// The files that a model needs, of all that are listed: settings, tokeniser, modules, model card, weights.
    pub fn needed(&self, model: &str) -> Result<Vec<Listed>, Error> {
        let mut folders: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
        for file in &self.files {
            let (folder, _) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
            if folder.is_empty() || is_module(folder) {
                folders.entry(folder).or_default().push(file);
            }
        }
        let mut needed = Vec::new();
        let (mut pickles, mut weights) = (Vec::new(), false);
        for files in folders.values() {
            let chosen = weights_of(files);
            weights |= !chosen.is_empty();
            if chosen.is_empty() {
                let of_folder = files.iter().filter(|file| is_pickle(last(&file.name)));
                pickles.extend(of_folder.map(|file| file.name.as_str()));
            }
            needed.extend(files.iter().filter(|file| is_setting(last(&file.name))));
            needed.extend(chosen);
        }
        if !pickles.is_empty() {
            return Err(Error::Pickles {
                model: model.to_owned(),
                files: pickles.join(", "),
            });
        }
        if !weights {
            return Err(Error::NoWeights {
                model: model.to_owned(),
                has: self.has(),
            });
        }
        let mut needed: Vec<Listed> = needed.into_iter().cloned().collect();
        // What is small says most, and may already be refused.
        needed.sort_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)));
        Ok(needed)
    }

    /// The listing in a few words.
    fn has(&self) -> String {
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        match names.as_slice() {
            [] => "no files".to_owned(),
            few if few.len() <= 12 => few.join(", "),
            many => format!("{}, and {} more", many[..12].join(", "), many.len() - 12),
        }
    }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether a path stays in its folder, on every system.
fn stays_inside(name: &str) -> bool {
    name.len() <= 500
        && name.split('/').all(|part| {
            let odd = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
            !matches!(part, "" | "." | "..") && !part.contains(odd)
        })
}

/// `1_Pooling`, `2_Dense`: the folder of a module of sentence-transformers.
fn is_module(folder: &str) -> bool {
    folder.split_once('_').is_some_and(|(number, name)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !name.is_empty()
            && !name.contains('/')
    })
}

fn is_setting(name: &str) -> bool {
    let json = name.ends_with(".json");
    matches!(
        name,
        "README.md" | "modules.json" | "merges.txt" | "special_tokens_map.json" | "added_tokens.json"
            | "sentencepiece.bpe.model" | "spiece.model"
    ) || (json && name.starts_with("config"))
        // sentence_bert_config.json, and its kin for other architectures.
        || (name.starts_with("sentence_") && name.ends_with("_config.json"))
        || name.starts_with("tokenizer")
        || name.starts_with("vocab")
}

fn is_pickle(name: &str) -> bool {
    [".bin", ".pt", ".pth", ".pkl", ".ckpt"]
        .iter()
        .any(|end| name.ends_with(end))
        && name != "training_args.bin"
}

/// The weights of a folder in the safetensors format: one file, else the pieces of one with their index, else whatever there is.
fn weights_of<'a>(files: &[&'a Listed]) -> Vec<&'a Listed> {
    let of = |choose: &dyn Fn(&str) -> bool| -> Vec<&'a Listed> {
        let chosen = files.iter().filter(|file| choose(last(&file.name)));
        chosen.copied().collect()
    };
    let one = of(&|name| name == "model.safetensors");
    if !one.is_empty() {
        return one;
    }
    let index = "model.safetensors.index.json";
    let pieces = of(&|name| name.starts_with("model-") && name.ends_with(".safetensors"));
    let whole = of(&|name| name == index);
    if !pieces.is_empty() && !whole.is_empty() {
        return [whole, pieces].concat();
    }
    of(&|name| name.ends_with(".safetensors"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::Listing;
    use crate::Error;

    fn listing(names: &[&str]) -> Result<Listing, Error> {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| json!({ "rfilename": name }))
            .collect();
        let answer = json!({ "sha": "0".repeat(40), "siblings": siblings });
        Listing::read("org/model", "hub.example", &answer)
    }

    #[test]
    fn only_what_a_model_needs_is_chosen() {
        // What the hub lists of all-MiniLM-L6-v2, LaBSE and a model in pieces, shortened.
        for (listed, needed) in [
            (
                &[
                    ".gitattributes",
                    "1_Pooling/config.json",
                    "README.md",
                    "config.json",
                    "config_sentence_transformers.json",
                    "data_config.json",
                    "model.safetensors",
                    "modules.json",
                    "onnx/model.onnx",
                    "openvino/openvino_model.bin",
                    "pytorch_model.bin",
                    "rust_model.ot",
                    "sentence_bert_config.json",
                    "special_tokens_map.json",
                    "tf_model.h5",
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "train_script.py",
                    "vocab.txt",
                ][..],
                &[
                    "1_Pooling/config.json",
                    "README.md",
                    "config.json",
                    "config_sentence_transformers.json",
                    "model.safetensors",
                    "modules.json",
                    "sentence_bert_config.json",
                    "special_tokens_map.json",
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "vocab.txt",
                ][..],
            ),
            (
                &[
                    "2_Dense/config.json",
                    "2_Dense/model.safetensors",
                    "2_Dense/pytorch_model.bin",
                    "config.json",
                    "model.fp16.safetensors",
                    "model.safetensors",
                ],
                &[
                    "2_Dense/config.json",
                    "2_Dense/model.safetensors",
                    "config.json",
                    "model.safetensors",
                ],
            ),
            (
                &[
                    "config.json",
                    "consolidated.safetensors",
                    "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json",
                ],
                &[
                    "config.json",
                    "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json",
                ],
            ),
        ] {
            let chosen = listing(listed).unwrap().needed("org/model").unwrap();
            let names: Vec<&str> = chosen.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(names, needed);
        }
    }

    #[test]
    fn pickles_alone_are_refused_in_every_folder() {
        for (listed, files) in [
            (
                &["config.json", "pytorch_model.bin", "training_args.bin"][..],
                "pytorch_model.bin",
            ),
            (
                &[
                    "config.json",
                    "model.safetensors",
                    "2_Dense/config.json",
                    "2_Dense/pytorch_model.bin",
                ],
                "2_Dense/pytorch_model.bin",
            ),
        ] {
            let error = listing(listed).unwrap().needed("org/model").unwrap_err();
            assert!(
                matches!(&error, Error::Pickles { files: found, .. } if found == files),
                "{error}"
            );
        }
        let error = listing(&["config.json", "model.gguf"])
            .unwrap()
            .needed("org/model")
            .unwrap_err();
        assert!(error.notes()[0].contains("model.gguf"));
    }

    #[test]
    fn names_that_could_lead_out_of_the_folder_are_refused() {
        for name in [
            "../x",
            "1_Pooling/../../x",
            "/etc/passwd",
            "a//b",
            "C:x",
            "..\\x",
            "./x",
            "a\nb",
            "",
        ] {
            assert!(
                matches!(listing(&["config.json", name]), Err(Error::Path { .. })),
                "{name:?}"
            );
        }
    }
}
