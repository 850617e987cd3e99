//! `isolation:` beside a plugin's settings, or for all that were not shipped: in which process it runs.

use orchestrator_diagnostics::{Diagnostic, Kind as Problem};
use orchestrator_plugin_host::{Isolation, Limits, PluginInfo};

use crate::node::{Data, Node};
use crate::reader::{Fields, Reader, describe};

/// A process with less cannot even load a plugin.
const LEAST_MEMORY_MIB: usize = 64;

impl Reader<'_> {
    /// `none`, `process`, or `{ process: { timeout: 60, memory_mib: 2048 } }`; `default` if it is not said.
    pub(crate) fn isolation(&self, fields: &Fields<'_>, default: Isolation) -> Option<Isolation> {
        let Some(node) = fields.get("isolation") else {
            return Some(default);
        };
        match &node.data {
            Data::Map(entries) => match entries.as_slice() {
                [entry] if entry.key == "process" => {
                    let path = format!("{}/process", fields.join("isolation"));
                    self.limits(&entry.value, &path).map(Isolation::Process)
                }
                _ => self.no_isolation(node),
            },
            Data::Text(_) => self.word_of(
                node,
                "isolation",
                &[
                    ("none", Isolation::None),
                    ("process", Isolation::Process(Limits::default())),
                ],
            ),
            _ => self.no_isolation(node),
        }
    }

    fn no_isolation(&self, node: &Node) -> Option<Isolation> {
        self.push(
            Diagnostic::new(
                Problem::Experiment,
                format!("`isolation` cannot be {}", describe(node)),
            )
            .at(node.place.location())
            .help("none, process, or { process: { timeout: 60, memory_mib: 2048 } }"),
        );
        None
    }

    fn limits(&self, node: &Node, path: &str) -> Option<Limits> {
        let default = Limits::default();
        if matches!(node.data, Data::Null) {
            return Some(default);
        }
        let fields = self.fields(node, path, &["timeout", "memory_mib"])?;
        let own = Some(&fields);
        let timeout = self.whole(own, "timeout", default.timeout as usize, 1);
        let memory_mib = self.whole(
            own,
            "memory_mib",
            default.memory_mib as usize,
            LEAST_MEMORY_MIB,
        );
        Some(Limits {
            timeout: timeout? as u64,
            memory_mib: memory_mib? as u64,
        })
    }

    /// Notes in which process the step `name` runs: what its own key says, else what the experiment says of plugins that
    /// were not shipped.
    pub(crate) fn isolate(&self, name: &str, plugin: &PluginInfo, own: &Fields<'_>) -> Option<()> {
        let default = if plugin.shipped {
            Isolation::None
        } else {
            self.isolation
        };
        let isolation = self.isolation(own, default)?;
        if isolation != Isolation::None {
            self.isolated
                .borrow_mut()
                .insert(name.to_owned(), isolation);
        }
        Some(())
    }
}
