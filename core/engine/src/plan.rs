//! The plan: an experiment with everything that could change its result nailed down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use orchestrator_config::{
    Chat, Encoder as Given, EvaluationSlice, Experiment, Precision, Transformer, model_name,
};
use orchestrator_data::{Dataset, Document, Source};
use orchestrator_diagnostics::{Diagnostic, Kind};
use orchestrator_model::{CrossEncoder, Encoder, transformer};
use orchestrator_plugin_host::{Files, Host, Isolation, Kind as PluginKind, PluginInfo, service};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::driver::{hex, sha256};
use crate::error::Error;

/// What a run is a function of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of orchestrator.
    pub version: String,
    /// Every default filled in.
    pub experiment: Experiment,
    /// SHA-256 of corpus and claims.
    pub data_fingerprint: String,
    /// SHA-256 of everything else that was read: other corpora, further models, files of settings.
    pub pins: BTreeMap<String, String>,
    /// In the order of the experiment.
    pub plugins: Vec<PluginUsed>,
}

/// A plugin the experiment uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginUsed {
    /// Its name in the experiment.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: PluginKind,
    /// Its version.
    pub version: String,
    /// SHA-256 of its library.
    pub sha256: String,
}

/// Where a run's inputs lie: what `resume` needs beside the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The experiment file.
    pub experiment: PathBuf,
    /// Where the corpus is from, its path absolute.
    pub corpus: Source,
    /// The other corpora, their paths absolute.
    pub other: BTreeMap<String, Source>,
    /// The folder of the model that is trained, if it is from one.
    #[serde(default)]
    pub transformer: Option<PathBuf>,
    /// The further models.
    pub models: BTreeMap<String, PathBuf>,
    /// The files that settings name.
    pub files: BTreeMap<String, PathBuf>,
    /// The endpoint.
    pub chat: Option<Chat>,
    /// The plugins that run in a process of their own: that changes no result.
    #[serde(default)]
    pub isolation: BTreeMap<String, Isolation>,
    /// The folder of templates of the report, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<PathBuf>,
    /// Further plugin libraries, absolute.
    pub plugins: Vec<PathBuf>,
    /// The lock file that pins them, absolute.
    pub lock: PathBuf,
}

impl Origin {
    /// Of an experiment.
    #[must_use]
    pub fn of(experiment: &Experiment, file: PathBuf, lock: PathBuf) -> Self {
        Self {
            experiment: file,
            corpus: experiment.data.corpus.clone(),
            other: experiment.data.other.clone(),
            transformer: match &experiment.encoder {
                Given::Transformer(transformer) => Some(transformer.folder.clone()),
                Given::Static { .. } => None,
            },
            models: experiment.models.clone(),
            files: experiment.files.clone(),
            chat: experiment.chat.clone(),
            isolation: experiment.isolation.clone(),
            templates: experiment.templates.clone(),
            plugins: experiment.plugins.clone(),
            lock,
        }
    }

    /// The experiment of a plan with its places put back.
    #[must_use]
    pub fn placed(&self, plan: &Plan) -> Experiment {
        let mut experiment = plan.experiment.clone();
        experiment.data.corpus = self.corpus.clone();
        experiment.data.other.clone_from(&self.other);
        if let (Given::Transformer(transformer), Some(folder)) =
            (&mut experiment.encoder, &self.transformer)
        {
            transformer.folder.clone_from(folder);
        }
        experiment.models.clone_from(&self.models);
        experiment.files.clone_from(&self.files);
        experiment.chat.clone_from(&self.chat);
        experiment.isolation.clone_from(&self.isolation);
        experiment.templates.clone_from(&self.templates);
        experiment
    }

    /// Of the run in `folder`.
    ///
    /// # Errors
    /// If it is not the folder of a run.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        std::fs::read(folder.join("origin.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Error::NotARun(folder.to_owned(), "origin.json"))
    }
}

/// What a run works on: read once, pinned by the plan.
pub struct Inputs {
    /// Corpus, claims and judgements.
    pub data: Dataset,
    /// The other corpora that plugins are lent.
    pub other: Vec<(String, Vec<Document>)>,
    /// The other corpora that slices of the evaluation are of, with their claims: plugins are not lent those.
    pub foreign: Vec<(String, Dataset)>,
    /// The model that is trained, if it is from a folder.
    pub encoder: Option<Encoder>,
    /// The further models.
    pub models: BTreeMap<String, Encoder>,
    /// Those of the further models that score pairs of texts and embed none.
    pub cross_encoders: BTreeMap<String, CrossEncoder>,
    /// The files that settings name.
    pub files: Files,
}

