//! Reads a model folder: sentence-transformers' (`modules.json`) or a plain Hugging Face one, which is then pooled by its mean
//! as sentence-transformers does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{Tokenizer, TruncationParams};

use super::head::{Dense, Head, Pooling, Then};
use super::network::{Family, Network, Shape};
use crate::Error;
use crate::parameters::Parameter;

/// What a folder holds.
pub(super) struct Folder {
    pub shape: Shape,
    pub network: Network,
    pub head: Head,
    pub parameters: Vec<Parameter>,
    pub tokenizer: Tokenizer,
    pub text: TextRules,
    /// Files that are copied as they are when the model is saved: name inside the folder, bytes.
    pub kept: BTreeMap<String, Vec<u8>>,
    /// Where the weights of the transformer lie inside the folder.
    pub root: String,
}

/// How a text becomes tokens.
#[derive(Debug, Clone)]
pub(super) struct TextRules {
    pub lower: bool,
    pub prompts: BTreeMap<String, String>,
    pub default_prompt: Option<String>,
    pub max_tokens: usize,
}

pub(super) fn failed(path: &Path, why: impl Into<String>) -> Error {
    Error::File {
        what: "read the model file",
        path: path.to_owned(),
        why: why.into(),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| failed(path, error.to_string()))
}

fn json(path: &Path) -> Result<Value, Error> {
    serde_json::from_slice(&bytes(path)?).map_err(|error| failed(path, error.to_string()))
}

pub(super) fn maybe_json(path: &Path) -> Result<Value, Error> {
    if path.is_file() {
        json(path)
    } else {
        Ok(Value::Null)
    }
}

impl Folder {
    pub fn read(folder: &Path, max_tokens: Option<usize>) -> Result<Self, Error> {
        let modules = maybe_json(&folder.join("modules.json"))?;
        let (root, later) = Self::modules(folder, &modules)?;
        Self::read_with(folder, root, max_tokens, |_, shape, parameters| {
            Self::head(folder, &modules, &later, shape.hidden, parameters)
        })
    }

