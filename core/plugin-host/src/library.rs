//! A plugin library: opened, checked, described.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use orchestrator_plugin_abi as abi;
use serde_json::Value;

use crate::call::{Calling, Context};
use crate::error::Error;
use crate::info::{Kind, PluginInfo, RawInfo, declares};
use crate::instance::Instance;
use crate::isolated::{self, ChildCommand, Isolation, Remote};
use crate::local::Local;

/// The vtable of an ability, checked to be complete.
#[derive(Clone, Copy)]
pub(crate) enum Ability {
    Sampler(&'static abi::Sampler),
    Select(&'static abi::Select),
    Augmenter(&'static abi::Augmenter),
    Filter(&'static abi::Filter),
    Loss(&'static abi::Loss),
}

/// The functions of a plugin. Its library is never unloaded, so they live as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub create:
        unsafe extern "C" fn(*const abi::Call, abi::Str, abi::Str, *mut *mut c_void) -> abi::Status,
    pub destroy: unsafe extern "C" fn(*mut c_void),
    pub ability: Ability,
}

/// A plugin that can be instantiated.
pub struct Plugin {
    info: PluginInfo,
    /// The copy that is loaded.
    copy: PathBuf,
    /// How a process for it is started, if there can be one.
    children: Option<Arc<ChildCommand>>,
    /// Once its library is open in this process.
    functions: OnceLock<Result<Functions, Error>>,
}

impl Plugin {
    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// Makes an instance in this process, called `name` in messages, from settings its schema accepts.
    ///
    /// # Errors
    /// If it refuses them.
    pub fn create(&self, name: &str, settings: &Value, seed: u64) -> Result<Instance, Error> {
        self.create_in(Isolation::None, name, settings, seed)
    }

    /// Makes an instance, called `name` in messages, where `isolation` says.
    ///
    /// # Errors
    /// If it refuses the settings, or there can be no process for it.
    pub fn create_in(
        &self,
        isolation: Isolation,
        name: &str,
        settings: &Value,
        seed: u64,
    ) -> Result<Instance, Error> {
        let id = &self.info.id;
        let made = match isolation {
            Isolation::None => {
                let context = Context {
                    seed,
                    ..Context::default()
                };
                let calling = Calling::here(&context);
                Local::create(name, self.functions()?, id, settings, calling)
                    .map(|local| Instance::here(name, local))
            }
            Isolation::Process(limits) => {
                let command = self.children.as_deref().ok_or_else(|| Error::Isolation {
                    plugin: name.to_owned(),
                    why: "this program has not said how a process is started".to_owned(),
                })?;
                let files = (name, &*self.info.library, &*self.copy);
                Remote::create(command, files, id, settings, seed, limits)
                    .map(|remote| Instance::in_child(name, remote))
            }
        };
        made.map_err(|error| self.about_declared_settings(error, settings))
    }

    /// Nobody can know of a setting that the schema does not have: a plugin that misses one is at fault, not the experiment.
    fn about_declared_settings(&self, error: Error, settings: &Value) -> Error {
        match error {
            Error::Config {
                plugin,
                pointer,
                message,
            } if settings.pointer(&pointer).is_none() && !declares(&self.info.schema, &pointer) => {
                Error::Violation {
                    plugin,
                    call: "create",
                    what: format!(
                        "it wants the setting `{pointer}`, which its schema does not declare: {message}"
                    ),
                }
            }
            other => other,
        }
    }

    /// Its functions in this process, where its library is opened now if it is not open yet.
    pub(crate) fn functions(&self) -> Result<Functions, Error> {
        let open = || {
            let plugins = open(&self.info.library, &self.copy)?;
            let ours = plugins
                .into_iter()
                .find(|(info, _)| info.id == self.info.id);
            ours.map(|(_, functions)| functions)
                .ok_or_else(|| Error::Descriptor {
                    path: self.info.library.clone(),
                    why: format!("`{}` is in it only now and then", self.info.id),
                })
        };
        self.functions.get_or_init(open).clone()
    }
}

/// Everything about the plugins of a library, got by opening its copy in this process.
pub(crate) fn opened(
    file: &Path,
    copy: &Path,
    (hash, shipped): (&str, bool),
    children: Option<&Arc<ChildCommand>>,
) -> Result<Vec<Plugin>, Error> {
    let plugin = |(info, functions)| Plugin {
        info: PluginInfo {
            shipped,
            ..placed(info, file, hash)
        },
        copy: copy.to_owned(),
        children: children.cloned(),
        functions: OnceLock::from(Ok(functions)),
    };
    Ok(open(file, copy)?.into_iter().map(plugin).collect())
}

/// The same, got from a child that opens it: nothing of the library runs here.
pub(crate) fn described(
    file: &Path,
    copy: &Path,
    hash: &str,
    children: &Arc<ChildCommand>,
) -> Result<Vec<Plugin>, Error> {
    let told = isolated::describe(children, file, copy)?;
    let plugin = |(index, (kind, raw)): (usize, (Kind, RawInfo))| {
        let info = raw.check(index).map_err(|why| Error::Descriptor {
            path: file.to_owned(),
            why,
        })?;
        Ok(Plugin {
            info: placed(PluginInfo { kind, ..info }, file, hash),
            copy: copy.to_owned(),
            children: Some(children.clone()),
            functions: OnceLock::new(),
        })
    };
    told.into_iter().enumerate().map(plugin).collect()
}

fn placed(info: PluginInfo, file: &Path, hash: &str) -> PluginInfo {
    PluginInfo {
        library: file.to_owned(),
        sha256: hash.to_owned(),
        ..info
    }
}

/// Opens `copy`, the copy of `file`, and checks everything it says of itself.
pub(crate) fn open(file: &Path, copy: &Path) -> Result<Vec<(PluginInfo, Functions)>, Error> {
    // SAFETY: loading runs the library's initialisers. It is trusted: shipped or pinned by the user.
    let library = unsafe { load(copy) }.map_err(|error| Error::NotALibrary {
        path: file.to_owned(),
        why: error.to_string(),
    })?;
    let not_a_plugin = |why: &str| Error::NotAPlugin {
        path: file.to_owned(),
        why: why.to_owned(),
    };
    // SAFETY: the symbol is a constant of that type, checked by its magic before anything else is read.
    let entry: &'static abi::PluginEntry = unsafe {
        let symbol = library
            .get::<*const abi::PluginEntry>(abi::ENTRY_SYMBOL)
            .map_err(|_| not_a_plugin("it does not export orch_plugin_entry_v1"))?;
        symbol
            .as_ref()
            .ok_or_else(|| not_a_plugin("orch_plugin_entry_v1 is null"))?
    };
    // Never unloaded: thread-locals and statics of a Rust library do not survive it (rust-lang/rust#91979).
    std::mem::forget(library);
    if entry.magic != abi::MAGIC {
        return Err(not_a_plugin("its entry does not begin with ORCHPLUG"));
    }
    if entry.abi_major != abi::ABI_MAJOR || entry.min_host_minor > abi::ABI_MINOR {
        return Err(Error::Abi {
            path: file.to_owned(),
            theirs: format!("{}.{}", entry.abi_major, entry.min_host_minor),
            ours: format!("{}.{}", abi::ABI_MAJOR, abi::ABI_MINOR),
        });
    }
    if (entry.struct_size as usize) < size_of::<abi::PluginEntry>() {
        return Err(not_a_plugin("its entry is shorter than ABI 1.0 says"));
    }
    let (Some(init), Some(count), Some(describe), Some(create), Some(destroy), Some(extension)) = (
        entry.init,
        entry.plugin_count,
        entry.descriptor,
        entry.create,
        entry.destroy,
        entry.get_extension,
    ) else {
        return Err(not_a_plugin("a function of its entry is null"));
    };
    let wrong = |why: String| Error::Descriptor {
        path: file.to_owned(),
        why,
    };
    // SAFETY: the library's functions, called as the header says, `init` first.
    unsafe {
        let status = init();
        if status != abi::status::OK {
            return Err(not_a_plugin(&format!(
                "its init failed with status {status}"
            )));
        }
        (0..count())
            .map(|index| {
                let raw = describe(index)
                    .as_ref()
                    .ok_or_else(|| wrong(format!("descriptor {index} is null")))?;
                let info = RawInfo::read(raw, index)
                    .and_then(|info| info.check(index as usize))
                    .map_err(wrong)?;
                let get = |id: &str| extension(abi::Str::new(&info.id), abi::Str::new(id));
                let (ability, kind) = ability(raw.kind, get).ok_or_else(|| {
                    wrong(format!(
                        "plugin `{}` lacks the ability of its kind",
                        info.id
                    ))
                })?;
                let functions = Functions {
                    create,
                    destroy,
                    ability,
                };
                Ok((PluginInfo { kind, ..info }, functions))
            })
            .collect()
    }
}

#[cfg(unix)]
unsafe fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller trusts the library.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL).map(Into::into) }
}

