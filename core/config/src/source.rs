//! The experiment file as written: extended, overridden, substituted, but not yet understood.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind, Location};
use orchestrator_plugin_host::PluginInfo;

use crate::experiment::Experiment;
use crate::node::{Data, Node, Text};
use crate::overrides::{OVERRIDE, set};
use crate::read;

/// An experiment file with everything it extends and what the command line changes.
#[derive(Debug, Clone)]
pub struct Source {
    pub(crate) root: Node,
    pub(crate) path: PathBuf,
    /// `sweep:`, which is about the experiment and no part of it.
    pub(crate) sweep: Option<Node>,
}

impl Source {
    /// Reads `path` and what it extends, lays the files `with` over it and then `overrides` (`train.batch=64`), and puts variables (`${NAME}`,
    /// `${NAME:-default}`) in.
    ///
    /// # Errors
    /// All that keeps it from being one tree of YAML.
    pub fn load(
        path: &Path,
        with: &[PathBuf],
        overrides: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Diagnostics> {
        let mut root = read_extended(path, &mut Vec::new())?;
        for over in with {
            root.overlay(read_extended(over, &mut Vec::new())?);
        }
        let mut errors = Vec::new();
        for given in overrides {
            if let Err(diagnostic) = set(&mut root, given) {
                errors.push(diagnostic);
            }
        }
        root.each_text(&mut |node| {
            if let Err(diagnostic) = substitute(node, variable) {
                errors.push(diagnostic);
            }
        });
        Diagnostics::fail_if_any(errors)?;
        let sweep = root.take("sweep");
        Ok(Self {
            root,
            path: path.to_owned(),
            // `--set sweep=` leaves it out.
            sweep: sweep.filter(|node| !matches!(node.data, Data::Null)),
        })
    }

    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment's name, if it is a text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.root.get("name")?.data {
            Data::Text(name) => Some(name),
            _ => None,
        }
    }

    /// The libraries of `plugins:`, relative to the file that says so. What is no path there is told by
    /// [`Source::experiment`].
    #[must_use]
    pub fn plugins(&self) -> Vec<PathBuf> {
        match self.root.get("plugins").map(|node| &node.data) {
            Some(Data::List(items)) => items.iter().filter_map(relative).collect(),
            _ => Vec::new(),
        }
    }

    /// Puts folders in place of models' names: a model (`model.encoder.transformer`, those of `models`) that is no folder,
    /// relative to the file that says so, is what `find` makes of its name and of the folder that is not there.
    ///
    /// # Errors
    /// What `find` says of each, at its line.
    pub fn find_models(
        &mut self,
        find: &dyn Fn(&str, &Path) -> Result<PathBuf, Diagnostic>,
    ) -> Result<(), Diagnostics> {
        let mut errors = Vec::new();
        for keys in self.models() {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let Some(node) = self.root.under_mut(&keys) else {
                continue;
            };
            // What is no text is told by `experiment`.
            let (Data::Text(name), Some(folder)) = (&node.data, relative(node)) else {
                continue;
            };
            if name.is_empty() || folder.is_dir() {
                continue;
            }
            match find(name, &folder) {
                Ok(found) => {
                    let found = std::path::absolute(&found).unwrap_or(found);
                    node.data = Data::Text(found.to_string_lossy().into_owned());
                }
                Err(diagnostic) => errors.push(diagnostic.at(node.place.location())),
            }
        }
        Diagnostics::fail_if_any(errors)
    }

    /// The keys to each model that it names.
    fn models(&self) -> Vec<Vec<String>> {
        let trained = ["model", "encoder", "transformer"];
        let mut all = Vec::new();
        if self.root.under(&trained).is_some() {
            all.push(trained.map(str::to_owned).to_vec());
        }
        if let Some(Data::Map(entries)) = self.root.get("models").map(|node| &node.data) {
            for key in entries.iter().map(|entry| entry.key.clone()) {
                let mut keys = vec!["models".to_owned(), key.clone()];
                // A cross-encoder may be a group of its folder and a label.
                if self.root.under(&["models", &key, "folder"]).is_some() {
                    keys.push("folder".to_owned());
                }
                all.push(keys);
            }
        }
        all
    }

    /// Understands it, with the plugins there are.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn experiment(
        &self,
        plugins: &[&PluginInfo],
        looked_in: &[PathBuf],
    ) -> Result<Experiment, Diagnostics> {
        read::experiment(&self.root, plugins, looked_in)
    }

    /// Where the value at a JSON pointer stands, or the nearest above it.
    #[must_use]
    pub fn location(&self, pointer: &str) -> Location {
        self.root.at(pointer).place.location()
    }

    /// The tree as YAML: one file that says the same wherever it lies, its paths absolute. `files` are those that settings
    /// name, by the settings' values.
    #[must_use]
    pub fn to_yaml(&self, files: &BTreeMap<String, PathBuf>) -> String {
        let mut tree = self.root.to_json();
        if let Some(plugins) = tree.get_mut("plugins") {
            *plugins = serde_json::json!(self.plugins());
        }
        let mut pointers = vec![
            "/data/corpus/path".to_owned(),
            "/chat/cache".to_owned(),
            "/report/templates".to_owned(),
        ];
        pointers.extend(
            self.models()
                .iter()
                .map(|keys| format!("/{}", keys.join("/"))),
        );
        if let Some(Data::Map(entries)) = self.root.under(&["data", "other"]).map(|node| &node.data)
        {
            let keys = entries.iter().map(|entry| &entry.key);
            pointers.extend(keys.map(|key| format!("/data/other/{key}/path")));
        }
        for pointer in pointers {
            if let Some(place) = tree.pointer_mut(&pointer)
                && let Some(path) = relative(self.root.at(&pointer))
            {
                *place = serde_json::json!(path);
            }
        }
        if let Some(samples) = tree.get_mut("samples") {
            make_absolute(samples, files);
        }
        serde_yaml::to_string(&tree).unwrap_or_default()
    }
}