    /// A folder whose transformer lies in `root`; `head` finds what follows it, by its `config.json`, shape and tensors.
    pub fn read_with(
        folder: &Path,
        root: String,
        max_tokens: Option<usize>,
        head: impl FnOnce(&Value, &Shape, &mut Vec<Parameter>) -> Result<Head, Error>,
    ) -> Result<Self, Error> {
        let at = folder.join(&root);
        let file = at.join("config.json");
        let config = json(&file)?;
        let shape = Shape::read(&config).map_err(|why| failed(&file, why))?;
        let mut parameters = read_tensors(&at)?;
        let network = Network::find(&shape, &parameters).map_err(|why| failed(&at, why))?;
        let used = network.used();
        for (place, parameter) in parameters.iter_mut().enumerate() {
            parameter.trained = used.binary_search(&place).is_ok();
        }
        let mut kept = BTreeMap::new();
        let head = head(&config, &shape, &mut parameters)?;
        let rules = Self::rules(folder, &at, &shape, max_tokens)?;
        let mut tokenizer = read_tokenizer(&at, &shape)?;
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length: rules.max_tokens,
                ..TruncationParams::default()
            }))
            .map_err(|error| failed(&at.join("tokenizer.json"), error.to_string()))?;
        tokenizer.with_padding(None);
        keep(folder, "", &mut kept)?;
        Ok(Self {
            shape,
            network,
            head,
            parameters,
            tokenizer,
            text: rules,
            kept,
            root,
        })
    }

    /// The folder of the transformer, and the modules after it: kind and folder.
    pub fn modules(
        folder: &Path,
        modules: &Value,
    ) -> Result<(String, Vec<(String, String)>), Error> {
        let file = folder.join("modules.json");
        let Some(modules) = modules.as_array() else {
            return Ok((String::new(), vec![("Pooling".to_owned(), String::new())]));
        };
        let mut all = modules.iter().map(|module| {
            let kind = module["type"].as_str().unwrap_or_default();
            let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
            (kind, module["path"].as_str().unwrap_or_default().to_owned())
        });
        match all.next() {
            Some((kind, root)) if kind == "Transformer" => Ok((root, all.collect())),
            Some((kind, _)) => Err(failed(
                &file,
                format!("the first module is `{kind}`, not `Transformer`"),
            )),
            None => Err(failed(&file, "it names no module")),
        }
    }

    fn head(
        folder: &Path,
        modules: &Value,
        later: &[(String, String)],
        hidden: usize,
        parameters: &mut Vec<Parameter>,
    ) -> Result<Head, Error> {
        let mut head = Head {
            pooling: None,
            dense: Vec::new(),
            normalised: false,
            dim: hidden,
        };
        for (kind, path) in later {
            let file = folder.join(path).join("config.json");
            match kind.as_str() {
                "Pooling" if head.pooling.is_none() => {
                    let config = if modules.is_null() {
                        Value::Null
                    } else {
                        json(&file)?
                    };
                    head.pooling = Some(pooling(&config).map_err(|why| failed(&file, why))?);
                }
                "Dense" if head.pooling.is_some() && !head.normalised => {
                    let at = folder.join(path);
                    let dense = dense(&at, path, head.dim, parameters)?;
                    head.dim = dense.n;
                    head.dense.push(dense);
                }
                "Normalize" if head.pooling.is_some() => head.normalised = true,
                other => {
                    return Err(failed(
                        &folder.join("modules.json"),
                        format!(
                            "the module `{other}` is not supported here: Transformer, Pooling, Dense, Normalize are, in this order"
                        ),
                    ));
                }
            }
        }
        if head.pooling.is_none() {
            return Err(failed(&folder.join("modules.json"), "it has no Pooling"));
        }
        Ok(head)
    }

    fn rules(
        folder: &Path,
        at: &Path,
        shape: &Shape,
        max_tokens: Option<usize>,
    ) -> Result<TextRules, Error> {
        let names = [
            "sentence_bert_config.json",
            "sentence_roberta_config.json",
            "sentence_distilbert_config.json",
            "sentence_camembert_config.json",
            "sentence_xlm-roberta_config.json",
            "sentence_mpnet_config.json",
        ];
        let mut own = Value::Null;
        for name in names {
            if own.is_null() {
                own = maybe_json(&at.join(name))?;
            }
        }
        let tokens = maybe_json(&at.join("tokenizer_config.json"))?;
        let whole = |value: &Value| value.as_u64().map(|value| value as usize);
        let said = whole(&own["max_seq_length"]).or_else(|| whole(&tokens["model_max_length"]));
        let most = said.unwrap_or(shape.longest).min(shape.longest);
        let max_tokens = match max_tokens {
            None => most,
            Some(tokens) if tokens <= shape.longest && tokens >= 3 => tokens,
            Some(tokens) => {
                return Err(failed(
                    &at.join("config.json"),
                    format!(
                        "texts of {tokens} tokens do not fit the model: from 3 to {} do",
                        shape.longest
                    ),
                ));
            }
        };
        let file = folder.join("config_sentence_transformers.json");
        let config = maybe_json(&file)?;
        let mut prompts = BTreeMap::new();
        for (name, prompt) in config["prompts"].as_object().into_iter().flatten() {
            prompts.insert(name.clone(), prompt.as_str().unwrap_or_default().to_owned());
        }
        Ok(TextRules {
            lower: own["do_lower_case"].as_bool().unwrap_or(false),
            prompts,
            default_prompt: config["default_prompt_name"].as_str().map(str::to_owned),
            max_tokens: max_tokens.max(1),
        })
    }
}