#[cfg(not(unix))]
unsafe fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller trusts the library.
    unsafe { libloading::Library::new(path) }
}

/// The ability that a kind must have, with all its functions.
///
/// # Safety
/// `get` must be the library's, which gives vtables of the types the ids name.
unsafe fn ability(kind: u32, get: impl Fn(&str) -> *const c_void) -> Option<(Ability, Kind)> {
    // SAFETY: a vtable is null or a constant of the type its id names.
    unsafe {
        match kind {
            abi::kind::SAMPLER => {
                if let Some(table) = get(abi::ability::SAMPLER).cast::<abi::Sampler>().as_ref() {
                    table.propose?;
                    return Some((Ability::Sampler(table), Kind::Sampler));
                }
                let table = get(abi::ability::SELECT).cast::<abi::Select>().as_ref()?;
                table.select?;
                Some((Ability::Select(table), Kind::Selector))
            }
            abi::kind::AUGMENTER => {
                let table = get(abi::ability::AUGMENTER)
                    .cast::<abi::Augmenter>()
                    .as_ref()?;
                table.augment?;
                Some((Ability::Augmenter(table), Kind::Augmenter))
            }
            abi::kind::FILTER => {
                let table = get(abi::ability::FILTER).cast::<abi::Filter>().as_ref()?;
                table.judge?;
                Some((Ability::Filter(table), Kind::Filter))
            }
            abi::kind::LOSS => {
                let table = get(abi::ability::LOSS).cast::<abi::Loss>().as_ref()?;
                table.forward?;
                table.needs?;
                Some((Ability::Loss(table), Kind::Loss))
            }
            _ => None,
        }
    }
}