/// Puts the files' paths in place of the texts that name them.
fn make_absolute(tree: &mut serde_json::Value, files: &BTreeMap<String, PathBuf>) {
    match tree {
        serde_json::Value::String(text) => {
            if let Some(path) = files.get(text) {
                *tree = serde_json::json!(path);
            }
        }
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|one| make_absolute(one, files))
        }
        serde_json::Value::Object(map) => {
            map.values_mut().for_each(|one| make_absolute(one, files))
        }
        _ => {}
    }
}

/// The path a text names, relative to the file it stands in, made absolute.
pub(crate) fn relative(node: &Node) -> Option<PathBuf> {
    let Data::Text(path) = &node.data else {
        return None;
    };
    let path = Path::new(path);
    let folder = node.place.text.path.parent().unwrap_or(Path::new(""));
    // What the command line gives is relative to where the user is.
    let joined = if path.is_absolute() || is_override(&node.place.text.path) {
        path.to_owned()
    } else {
        folder.join(path)
    };
    Some(std::path::absolute(&joined).unwrap_or(joined))
}

fn is_override(path: &Path) -> bool {
    path == Path::new(OVERRIDE)
}

fn read_extended(path: &Path, above: &mut Vec<PathBuf>) -> Result<Node, Diagnostics> {
    let content = std::fs::read_to_string(path).map_err(|error| {
        let mut diagnostic = Diagnostic::new(
            Kind::Experiment,
            format!("cannot read `{}`", path.display()),
        )
        .note(error.to_string());
        if let Some(near) = nearest_file(path) {
            diagnostic = diagnostic.help(format!("did you mean `{}`?", near.display()));
        }
        diagnostic
    })?;
    let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if above.contains(&identity) {
        return Err(Diagnostic::new(
            Kind::Experiment,
            format!("`{}` extends itself", path.display()),
        )
        .help("take one `extends` out of the circle")
        .into());
    }
    above.push(identity);
    let text = Rc::new(Text {
        path: path.to_owned(),
        content,
    });
    let mut node = Node::parse(text)?;
    let Data::Map(entries) = &mut node.data else {
        return Err(Diagnostic::new(
            Kind::Experiment,
            format!("an experiment is a group of keys, this is {}", node.kind()),
        )
        .at(node.place.location())
        .help("begin with `name:`; experiments/quickstart.yaml is an example")
        .into());
    };
    let Some(place) = entries.iter().position(|entry| entry.key == "extends") else {
        return Ok(node);
    };
    let entry = entries.remove(place);
    let Some(base) = relative(&entry.value) else {
        return Err(Diagnostic::new(
            Kind::Experiment,
            format!("`extends` must be a path, not {}", entry.value.kind()),
        )
        .at(entry.value.place.location())
        .into());
    };
    if !base.is_file() {
        return Err(Diagnostic::new(
            Kind::Experiment,
            format!("cannot read `{}`", base.display()),
        )
        .at(entry.value.place.location())
        .note("the path is relative to the file that extends")
        .into());
    }
    let mut below = read_extended(&base, above)?;
    below.overlay(node);
    Ok(below)
}

/// The file beside a missing one whose name is nearest.
fn nearest_file(path: &Path) -> Option<PathBuf> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    if path.exists() {
        return None;
    }
    let near = orchestrator_diagnostics::nearest(
        path.file_name()?.to_str()?,
        names.iter().map(String::as_str),
    )?;
    Some(folder.join(near))
}

/// Puts `${NAME}` and `${NAME:-default}` in.
fn substitute(
    node: &mut Node,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Diagnostic> {
    let Data::Text(text) = &node.data else {
        return Ok(());
    };
    if !text.contains("${") {
        return Ok(());
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, behind)) = after.split_once('}') else {
            return Err(
                Diagnostic::new(Kind::Experiment, "`${` without `}`").at(node.place.location())
            );
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = variable(name).filter(|value| !value.is_empty());
        let Some(value) = value.or_else(|| default.map(str::to_owned)) else {
            return Err(Diagnostic::new(
                Kind::Experiment,
                format!("the variable {name} is not set"),
            )
            .at(node.place.location())
            .help(format!(
                "set it, as in {name}=… orchestrator run …, or give a default: ${{{name}:-…}}"
            )));
        };
        out.push_str(before);
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    node.data = Data::Text(out);
    Ok(())
}