/// Loads the data and pins the plugins.
///
/// # Errors
/// If something cannot be read or a plugin is gone.
pub fn compile(experiment: &Experiment, host: &Host) -> Result<(Plan, Inputs), Error> {
    let data = load(experiment)?;
    let mut pins = BTreeMap::new();
    let mut other = Vec::new();
    let foreign = load_foreign(experiment, &data, &mut pins)?;
    for (name, source) in &experiment.data.other {
        if foreign.iter().any(|(one, _)| one == name) {
            continue;
        }
        let (documents, fingerprint) = orchestrator_data::load_documents(source)?;
        pins.insert(format!("data.other.{name}"), fingerprint);
        other.push((name.clone(), documents));
    }
    let mut encoder = None;
    if let Given::Transformer(transformer) = &experiment.encoder {
        let loaded = load_encoder(transformer)?;
        check_dims(experiment, &loaded)?;
        pin_folder(&mut pins, "model.encoder", &transformer.folder)?;
        encoder = Some(loaded);
    }
    let (models, cross_encoders) = load_models(experiment, &mut pins)?;
    check_teacher(experiment, host, &cross_encoders)?;
    let mut files = Files::new();
    for (name, path) in &experiment.files {
        let bytes = std::fs::read(path).map_err(|why| {
            Diagnostic::new(Kind::Data, format!("cannot read `{}`", path.display()))
                .note(why.to_string())
                .help("a setting of the experiment names this file")
        })?;
        pins.insert(format!("file {name}"), sha256(&bytes));
        files.insert(name.clone(), bytes);
    }
    let plugins = experiment
        .steps()
        .into_iter()
        .map(|(kind, step)| {
            let info: &PluginInfo = host
                .find(kind, &step.plugin)
                .map(orchestrator_plugin_host::Plugin::info)
                .ok_or_else(|| {
                    Error::Changed(format!("the plugin `{}` is not there", step.plugin))
                })?;
            Ok(PluginUsed {
                name: step.name.clone(),
                id: info.id.clone(),
                kind,
                version: info.version.clone(),
                sha256: info.sha256.clone(),
            })
        })
        .collect::<Result<_, Error>>()?;
    let plan = Plan {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        experiment: placeless(experiment),
        data_fingerprint: data.fingerprint.clone(),
        pins,
        plugins,
    };
    let inputs = Inputs {
        data,
        other,
        foreign,
        encoder,
        models,
        cross_encoders,
        files,
    };
    Ok((plan, inputs))
}

/// Loads and pins the corpora that slices of the evaluation are of. None may hold a document of the corpus that is trained on.
fn load_foreign(
    experiment: &Experiment,
    data: &Dataset,
    pins: &mut BTreeMap<String, String>,
) -> Result<Vec<(String, Dataset)>, Error> {
    let mut foreign = Vec::new();
    for slice in &experiment.evaluate.slices {
        let EvaluationSlice::CrossDomain { corpora, claims } = slice else {
            continue;
        };
        let own: BTreeSet<String> = data.documents.iter().map(Document::full_text).collect();
        for (name, source) in &experiment.data.other {
            if !corpora.contains(name) {
                continue;
            }
            let other = orchestrator_data::load_claims(source, claims)?;
            let texts = other.documents.iter().map(Document::full_text);
            let shared = texts.filter(|text| own.contains(text)).count();
            if shared > 0 {
                let message = format!(
                    "{shared} documents of `{name}` are documents of the corpus that is trained on: `cross_domain` is to score \
                     what training has not seen"
                );
                let told = Diagnostic::new(Kind::Data, message)
                    .help("give another corpus, or train on fewer fields of the built-in one");
                return Err(Error::At(format!("/data/other/{name}"), Box::new(told)));
            }
            pins.insert(format!("data.other.{name}"), other.fingerprint.clone());
            foreign.push((name.clone(), other));
        }
    }
    Ok(foreign)
}

/// The further models: those that embed texts, and those that score pairs.
type Models = (BTreeMap<String, Encoder>, BTreeMap<String, CrossEncoder>);

