//! One key word changed.

mod entities;
mod numbers;

use std::ops::Range;

use orchestrator_plugin::config::Setting;
use orchestrator_plugin::{
    Augmenter, Call, Config, Error, Random, Result, Role, Sample, Samples, Sink, abi,
};
use serde_json::{Map, Value, json};

use crate::edit::Rule;
use crate::outcome::{Positives, outcome};
use crate::reversal::reversals;
use crate::words::Words;
use entities::Entities;

/// Adversarial negatives: exactly one key word of a positive is changed, everything else stays as it is to the byte.
///
/// `number`: another amount in the same format with the same unit (a percentage stays within 100, a year a year, a share of
/// one below one, both ends of a range in order); `entity`: a gene, acronym, compound or name becomes another one of the
/// corpus of the same shape (upper and lower case, digits, hyphens) that is found nowhere in the sample or its anchor;
/// `direction`: increases becomes decreases, higher becomes lower … (as `contradict_rules` does it). Which kind and which
/// word the seed decides. Contrast sets are made so (Gardner et al. 2020, "Evaluating Models' Local Decision Boundaries via
/// Contrast Sets").
///
/// Negatives with label 0. A negative is passed over. The corpus is the one of the experiment.
#[derive(Config)]
pub struct KeywordEdit {
    /// The kinds of key word that may be changed.
    #[config(default = Kind::ALL.to_vec())]
    kinds: Vec<Kind>,
    /// Change a number or an entity only where the anchor has it too. Otherwise the changed text may still say what the
    /// anchor says.
    #[config(default = true)]
    only_shared: bool,
    /// Weight of what comes out.
    #[config(default = 1.0, above = 0)]
    weight: f32,
}

/// A kind of key word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An amount.
    Number,
    /// A name.
    Entity,
    /// A word of direction.
    Direction,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Number, Self::Entity, Self::Direction];

    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Entity => "entity",
            Self::Direction => "direction",
        }
    }
}

impl Setting for Kind {
    fn schema() -> Map<String, Value> {
        let names: Vec<Value> = Self::ALL.iter().map(|kind| kind.name().into()).collect();
        Map::from_iter([("enum".to_owned(), Value::Array(names))])
    }

    fn read(value: &Value) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| value == kind.name())
            .ok_or_else(|| Error::config("", "must be one of number, entity, direction"))
    }

    fn write(&self) -> Value {
        self.name().into()
    }
}

/// A change: the bytes replaced and what replaces them.
type Change = (Range<usize>, String);

impl KeywordEdit {
    /// A change of the first kind, in an order the seed decides, that has one.
    fn change(
        &self,
        sample: &Sample<'_>,
        entities: Option<&Entities<'_>>,
        random: &mut Random,
    ) -> Option<(Kind, Change)> {
        let words = Words::of(sample.text);
        let mut kinds = self.kinds.clone();
        while !kinds.is_empty() {
            let kind = kinds.remove(random.below(kinds.len()));
            let change = match kind {
                Kind::Number => self.number(sample, &words, random),
                Kind::Entity => self.entity(sample, &words, entities?, random),
                Kind::Direction => direction(sample, &words, random),
            };
            if let Some(change) = change {
                return Some((kind, change));
            }
        }
        None
    }

    fn number(
        &self,
        sample: &Sample<'_>,
        words: &Words<'_>,
        random: &mut Random,
    ) -> Option<Change> {
        let mut found = numbers::numbers(words);
        if self.only_shared {
            found.retain(|number| {
                numbers::has(sample.anchor_text, &sample.text[number.place.clone()])
            });
        }
        // One that cannot be changed is put aside.
        while !found.is_empty() {
            let number = found.swap_remove(random.below(found.len()));
            let new =
                |to: &str| !numbers::has(sample.text, to) && !numbers::has(sample.anchor_text, to);
            if let Some(to) = number.another(sample.text, random, new) {
                return Some((number.place, to));
            }
        }
        None
    }

    fn entity(
        &self,
        sample: &Sample<'_>,
        words: &Words<'_>,
        entities: &Entities<'_>,
        random: &mut Random,
    ) -> Option<Change> {
        let anchor = Words::of(sample.anchor_text);
        let has = |words: &Words<'_>, name: &str| (0..words.len()).any(|at| words.raw(at) == name);
        let mut found = entities::found(words);
        // Twice named, once changed: that would be two claims in one.
        found.retain(|&place| {
            let name = words.raw(place);
            let times = (0..words.len()).filter(|&at| words.raw(at) == name).count();
            times == 1 && (!self.only_shared || has(&anchor, name))
        });
        while !found.is_empty() {
            let place = found.swap_remove(random.below(found.len()));
            let unknown =
                |name: &str| !sample.text.contains(name) && !sample.anchor_text.contains(name);
            if let Some(name) = entities.another(words.raw(place), random, unknown) {
                let edit = crate::edit::replace(words, Rule::Condition, place, place, name);
                return Some((edit.from, edit.to));
            }
        }
        None
    }
}

fn direction(sample: &Sample<'_>, words: &Words<'_>, random: &mut Random) -> Option<Change> {
    words
        .by_overlap(sample.anchor_text)
        .into_iter()
        .find_map(|sentence| {
            let edits = reversals(words, &sentence, &[Rule::Direction]);
            random
                .choose(&edits)
                .map(|edit| (edit.from.clone(), edit.to.clone()))
        })
}

impl Augmenter for KeywordEdit {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS];

    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let corpus = if self.kinds.contains(&Kind::Entity) {
            Some(call.corpus()?)
        } else {
            None
        };
        let entities = corpus.as_ref().map(Entities::of);
        let positives = Positives::of(samples);
        for sample in samples.iter() {
            if sample.row % 4096 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            if sample.role == Role::Negative {
                sink.count("passed over: negative", 1);
                continue;
            }
            sink.count("asked", 1);
            let mut random = call.random(&[sample.row as u64]);
            let Some((kind, (place, to))) = self.change(&sample, entities.as_ref(), &mut random)
            else {
                sink.count("dropped: no key word to change", 1);
                continue;
            };
            let from = &sample.text[place.clone()];
            let text = format!(
                "{}{to}{}",
                &sample.text[..place.start],
                &sample.text[place.end..]
            );
            if positives.has(sample.anchor, &text) {
                sink.count("dropped: a known positive says it", 1);
                continue;
            }
            let mut candidate = outcome(&sample, Role::Negative, &text, self.weight);
            candidate.detail = json!({
                "kind": kind.name(),
                "from": from,
                "to": to,
                "start": place.start,
            })
            .to_string();
            sink.push(&candidate)?;
            sink.count("found", 1);
            sink.count(&format!("changed: {}", kind.name()), 1);
        }
        Ok(())
    }
}
