//! The picture: validation claims, each with the documents that are relevant to it and the nearest one that is not, and samples of the
//! pool; laid over the picture before it.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::Picture;
use orchestrator_data::Split;

use super::clusters::Rows;
use super::layout::{laid_out, name};
use super::picture::Point;
use super::umap;
use crate::driver::Driver;
use crate::error::Error;
use crate::pool::Pool;
use crate::retrieval::DenseIndex;
use crate::seed::{seed, shuffled};

/// Claims in the picture.
const MOST: usize = 300;

/// Relevant documents of a claim in it, those of the lowest numbers.
const RELEVANT: usize = 5;

/// Samples in it.
const SAMPLES: usize = 700;

/// What a picture shows.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Kind, item and place.
    pub points: Vec<(&'static str, String, Point)>,
    pub method: &'static str,
    /// How far neighbours in it are neighbours.
    pub trustworthiness: Option<f64>,
}

/// A sample that may be in it: its id, and where its text's embedding is.
pub(super) struct Candidate<'e> {
    pub id: String,
    pub embedding: &'e [f32],
}

/// Places in the pool of the samples that are in the picture, of those that are looked at.
pub(super) fn in_picture(pool: &Pool, places: &[usize], experiment_seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = places.to_vec();
    places.sort_by_key(|place| {
        let id = pool.samples[*place].view.id.0;
        (seed(experiment_seed, "picture", &[id as u64]), id)
    });
    places.truncate(SAMPLES);
    places.sort_unstable();
    places
}

impl Driver<'_> {
    /// Where everything in the picture is; empty where there is to be none.
    pub(super) fn picture(
        &self,
        index: &DenseIndex<'_>,
        samples: &[Candidate<'_>],
    ) -> Result<Shown, Error> {
        let method = self.experiment.analysis.picture;
        if method == Picture::Off {
            return Ok(Shown::default());
        }
        let qrels = self.data.qrels(Split::Validation);
        let anchors: Vec<usize> = qrels.keys().copied().collect();
        let mut anchors = shuffled(anchors, self.experiment.seed, "picture", &[]);
        anchors.truncate(MOST);
        anchors.sort_unstable();
        let most = qrels.values().map(Vec::len).max().unwrap_or_default();
        let mut documents: BTreeSet<usize> = BTreeSet::new();
        for (anchor, found) in anchors.iter().zip(index.nearest(&anchors, most + 1)) {
            let relevant = &qrels[anchor];
            documents.extend(relevant.iter().take(RELEVANT));
            let wrong = found.iter().find(|(one, _)| !relevant.contains(one));
            documents.extend(wrong.map(|(document, _)| *document));
        }
        let mut items: Vec<(&'static str, String)> = Vec::new();
        let mut values: Vec<f32> = Vec::new();
        for anchor in anchors {
            items.push(("anchor", anchor.to_string()));
            values.extend_from_slice(index.anchor(anchor));
        }
        for document in documents {
            items.push(("document", document.to_string()));
            values.extend_from_slice(index.document(document));
        }
        for sample in samples {
            items.push(("sample", sample.id.clone()));
            values.extend_from_slice(sample.embedding);
        }
        let dim = index.encoder().dim();
        let rows = Rows {
            values: &values,
            dim,
        };
        let last = self.last_picture()?;
        let before: Vec<Option<Point>> = items
            .iter()
            .map(|(kind, item)| last.get(&((*kind).to_owned(), item.clone())).copied())
            .collect();
        let seed = seed(self.experiment.seed, "layout", &[]);
        let points = laid_out(method, rows, &before, seed);
        let trustworthiness =
            umap::trustworthiness(&umap::ranked(&values, dim), &points, umap::NEIGHBOURS);
        let placed = items.into_iter().zip(points);
        Ok(Shown {
            points: placed
                .map(|((kind, item), point)| (kind, item, point))
                .collect(),
            method: name(method),
            trustworthiness,
        })
    }

    /// Where the last picture in the store shows what, by kind and number.
    fn last_picture(&self) -> Result<BTreeMap<(String, String), Point>, Error> {
        let shown = self.store.projections()?;
        let last = shown.last().map(|one| one.tick);
        Ok(shown
            .into_iter()
            .filter(|one| Some(one.tick) == last)
            .map(|one| ((one.kind, one.item), [one.x, one.y]))
            .collect())
    }
}
