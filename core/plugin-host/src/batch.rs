//! A training step as a loss is handed it.

use orchestrator_plugin_abi as abi;

/// A training step: every distinct text once, rows and groups over them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Length of an embedding.
    pub dim: usize,
    /// `[texts, dim]`, row-major.
    pub embeddings: Vec<f32>,
    /// `[rows]` text index of the row's anchor.
    pub row_anchor: Vec<u32>,
    /// `[rows]` text index of the row's candidate.
    pub row_text: Vec<u32>,
    /// `[rows]` 0..1.
    pub row_label: Vec<f32>,
    /// `[rows]` > 0.
    pub row_weight: Vec<f32>,
    /// `[rows]` teacher scores, or empty.
    pub row_teacher: Vec<f32>,
    /// `[groups]` text index.
    pub group_anchor: Vec<u32>,
    /// `[groups + 1]` into `positive_rows`.
    pub positive_offsets: Vec<u64>,
    /// Row numbers.
    pub positive_rows: Vec<u32>,
    /// `[groups + 1]` into `negative_rows`.
    pub negative_offsets: Vec<u64>,
    /// Row numbers.
    pub negative_rows: Vec<u32>,
    /// `[groups, texts]`: 1 where the text is a known positive of the group's anchor.
    pub known_relevant: Vec<u8>,
}

impl Batch {
    /// How many texts it has.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.embeddings.len() / self.dim.max(1)
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.row_text.len()
    }

    /// # Panics
    /// If its arrays are not of one shape.
    pub(crate) fn assert_shape(&self) {
        let (rows, groups) = (self.rows(), self.group_anchor.len());
        assert_eq!(
            self.known_relevant.len(),
            groups * self.texts(),
            "known_relevant [groups, texts]"
        );
        assert_eq!(
            self.positive_offsets.len(),
            groups + 1,
            "positive_offsets [groups + 1]"
        );
        assert_eq!(
            self.negative_offsets.len(),
            groups + 1,
            "negative_offsets [groups + 1]"
        );
        for column in [
            self.row_anchor.len(),
            self.row_label.len(),
            self.row_weight.len(),
        ] {
            assert_eq!(column, rows, "one value a row");
        }
    }

    /// What a plugin is handed: valid as long as the batch.
    pub(crate) fn lend(&self) -> abi::LossBatch {
        abi::LossBatch {
            struct_size: size_of::<abi::LossBatch>() as u32,
            reserved: 0,
            n_texts: self.texts() as u64,
            dim: self.dim as u64,
            n_rows: self.rows() as u64,
            n_groups: self.group_anchor.len() as u64,
            embeddings: self.embeddings.as_ptr(),
            row_anchor: self.row_anchor.as_ptr(),
            row_text: self.row_text.as_ptr(),
            row_label: self.row_label.as_ptr(),
            row_weight: self.row_weight.as_ptr(),
            row_teacher: if self.row_teacher.is_empty() {
                std::ptr::null()
            } else {
                self.row_teacher.as_ptr()
            },
            group_anchor: self.group_anchor.as_ptr(),
            positive_offsets: self.positive_offsets.as_ptr(),
            positive_rows: self.positive_rows.as_ptr(),
            negative_offsets: self.negative_offsets.as_ptr(),
            negative_rows: self.negative_rows.as_ptr(),
            known_relevant: self.known_relevant.as_ptr(),
        }
    }
}
