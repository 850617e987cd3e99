//! What may not become a negative of an anchor: its known positives, by document and by the words of their texts, and
//! what it has as a negative already.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use orchestrator_plugin::{Corpus, Document, Judgements};

use crate::evidence;

/// Why something may not become a negative: the counter of what was dropped.
pub(crate) type Why = &'static str;

const KNOWN: Why = "dropped: known positive";
const SAME_AS_KNOWN: Why = "dropped: same text as a known positive";
const JUDGED: Why = "dropped: judged for this anchor";
const EMPTY: Why = "dropped: empty document";
const TWICE: Why = "dropped: same text twice";

/// Texts that differ in case and spaces only are the same.
pub(crate) fn normalised(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Equal for equal texts; unequal texts are told apart by comparing them where theirs are equal.
fn fingerprint(normalised: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    normalised.hash(&mut hash);
    hash.finish()
}

/// The documents, and of each a fingerprint of its words, made when first asked for.
pub(crate) struct Documents<'a> {
    corpus: Corpus<'a>,
    fingerprints: Vec<OnceCell<u64>>,
    /// The fingerprint of a document without words.
    empty: u64,
}

impl<'a> Documents<'a> {
    pub fn of(corpus: Corpus<'a>) -> Self {
        let fingerprints = vec![OnceCell::new(); corpus.len()];
        Self {
            corpus,
            fingerprints,
            empty: fingerprint(""),
        }
    }

    pub fn len(&self) -> usize {
        self.corpus.len()
    }

    pub fn get(&self, number: i64) -> Document<'a> {
        self.corpus.document(number as usize)
    }

    /// Title and sentences.
    pub fn text(&self, number: i64) -> String {
        self.get(number).full_text()
    }

    fn fingerprint(&self, number: i64) -> u64 {
        *self.fingerprints[number as usize]
            .get_or_init(|| fingerprint(&normalised(&self.text(number))))
    }
}

/// Who may still become a negative of one anchor.
pub(crate) struct Admission<'d, 'a> {
    documents: &'d Documents<'a>,
    relevant: BTreeSet<i64>,
    judged: BTreeSet<i64>,
    pass_judged: bool,
    /// Normal forms of the texts of its positives: abstracts, rationale sets, sentences of evidence.
    positive_texts: BTreeMap<u64, String>,
    admitted: BTreeMap<u64, Admitted>,
}

enum Admitted {
    Document(i64),
    Text(String),
}

impl<'d, 'a> Admission<'d, 'a> {
    pub fn of(anchor: i64, judgements: &Judgements<'_>, documents: &'d Documents<'a>) -> Self {
        let (mut relevant, mut judged) = (BTreeSet::new(), BTreeSet::new());
        let mut positive_texts = BTreeMap::new();
        for one in judgements.of(anchor) {
            judged.insert(one.document);
            if !one.relevant {
                continue;
            }
            let document = documents.get(one.document);
            let sentences = evidence::sentences(&document, &one);
            let mut remember = |text: String| {
                if !text.is_empty() {
                    positive_texts.insert(fingerprint(&text), text);
                }
            };
            if relevant.insert(one.document) {
                remember(normalised(&document.full_text()));
            }
            remember(normalised(&evidence::joined(&sentences)));
            for (_, sentence) in sentences {
                remember(normalised(sentence));
            }
        }
        Self {
            documents,
            relevant,
            judged,
            pass_judged: true,
            positive_texts,
            admitted: BTreeMap::new(),
        }
    }

    /// Also turns away documents that were judged not to be relevant.
    pub fn without_judged(mut self) -> Self {
        self.pass_judged = false;
        self
    }

    /// The known relevant documents, in order.
    pub fn positives(&self) -> &BTreeSet<i64> {
        &self.relevant
    }

    /// Every document judged, in order.
    pub fn judged(&self) -> &BTreeSet<i64> {
        &self.judged
    }

    /// Whether a whole document may become a negative, and why not.
    pub fn refuses(&self, number: i64) -> Result<(), Why> {
        if self.relevant.contains(&number) {
            return Err(KNOWN);
        }
        if !self.pass_judged && self.judged.contains(&number) {
            return Err(JUDGED);
        }
        // Texts are made only where fingerprints meet.
        let fingerprint = self.documents.fingerprint(number);
        if fingerprint == self.documents.empty {
            return Err(EMPTY);
        }
        match self.positive_texts.get(&fingerprint) {
            Some(known) if *known == normalised(&self.documents.text(number)) => Err(SAME_AS_KNOWN),
            _ => Ok(()),
        }
    }

    /// Lets a whole document in as a negative, once.
    pub fn document(&mut self, number: i64) -> Result<(), Why> {
        self.refuses(number)?;
        let fingerprint = self.documents.fingerprint(number);
        if let Some(there) = self.admitted.get(&fingerprint)
            && there.says(&normalised(&self.documents.text(number)), self.documents)
        {
            return Err(TWICE);
        }
        self.admitted
            .insert(fingerprint, Admitted::Document(number));
        Ok(())
    }

    /// Whether a passage says what a known positive says.
    pub fn says_known(&self, text: &str) -> bool {
        let text = normalised(text);
        self.positive_texts.get(&fingerprint(&text)) == Some(&text)
    }

    /// Lets a passage in as a negative, once.
    pub fn text(&mut self, text: &str) -> Result<(), Why> {
        let text = normalised(text);
        if text.is_empty() {
            return Err(EMPTY);
        }
        let fingerprint = fingerprint(&text);
        if self.positive_texts.get(&fingerprint) == Some(&text) {
            return Err(SAME_AS_KNOWN);
        }
        let there = self.admitted.get(&fingerprint);
        if there.is_some_and(|one| one.says(&text, self.documents)) {
            return Err(TWICE);
        }
        self.admitted.insert(fingerprint, Admitted::Text(text));
        Ok(())
    }
}

impl Admitted {
    fn says(&self, normal: &str, documents: &Documents<'_>) -> bool {
        match self {
            Self::Document(number) => normalised(&documents.text(*number)) == normal,
            Self::Text(text) => text == normal,
        }
    }
}