fn pooling(config: &Value) -> Result<Pooling, String> {
    let mut modes: Vec<String> = match &config["pooling_mode"] {
        Value::String(mode) => vec![mode.clone()],
        Value::Array(modes) => modes
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    let set = config.as_object().into_iter().flatten();
    modes.extend(
        set.filter(|(_, value)| value.as_bool() == Some(true))
            .filter_map(|(name, _)| {
                let name = name.strip_prefix("pooling_mode_")?;
                Some(
                    name.trim_end_matches("_tokens")
                        .trim_end_matches("_token")
                        .to_owned(),
                )
            }),
    );
    if config.is_null() {
        modes.push("mean".to_owned());
    }
    let mode = match modes.as_slice() {
        [one] => one.as_str(),
        [] => return Err("it names no way of pooling".to_owned()),
        several => {
            return Err(format!(
                "several ways of pooling at once are not supported: {}",
                several.join(", ")
            ));
        }
    };
    let prompt = config["include_prompt"].as_bool().unwrap_or(true);
    let kind = match mode {
        "cls" => super::head::Mode::First,
        "mean" => super::head::Mode::Mean,
        "mean_sqrt_len" => super::head::Mode::MeanOfRoot,
        "max" => super::head::Mode::Max,
        other => {
            return Err(format!(
                "pooling by `{other}` is not supported: cls, mean, mean_sqrt_len and max are"
            ));
        }
    };
    Ok(Pooling {
        mode: kind,
        with_prompt: prompt,
    })
}

fn dense(at: &Path, path: &str, k: usize, parameters: &mut Vec<Parameter>) -> Result<Dense, Error> {
    let file = at.join("config.json");
    let config = json(&file)?;
    let n = config["out_features"].as_u64().unwrap_or(0) as usize;
    if config["in_features"].as_u64() != Some(k as u64) || n == 0 {
        return Err(failed(
            &file,
            format!("in_features must be {k}, and out_features be there"),
        ));
    }
    let then = match config["activation_function"]
        .as_str()
        .unwrap_or_default()
        .rsplit('.')
        .next()
    {
        Some("Tanh") => Then::Tanh,
        Some("Identity") => Then::Nothing,
        other => {
            return Err(failed(
                &file,
                format!(
                    "the activation `{}` is not supported: Tanh and Identity are",
                    other.unwrap_or_default()
                ),
            ));
        }
    };
    let mut find = |name: &str, shape: &[usize], tensors: &mut Vec<Parameter>| {
        let place = tensors
            .iter()
            .position(|one| one.name == name && one.shape == shape);
        let place = place.ok_or_else(|| {
            failed(
                at,
                format!("the tensor `{name}` of the shape {shape:?} is missing"),
            )
        })?;
        let mut found = tensors.swap_remove(place);
        found.name = format!("{path}/{name}");
        parameters.push(found);
        Ok::<usize, Error>(parameters.len() - 1)
    };
    let mut tensors = read_tensors(at)?;
    let weight = find("linear.weight", &[n, k], &mut tensors)?;
    let bias = if config["bias"].as_bool().unwrap_or(true) {
        Some(find("linear.bias", &[n], &mut tensors)?)
    } else {
        None
    };
    Ok(Dense {
        weight,
        bias,
        n,
        k,
        then,
    })
}

/// The tensors of a folder's safetensors files, by name; whole numbers, which are no weights, left out.
fn read_tensors(at: &Path) -> Result<Vec<Parameter>, Error> {
    let index = at.join("model.safetensors.index.json");
    let files: Vec<PathBuf> = if index.is_file() {
        let index = json(&index)?;
        let map = index["weight_map"].as_object().into_iter().flatten();
        let names: std::collections::BTreeSet<&str> =
            map.filter_map(|(_, file)| file.as_str()).collect();
        names.into_iter().map(|name| at.join(name)).collect()
    } else {
        vec![at.join("model.safetensors")]
    };
    let mut all = BTreeMap::new();
    for file in files {
        if !file.is_file() && at.join("pytorch_model.bin").is_file() {
            return Err(failed(
                &file,
                "there are only weights as a pickle (pytorch_model.bin), which can run code when it is read: save the model as \
                 safetensors (sentence-transformers does)",
            ));
        }
        let found = candle_core::safetensors::load_buffer(&bytes(&file)?, &Device::Cpu)
            .map_err(|error| failed(&file, error.to_string()))?;
        for (name, tensor) in found {
            if matches!(
                tensor.dtype(),
                DType::F32 | DType::F16 | DType::BF16 | DType::F64
            ) {
                let shape = tensor.dims().to_vec();
                let values = tensor
                    .to_dtype(DType::F32)
                    .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
                let values = values.map_err(|error| failed(&file, format!("{name}: {error}")))?;
                if let Some(odd) = values.iter().find(|value| !value.is_finite()) {
                    return Err(failed(&file, format!("the tensor `{name}` holds {odd}")));
                }
                let decays = shape.len() > 1;
                all.insert(
                    name.clone(),
                    Parameter {
                        name,
                        shape,
                        values,
                        decays,
                        lazy: false,
                        trained: true,
                    },
                );
            }
        }
    }
    Ok(all.into_values().collect())
}

fn read_tokenizer(at: &Path, shape: &Shape) -> Result<Tokenizer, Error> {
    let file = at.join("tokenizer.json");
    if file.is_file() {
        let text =
            String::from_utf8(bytes(&file)?).map_err(|error| failed(&file, error.to_string()))?;
        return crate::tokenizer::parse(&text).map_err(|error| failed(&file, error.to_string()));
    }
    let config = maybe_json(&at.join("tokenizer_config.json"))?;
    let (vocabulary, merges) = (at.join("vocab.txt"), at.join("merges.txt"));
    let wrong = |file: &Path, error: tokenizers::Error| failed(file, error.to_string());
    if vocabulary.is_file() {
        let words = WordPiece::from_file(&vocabulary.to_string_lossy())
            .unk_token("[UNK]".to_owned())
            .build()
            .map_err(|error| wrong(&vocabulary, error))?;
        let mut tokenizer = Tokenizer::new(words);
        let lower = config["do_lower_case"].as_bool().unwrap_or(true);
        let special = |name: &str| {
            let number = tokenizer.token_to_id(name);
            number
                .map(|number| (name.to_owned(), number))
                .ok_or_else(|| failed(&vocabulary, format!("it has no {name}")))
        };
        let (end, start) = (special("[SEP]")?, special("[CLS]")?);
        let _ = tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, lower)));
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_post_processor(Some(BertProcessing::new(end, start)));
        return Ok(tokenizer);
    }
    if merges.is_file() && shape.family == Family::Roberta {
        let words = at.join("vocab.json");
        let model = BPE::from_file(&words.to_string_lossy(), &merges.to_string_lossy())
            .build()
            .map_err(|error| wrong(&words, error))?;
        let mut tokenizer = Tokenizer::new(model);
        let special = |name: &str| {
            let number = tokenizer.token_to_id(name);
            number
                .map(|number| (name.to_owned(), number))
                .ok_or_else(|| failed(&words, format!("it has no {name}")))
        };
        let (end, start) = (special("</s>")?, special("<s>")?);
        let byte_level = ByteLevel::new(false, true, true);
        tokenizer.with_pre_tokenizer(Some(byte_level));
        tokenizer.with_post_processor(Some(RobertaProcessing::new(end, start)));
        return Ok(tokenizer);
    }
    Err(failed(
        &file,
        "there is no tokeniser: tokenizer.json, or vocab.txt, or vocab.json with merges.txt",
    ))
}

/// Remembers the small files of a folder and its module folders.
fn keep(folder: &Path, inside: &str, kept: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let at = folder.join(inside);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&at).map_err(|error| failed(&at, error.to_string()))? {
        let entry = entry.map_err(|error| failed(&at, error.to_string()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        let path = at.join(&name);
        let full = if inside.is_empty() {
            name.clone()
        } else {
            format!("{inside}/{name}")
        };
        if path.is_dir() {
            let module = name.as_bytes().first().is_some_and(u8::is_ascii_digit);
            if inside.is_empty() && module {
                keep(folder, &full, kept)?;
            }
            continue;
        }
        let known = [".json", ".txt", ".model"]
            .iter()
            .any(|end| name.ends_with(end));
        let weights =
            name.ends_with(".index.json") || name == "expected.json" || name == "curve.json";
        if known && !weights {
            kept.insert(full, bytes(&path)?);
        }
    }
    Ok(())
}
