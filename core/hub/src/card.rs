//! What a model's folder says of the model, read without loading it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;

/// Architectures of transformers that encoders know, by `model_type` in config.json.
pub const SUPPORTED: [&str; 6] = [
    "bert",
    "roberta",
    "xlm-roberta",
    "mpnet",
    "distilbert",
    "modernbert",
];

/// Poolings that encoders know.
const POOLINGS: [&str; 3] = ["cls", "mean", "max"];

/// Modules of sentence-transformers that encoders know.
const MODULES: [&str; 5] = [
    "Transformer",
    "Pooling",
    "Normalize",
    "Dense",
    "StaticEmbedding",
];

/// A header of a safetensors file is not longer (as the format's own library has it).
const HEADER: u64 = 100_000_000;

/// What there is to know of a model. What the files do not say is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Card {
    /// Its folder.
    pub folder: PathBuf,
    /// `bert`, `roberta`, …, as config.json has it; `static` for a table of token embeddings.
    pub architecture: Option<String>,
    /// How many layers.
    pub layers: Option<u64>,
    /// Numbers a token.
    pub hidden_size: Option<u64>,
    /// Attention heads a layer.
    pub heads: Option<u64>,
    /// Tokens of the vocabulary.
    pub vocabulary: Option<u64>,
    /// How token embeddings become one: `cls`, `mean`, `max`, …; `mean` if nothing says it, as sentence-transformers has it.
    pub pooling: Option<String>,
    /// Dense layers after the pooling, in order.
    pub dense: Vec<Dense>,
    /// Whether embeddings have unit length.
    pub normalise: bool,
    /// What goes before texts, by its name.
    pub prompts: BTreeMap<String, String>,
    /// Which of them goes before every text that names none.
    pub default_prompt: Option<String>,
    /// How many tokens of a text are read.
    pub max_seq_length: Option<u64>,
    /// Of the weights: `F32`, `BF16`, …; of most of them, if they differ.
    pub dtype: Option<String>,
    /// How many weights.
    pub parameters: u64,
    /// How long the files of the weights are, in bytes.
    pub bytes: u64,
    /// As the model card says: `apache-2.0`.
    pub licence: Option<String>,
    /// What of it no encoder knows, one a line. Empty if it is supported.
    pub unsupported: Vec<String>,
}

impl Card {
    /// Whether an encoder can load it, as far as its settings show.
    #[must_use]
    pub fn supported(&self) -> bool {
        self.unsupported.is_empty()
    }
}

/// A dense layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dense {
    /// Numbers that go in.
    pub from: u64,
    /// Numbers that come out.
    pub to: u64,
    /// `Tanh`, `Identity`, …
    pub activation: String,
}

/// Reads what the folder of a model says: sentence-transformers' layout (modules.json) or a plain one (config.json). A setting
/// that no encoder knows is no error: it is in [`Card::unsupported`].
///
/// # Errors
/// If the folder holds no model, or a file of it cannot be read or understood.
pub fn inspect(folder: &Path) -> Result<Card, Error> {
    let modules = modules(folder)?;
    if modules.is_none() && !folder.join("config.json").is_file() {
        return Err(Error::NotAModel(folder.to_owned()));
    }
    let mut card = Card {
        folder: folder.to_owned(),
        architecture: None,
        layers: None,
        hidden_size: None,
        heads: None,
        vocabulary: None,
        pooling: None,
        dense: Vec::new(),
        normalise: false,
        prompts: BTreeMap::new(),
        default_prompt: None,
        max_seq_length: None,
        dtype: None,
        parameters: 0,
        bytes: 0,
        licence: licence(folder),
        unsupported: Vec::new(),
    };
    let mut dtypes = BTreeMap::new();
    match modules {
        Some(modules) => {
            for (kind, path) in &modules {
                card.module(kind, path, &mut dtypes)?;
            }
        }
        None => {
            card.transformer(folder, &mut dtypes)?;
            card.pooling = Some("mean".into());
        }
    }
    card.prompts_of(folder)?;
    let most = dtypes.into_iter().max_by_key(|(_, count)| *count);
    card.dtype = most.map(|(dtype, _)| dtype);
    Ok(card)
}

impl Card {
    fn lacks(&mut self, what: impl Into<String>) {
        self.unsupported.push(what.into());
    }

