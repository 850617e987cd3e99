//! A model folder's README.md: what made the model, and how to load it, in the form that Hugging Face calls a model card.

/// What a card says. No times and no places: the same run gives the same card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    /// The experiment's name.
    pub title: String,
    /// The name of the model it was trained from, if from one.
    pub base: Option<String>,
    /// Facts in order: what, and its value.
    pub facts: Vec<(String, String)>,
}

impl Card {
    /// The text of README.md, for embeddings of length `dim`.
    #[must_use]
    pub fn to_markdown(&self, dim: usize) -> String {
        let quoted = |text: &str| format!("{text:?}");
        let base = self.base.as_deref().map_or(String::new(), |base| {
            format!("base_model: {}\n", quoted(base))
        });
        let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let rows: String = self
            .facts
            .iter()
            .map(|(what, value)| format!("| {} | {} |\n", cell(what), cell(value)))
            .collect();
        format!(
            "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\ntags: [sentence-transformers, \
             feature-extraction, orchestrator]\n{base}---\n\n# {}\n\nA sentence-transformers model: texts to vectors of {dim} \
             numbers, of unit length, compared by cosine. Trained by orchestrator.\n\n```python\nfrom sentence_transformers \
             import SentenceTransformer\n\nembeddings = SentenceTransformer(\"this/folder\").encode([\"a text\", \"another \
             text\"])\n```\n\n| | |\n|---|---|\n{rows}",
            cell(&self.title)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Card;

    #[test]
    fn a_card_says_what_made_the_model_and_from_what() {
        let card = Card {
            title: "first".to_owned(),
            base: Some("MiniLM".to_owned()),
            facts: vec![("losses".to_owned(), "mnrl | triplet".to_owned())],
        };
        let text = card.to_markdown(384);
        for part in [
            "---\nlibrary_name: sentence-transformers\n",
            "base_model: \"MiniLM\"\n---\n\n# first\n",
            "vectors of 384 numbers",
            "| losses | mnrl \\| triplet |\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!Card::default().to_markdown(1).contains("base_model"));
    }
}
