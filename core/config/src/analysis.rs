//! `analysis:`, what is found out about a run beside its metrics.

use serde::{Deserialize, Serialize};

use crate::reader::{Fields, Reader};

/// `analysis:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Analysis {
    /// How embeddings are laid out in the plane.
    #[serde(default)]
    pub picture: Picture,
    /// Whether topics are found in the corpus.
    #[serde(default)]
    pub topics: Topics,
    /// Whether each sample's influence on the validation share is measured, once an epoch.
    #[serde(default)]
    pub influence: Influence,
}

impl Analysis {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `picture:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// Neighbours stay neighbours (McInnes, Healy, Melville 2018).
    #[default]
    Umap,
    /// The same, with more weight on the nearest (van der Maaten, Hinton 2008).
    Tsne,
    /// The two directions of largest spread (Pearson 1901).
    Pca,
    /// None is made.
    Off,
}

/// `topics:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topics {
    /// They are, where the corpus is not too large for it.
    #[default]
    On,
    /// They are not.
    Off,
}

/// `influence:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Influence {
    /// Measured where it costs little: with a static encoder.
    #[default]
    Auto,
    /// Measured.
    On,
    /// Not measured.
    Off,
}

impl Reader<'_> {
    pub(crate) fn analysis(&self, top: &Fields<'_>) -> Option<Analysis> {
        let fields = self.group(top, "analysis", &["picture", "topics", "influence"])?;
        let picture = self.word(
            fields.as_ref(),
            "picture",
            Picture::Umap,
            &[
                ("umap", Picture::Umap),
                ("tsne", Picture::Tsne),
                ("pca", Picture::Pca),
                ("off", Picture::Off),
            ],
        );
        let topics = self.word(
            fields.as_ref(),
            "topics",
            Topics::On,
            &[("on", Topics::On), ("off", Topics::Off)],
        );
        let influence = self.word(
            fields.as_ref(),
            "influence",
            Influence::Auto,
            &[
                ("auto", Influence::Auto),
                ("on", Influence::On),
                ("off", Influence::Off),
            ],
        );
        Some(Analysis {
            picture: picture?,
            topics: topics?,
            influence: influence?,
        })
    }
}