/// Loads and pins the further models.
fn load_models(
    experiment: &Experiment,
    pins: &mut BTreeMap<String, String>,
) -> Result<Models, Error> {
    let (mut models, mut cross_encoders) = (BTreeMap::new(), BTreeMap::new());
    for (name, path) in &experiment.models {
        let at = format!("/models/{name}");
        let label = experiment.labels.get(name).map(String::as_str);
        if CrossEncoder::is_in(path) {
            let loaded = CrossEncoder::load(path, None, transformer::Precision::F32, label);
            let loaded = loaded.map_err(|error| {
                let help = "this folder is a cross-encoder, of Hugging Face's sequence classification; where it has several labels, \
                    one is named: { folder: FOLDER, label: NAME }";
                let told = Diagnostic::new(Kind::Data, error.to_string()).help(help);
                Error::At(at, Box::new(told))
            })?;
            pin_folder(pins, &format!("models.{name}"), path)?;
            cross_encoders.insert(name.clone(), loaded);
            continue;
        }
        let encoder = load_folder(path, &transformer::Options::default(), &at)?;
        if let Some(label) = label {
            let message = format!("only a cross-encoder has labels, such as `{label}`");
            let told = Diagnostic::new(Kind::Experiment, message).help(
                "a folder whose config.json names an architecture …ForSequenceClassification is one",
            );
            return Err(Error::At(format!("{at}/label"), Box::new(told)));
        }
        match &encoder {
            Encoder::Static(encoder) => {
                let table: Vec<u8> = encoder
                    .table()
                    .iter()
                    .flat_map(|one| one.to_le_bytes())
                    .collect();
                let pieces = [encoder.tokenizer_json().as_bytes(), table.as_slice()];
                pins.insert(
                    format!("models.{name}"),
                    orchestrator_data::fingerprint(pieces),
                );
            }
            Encoder::Transformer(_) => pin_folder(pins, &format!("models.{name}"), path)?,
        }
        models.insert(name.clone(), encoder);
    }
    Ok((models, cross_encoders))
}

/// A cross-encoder teaches by scores alone.
fn check_teacher(
    experiment: &Experiment,
    host: &Host,
    cross_encoders: &BTreeMap<String, CrossEncoder>,
) -> Result<(), Error> {
    let teacher = experiment.train.teacher.as_ref();
    let Some(name) = teacher.filter(|name| cross_encoders.contains_key(*name)) else {
        return Ok(());
    };
    let guided = experiment.train.losses.iter().find(|loss| {
        let plugin = host.find(PluginKind::Loss, &loss.step.plugin);
        let mut asked = plugin.iter().flat_map(|plugin| &plugin.info().services);
        asked.any(|one| one == service::TEACHER)
    });
    guided.map_or(Ok(()), |loss| {
        let message = format!(
            "`{}` is guided by a second model, and {name}, a cross-encoder, has no embeddings",
            loss.step.name
        );
        let told = Diagnostic::new(Kind::Experiment, message)
            .help("for example teacher: initial, or a model that embeds, named under `models:`");
        Err(Error::At("/train/teacher".to_owned(), Box::new(told)))
    })
}

/// Loads the model that is trained.
pub(crate) fn load_encoder(given: &Transformer) -> Result<Encoder, Error> {
    let options = transformer::Options {
        max_tokens: given.max_tokens,
        precision: precision(given),
        dropout: given.dropout as f32,
        freeze: given.freeze,
        lora: given.lora.map(|lora| transformer::Lora {
            rank: lora.rank,
            alpha: lora.alpha as f32,
        }),
    };
    load_folder(&given.folder, &options, "/model/encoder/transformer")
}

pub(crate) fn precision(given: &Transformer) -> transformer::Precision {
    match given.precision {
        Precision::F32 => transformer::Precision::F32,
        Precision::Bf16 => transformer::Precision::Bf16,
        Precision::Int8 => transformer::Precision::Int8,
    }
}

/// What is to be said of a precision that this processor does not have: f32 is used in its place.
#[must_use]
pub fn note_on_precision(precision: transformer::Precision) -> Option<&'static str> {
    note_on(precision, orchestrator_model::kernels::has_bf16())
}

fn note_on(precision: transformer::Precision, has_bf16: bool) -> Option<&'static str> {
    (precision == transformer::Precision::Bf16 && !has_bf16)
        .then_some("this processor has no instruction for bfloat16: f32 is used in its place")
}