    fn module(
        &mut self,
        kind: &str,
        path: &Path,
        dtypes: &mut BTreeMap<String, u64>,
    ) -> Result<(), Error> {
        match kind {
            "Transformer" => self.transformer(path, dtypes)?,
            "StaticEmbedding" => {
                self.architecture = Some("static".into());
                let shapes = self.weights(path, dtypes)?;
                if let Some([rows, dim]) = shapes.first().map(Vec::as_slice) {
                    (self.vocabulary, self.hidden_size) = (Some(*rows), Some(*dim));
                }
                self.tokenizer(path);
            }
            "Pooling" => {
                let settings = required(&path.join("config.json"))?;
                let modes = poolings(&settings);
                let mode = modes.join("+");
                if modes.len() != 1 || !POOLINGS.contains(&mode.as_str()) {
                    self.lacks(format!(
                        "pooling `{mode}`; what there is: {}",
                        POOLINGS.join(", ")
                    ));
                }
                if settings.get("include_prompt") == Some(&Value::Bool(false)) {
                    self.lacks("pooling without the prompt (`include_prompt: false`)");
                }
                self.pooling = Some(mode);
            }
            "Normalize" => self.normalise = true,
            "Dense" => {
                let settings = required(&path.join("config.json"))?;
                let number = |key: &str| {
                    settings
                        .get(key)
                        .and_then(Value::as_u64)
                        .unwrap_or_default()
                };
                let activation = settings
                    .get("activation_function")
                    .and_then(Value::as_str)
                    .unwrap_or("Tanh");
                self.dense.push(Dense {
                    from: number("in_features"),
                    to: number("out_features"),
                    activation: last(activation).to_owned(),
                });
                self.weights(path, dtypes)?;
            }
            other => self.lacks(format!(
                "the module `{other}`; what there is: {}",
                MODULES.join(", ")
            )),
        }
        Ok(())
    }

    fn transformer(
        &mut self,
        folder: &Path,
        dtypes: &mut BTreeMap<String, u64>,
    ) -> Result<(), Error> {
        let settings = required(&folder.join("config.json"))?;
        // DistilBERT has names of its own.
        let number = |names: &[&str]| {
            let mut found = names
                .iter()
                .filter_map(|name| settings.get(*name)?.as_u64());
            found.next()
        };
        self.layers = number(&["num_hidden_layers", "n_layers"]);
        self.hidden_size = number(&["hidden_size", "dim"]);
        self.heads = number(&["num_attention_heads", "n_heads"]);
        self.vocabulary = number(&["vocab_size"]);
        let architecture = settings.get("model_type").and_then(Value::as_str);
        match architecture {
            Some(name) if SUPPORTED.contains(&name) => {}
            Some(name) => self.lacks(format!(
                "the architecture `{name}`; what there is: {}",
                SUPPORTED.join(", ")
            )),
            None => self.lacks("an architecture without a name: config.json has no `model_type`"),
        }
        self.architecture = architecture.map(str::to_owned);
        let positions = settings
            .get("position_embedding_type")
            .and_then(Value::as_str);
        if let Some(kind) = positions.filter(|kind| *kind != "absolute") {
            self.lacks(format!("positions that are `{kind}`"));
        }
        self.weights(folder, dtypes)?;
        self.tokenizer(folder);
        self.max_seq_length = length(folder, number(&["max_position_embeddings"]))?;
        Ok(())
    }

    fn tokenizer(&mut self, folder: &Path) {
        if !folder.join("tokenizer.json").is_file() {
            self.lacks(
                "a tokeniser without tokenizer.json: AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER) writes it",
            );
        }
    }

    /// Counts the weights of a folder; the shapes of those in floats, by name.
    fn weights(
        &mut self,
        folder: &Path,
        dtypes: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
            .collect();
        files.sort();
        // As the loaders have it: others beside this one are the same in another precision.
        let whole = folder.join("model.safetensors");
        if files.contains(&whole) {
            files = vec![whole];
        }
        if files.is_empty() {
            self.lacks(format!(
                "weights that are not in model.safetensors (`{}`)",
                folder.display()
            ));
        }
        let mut shapes = Vec::new();
        for file in files {
            let (length, header) = header(&file)?;
            self.bytes += length;
            for (_, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
                let dtype = tensor.get("dtype").and_then(Value::as_str);
                let shape = tensor.get("shape").and_then(Value::as_array);
                let (Some(dtype), Some(shape)) = (dtype, shape) else {
                    return Err(Error::Malformed {
                        path: file,
                        why: "has a tensor without type or shape".into(),
                    });
                };
                // Whole numbers are places and masks, which nobody trains.
                if !dtype.starts_with('F') && !dtype.starts_with("BF") {
                    continue;
                }
                let shape: Vec<u64> = shape.iter().filter_map(Value::as_u64).collect();
                let count = shape
                    .iter()
                    .fold(1u64, |product, size| product.saturating_mul(*size));
                self.parameters = self.parameters.saturating_add(count);
                let of_type: &mut u64 = dtypes.entry(dtype.to_owned()).or_default();
                *of_type = of_type.saturating_add(count);
                shapes.push(shape);
            }
        }
        Ok(shapes)
    }

    fn prompts_of(&mut self, folder: &Path) -> Result<(), Error> {
        let Some(settings) = optional(&folder.join("config_sentence_transformers.json"))? else {
            return Ok(());
        };
        let prompts = settings.get("prompts").and_then(Value::as_object);
        for (name, prompt) in prompts.into_iter().flatten() {
            let prompt = prompt.as_str().unwrap_or_default();
            self.prompts.insert(name.clone(), prompt.to_owned());
        }
        let default = settings.get("default_prompt_name").and_then(Value::as_str);
        self.default_prompt = default.map(str::to_owned);
        Ok(())
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::File {
        what: "read",
        path: path.to_owned(),
        why: error.to_string(),
    }
}

fn json(path: &Path) -> Result<Option<Value>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let value = serde_json::from_slice(&text).map_err(|error| Error::Malformed {
        path: path.to_owned(),
        why: format!("is not JSON: {error}"),
    })?;
    Ok(Some(value))
}

