//! What a plugin says of itself, and the checks it passes before anybody believes it: the same over a descriptor in this
//! process and over what a child says that has read it.

use std::path::PathBuf;

use orchestrator_plugin_abi as abi;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Proposes samples.
    Sampler,
    /// Chooses from a pool (a sampler of the ABI, with the ability to select).
    Selector,
    /// Makes samples out of samples.
    Augmenter,
    /// Keeps or drops samples.
    Filter,
    /// Gives a number and a gradient.
    Loss,
}

impl Kind {
    /// As the word in a message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Selector => "selector",
            Self::Augmenter => "augmenter",
            Self::Filter => "filter",
            Self::Loss => "loss",
        }
    }
}

/// What a plugin says of itself, checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Reverse DNS.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// Semantic version.
    pub version: String,
    /// For people.
    pub name: String,
    /// One line.
    pub summary: String,
    /// SPDX expression.
    pub licence: String,
    /// May be empty.
    pub url: String,
    /// JSON Schema of its settings.
    pub schema: Value,
    /// Host services it cannot work without.
    pub services: Vec<String>,
    /// Equal seed and input give equal output.
    pub deterministic: bool,
    /// One instance may be called from several threads at once.
    pub concurrent: bool,
    /// It came with the product.
    pub shipped: bool,
    /// The file it is from.
    pub library: PathBuf,
    /// SHA-256 of that file.
    pub sha256: String,
}

impl PluginInfo {
    /// The last part of the id, which an experiment may use.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.rsplit('.').next().unwrap_or(&self.id)
    }

    /// Its descriptor's flags.
    pub(crate) fn flags(&self) -> u32 {
        let set = |flag, set| if set { flag } else { 0 };
        set(abi::flag::DETERMINISTIC, self.deterministic)
            | set(abi::flag::CONCURRENT, self.concurrent)
    }

    /// The place, among `all`, of the plugin of a kind with that id, or with that last part of its id if only one has it.
    pub fn find<'p>(
        all: impl Iterator<Item = &'p Self> + Clone,
        kind: Kind,
        name: &str,
    ) -> Option<usize> {
        let of_kind = all.enumerate().filter(|(_, one)| one.kind == kind);
        if let Some((exact, _)) = of_kind.clone().find(|(_, one)| one.id == name) {
            return Some(exact);
        }
        let mut short = of_kind.filter(|(_, one)| one.short() == name);
        short
            .next()
            .filter(|_| short.next().is_none())
            .map(|(place, _)| place)
    }
}

/// What a descriptor says, nothing of it checked but that it is text.
pub(crate) struct RawInfo {
    pub flags: u32,
    pub id: String,
    pub version: String,
    pub name: String,
    pub summary: String,
    pub licence: String,
    pub url: String,
    pub schema: String,
    pub services: String,
}

impl RawInfo {
    /// # Safety
    /// The strings of `raw` must be valid.
    pub unsafe fn read(raw: &abi::Descriptor, index: u32) -> Result<Self, String> {
        let text = |text: abi::Str, what: &str| {
            // SAFETY: the caller promises it.
            std::str::from_utf8(unsafe { text.bytes() })
                .map(str::to_owned)
                .map_err(|_| format!("the {what} of plugin {index} is not UTF-8"))
        };
        Ok(Self {
            flags: raw.flags,
            id: text(raw.id, "id")?,
            version: text(raw.version, "version")?,
            name: text(raw.name, "name")?,
            summary: text(raw.summary, "summary")?,
            licence: text(raw.licence, "licence")?,
            url: text(raw.url, "url")?,
            schema: text(raw.config_schema, "schema")?,
            services: text(raw.requires_services, "list of services")?,
        })
    }

    /// What it says, if that can be. The kind is for the caller to put in.
    pub fn check(self, index: usize) -> Result<PluginInfo, String> {
        let id = self.id;
        let well_formed = id.split('.').count() >= 2
            && id.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            });
        if !well_formed {
            return Err(format!(
                "plugin {index} has the id `{id}`, which is not reverse DNS"
            ));
        }
        let schema: Value = serde_json::from_str(&self.schema)
            .map_err(|error| format!("the config schema of `{id}` is not JSON: {error}"))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(format!(
                "the config schema of `{id}` is not that of an object"
            ));
        }
        let services: Vec<String> = self
            .services
            .split(' ')
            .filter(|service| !service.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(unknown) = services
            .iter()
            .find(|service| !abi::service::ALL.contains(&service.as_str()))
        {
            return Err(format!(
                "`{id}` requires the service `{unknown}`, which this version does not have"
            ));
        }
        Ok(PluginInfo {
            kind: Kind::Sampler,
            version: self.version,
            name: self.name,
            summary: self.summary,
            licence: self.licence,
            url: self.url,
            schema,
            services,
            deterministic: self.flags & abi::flag::DETERMINISTIC != 0,
            concurrent: self.flags & abi::flag::CONCURRENT != 0,
            shipped: false,
            library: PathBuf::new(),
            sha256: String::new(),
            id,
        })
    }
}

/// Whether a JSON pointer leads to a setting of a schema, as far as the schema says what there is.
pub(crate) fn declares(schema: &Value, pointer: &str) -> bool {
    let mut place = schema;
    for part in pointer.split('/').skip(1) {
        let Some(properties) = place.get("properties") else {
            return true;
        };
        match properties.get(part) {
            Some(inner) => place = inner,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::declares;

    #[test]
    fn a_setting_is_declared_where_the_schema_has_it_or_leaves_it_open() {
        let schema = json!({ "type": "object", "properties": {
            "margin": { "type": "object", "properties": { "relative": {} } },
            "any": { "type": "object" },
        } });
        for (pointer, declared) in [
            ("", true),
            ("/margin", true),
            ("/margin/relative", true),
            ("/margin/absolute", false),
            ("/any/thing", true),
            ("/secret", false),
        ] {
            assert_eq!(declares(&schema, pointer), declared, "{pointer}");
        }
        assert!(declares(&json!({ "type": "object" }), "/free"));
    }
}