/// Loads a model folder that the experiment names at a place.
fn load_folder(path: &Path, options: &transformer::Options, at: &str) -> Result<Encoder, Error> {
    let placed = |diagnostic| Error::At(at.to_owned(), Box::new(diagnostic));
    if !path.is_dir() {
        let missing = format!("there is no model folder `{}`", path.display());
        return Err(placed(Diagnostic::new(Kind::Data, missing).help(
            "give a folder of sentence-transformers or Hugging Face, or the folder `model` of a run; \
             orchestrator model pull NAME downloads one",
        )));
    }
    Encoder::load(path, options).map_err(|error| {
        placed(Diagnostic::new(Kind::Data, error.to_string()).help(
            "give a folder of sentence-transformers or Hugging Face, or the folder `model` of a run",
        ))
    })
}

/// The lengths that losses are computed on are no longer than an embedding.
fn check_dims(experiment: &Experiment, encoder: &Encoder) -> Result<(), Error> {
    let dim = encoder.dim();
    let long = experiment
        .train
        .matryoshka
        .iter()
        .position(|one| one.dim > dim);
    long.map_or(Ok(()), |place| {
        let given = experiment.train.matryoshka[place].dim;
        let message = format!("`dim` must be from 1 to {dim}, the encoder's, not {given}");
        let at = format!("/train/matryoshka/{place}");
        Err(Error::At(
            at,
            Box::new(Diagnostic::new(Kind::Experiment, message)),
        ))
    })
}

/// Pins the files of a model folder by what is in them: those that can be read when it is loaded, in it and in its modules'
/// folders.
fn pin_folder(pins: &mut BTreeMap<String, String>, name: &str, folder: &Path) -> Result<(), Error> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, Error> {
        let unreadable = |why| Error::File {
            what: "read the model folder",
            path: folder.to_owned(),
            why,
        };
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        paths.map_err(unreadable)
    };
    let mut files = Vec::new();
    for path in list(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // `1_Pooling`, `2_Dense`: other folders hold the same weights in other forms.
        if path.is_dir() && name.starts_with(|c: char| c.is_ascii_digit()) {
            files.extend(list(&path)?);
        } else {
            files.push(path);
        }
    }
    for path in files {
        let kind = path.extension().unwrap_or_default().to_string_lossy();
        if !["json", "txt", "model", "safetensors"].contains(&kind.as_ref()) || !path.is_file() {
            continue;
        }
        let hash = hash_file(&path).map_err(|why| Error::File {
            what: "read the model file",
            path: path.clone(),
            why,
        })?;
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        let inside = inside.to_string_lossy().replace('\\', "/");
        pins.insert(format!("{name}/{inside}"), hash);
    }
    Ok(())
}

/// SHA-256 of a file, read in pieces: weights may be large.
fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Where things lie and run is no part of the plan: the same run elsewhere has the same plan. See [`Origin`].
fn placeless(experiment: &Experiment) -> Experiment {
    fn shorten(path: &mut PathBuf) {
        *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    }
    let mut placeless = experiment.clone();
    placeless.plugins.clear();
    placeless.isolation.clear();
    placeless.templates = None;
    let corpora =
        std::iter::once(&mut placeless.data.corpus).chain(placeless.data.other.values_mut());
    for source in corpora {
        if let Source::Scifact { path } = source {
            shorten(path);
        }
    }
    if let Given::Transformer(transformer) = &mut placeless.encoder {
        transformer.folder = transformer.name().into();
    }
    for folder in placeless.models.values_mut() {
        *folder = model_name(folder).into();
    }
    placeless.files.values_mut().for_each(shorten);
    if let Some(chat) = &mut placeless.chat {
        chat.base_url.clear();
        chat.cache = None;
    }
    placeless
}

/// The data of an experiment, its validation share held out.
pub(crate) fn load(experiment: &Experiment) -> Result<Dataset, Error> {
    let mut data = orchestrator_data::load(
        &experiment.data.corpus,
        &experiment.data.train,
        experiment.data.test.as_deref(),
    )?;
    data.exclude_leaks();
    data.hold_out(experiment.seed, experiment.data.validation_share);
    Ok(data)
}

impl Plan {
    /// As `plan.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// SHA-256 of `plan.json`.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(self.to_json().as_bytes())
    }

    /// The folder a run of it gets by default: name and a short hash of the plan.
    #[must_use]
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.experiment.name, &self.hash()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::{note_on, transformer::Precision};

    #[test]
    fn f32_in_place_of_bf16_is_told() {
        for (precision, has_bf16, told) in [
            (Precision::Bf16, false, true),
            (Precision::Bf16, true, false),
            (Precision::F32, false, false),
            (Precision::Int8, false, false),
        ] {
            let note = note_on(precision, has_bf16);
            assert_eq!(note.is_some(), told, "{precision:?}, {has_bf16}");
        }
    }
}