fn optional(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    match json(path)? {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Error::Malformed {
            path: path.to_owned(),
            why: "is not a JSON object".into(),
        }),
    }
}

fn required(path: &Path) -> Result<Map<String, Value>, Error> {
    optional(path)?.ok_or_else(|| Error::Malformed {
        path: path.to_owned(),
        why: "is missing".into(),
    })
}

/// `torch.nn.modules.activation.Tanh`: Tanh.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The modules of modules.json: what each is, and its folder.
fn modules(folder: &Path) -> Result<Option<Vec<(String, PathBuf)>>, Error> {
    let file = folder.join("modules.json");
    let wrong = || Error::Malformed {
        path: file.clone(),
        why: "is not a list of modules, each with `type` and `path`".into(),
    };
    let Some(value) = json(&file)? else {
        return Ok(None);
    };
    let mut modules = Vec::new();
    for one in value.as_array().ok_or_else(wrong)? {
        let text = |key: &str| one.get(key).and_then(Value::as_str);
        let (kind, path) = text("type").zip(text("path")).ok_or_else(wrong)?;
        let inside = path
            .split('/')
            .all(|part| part != ".." && !part.contains(['\\', ':']));
        if !inside || path.starts_with('/') {
            return Err(wrong());
        }
        let path = match path {
            "" => folder.to_owned(),
            path => folder.join(path),
        };
        modules.push((last(kind).to_owned(), path));
    }
    Ok(Some(modules))
}

/// The poolings of a module: `pooling_mode` since sentence-transformers 6, a switch for each before.
fn poolings(settings: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match settings.get("pooling_mode") {
        Some(Value::Array(modes)) => return modes.iter().filter_map(text).collect(),
        Some(Value::String(mode)) => return vec![mode.clone()],
        _ => {}
    }
    let switches = [
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        ("pooling_mode_weightedmean_tokens", "weightedmean"),
        ("pooling_mode_lasttoken", "lasttoken"),
    ];
    let on: Vec<String> = switches
        .iter()
        .filter(|(key, _)| settings.get(*key) == Some(&Value::Bool(true)))
        .map(|(_, mode)| (*mode).to_owned())
        .collect();
    let none_named = switches.iter().all(|(key, _)| !settings.contains_key(*key));
    if on.is_empty() && none_named {
        return vec!["mean".to_owned()];
    }
    on
}

/// How many tokens are read: what sentence-transformers' own settings say, else the least of what tokeniser and positions allow.
fn length(folder: &Path, positions: Option<u64>) -> Result<Option<u64>, Error> {
    for architecture in [
        "bert",
        "roberta",
        "distilbert",
        "camembert",
        "albert",
        "xlm-roberta",
        "xlnet",
    ] {
        let file = folder.join(format!("sentence_{architecture}_config.json"));
        if let Some(settings) = optional(&file)?
            && let Some(length) = settings.get("max_seq_length").and_then(Value::as_u64)
        {
            return Ok(Some(length));
        }
    }
    let tokenizer = optional(&folder.join("tokenizer_config.json"))?;
    let of_tokenizer = tokenizer.and_then(|settings| settings.get("model_max_length")?.as_u64());
    Ok([of_tokenizer, positions].into_iter().flatten().min())
}

/// The length of a safetensors file and its header: 8 bytes of the header's length, then JSON.
fn header(path: &Path) -> Result<(u64, Map<String, Value>), Error> {
    let wrong = |why: &str| Error::Malformed {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let mut file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let length = file
        .metadata()
        .map_err(|error| unreadable(path, &error))?
        .len();
    let mut eight = [0; 8];
    file.read_exact(&mut eight)
        .map_err(|_| wrong("is no safetensors file: it is too short"))?;
    let of_header = u64::from_le_bytes(eight);
    if of_header > HEADER || of_header + 8 > length {
        return Err(wrong("is no safetensors file, or not all of it"));
    }
    let mut text = Vec::new();
    file.take(of_header)
        .read_to_end(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    let header: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|_| wrong("is no safetensors file: its header is not JSON"))?;
    let end = header
        .values()
        .filter_map(|tensor| tensor.get("data_offsets")?.as_array()?.last()?.as_u64())
        .max();
    if end.unwrap_or(0).saturating_add(8 + of_header) != length {
        return Err(wrong("is cut off, or longer than its header says"));
    }
    Ok((length, header))
}

/// `license:` in the front matter of the model card, the lines between two `---` at its beginning.
fn licence(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("README.md")).ok()?;
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let front: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    let value = |key: &str| {
        let mut values = front.iter().filter_map(|line| line.strip_prefix(key));
        let value = values.next()?.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    match value("license:") {
        // The name is further down then.
        Some(licence) if licence == "other" => value("license_name:").or(Some(licence)),
        licence => licence,
    }
}
