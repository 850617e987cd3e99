//! The picture of the validation claims: each with the documents that are relevant to it and the nearest one that is not, in the
//! plane of their principal components, turned to the picture before it.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_data::Split;

use super::clusters::Rows;
use super::picture::{Point, laid_over, principal_plane};
use crate::driver::Driver;
use crate::error::Error;
use crate::retrieval::DenseIndex;
use crate::seed::seed;

/// Claims in the picture.
const MOST: usize = 500;

/// Relevant documents of a claim in it, those of the lowest numbers.
const RELEVANT: usize = 5;

impl Driver<'_> {
    /// Kind, number and place of everything in the picture; empty without validation claims.
    pub(super) fn picture(
        &self,
        index: &DenseIndex<'_>,
    ) -> Result<Vec<(&'static str, usize, Point)>, Error> {
        let qrels = self.data.qrels(Split::Validation);
        let mut anchors: Vec<usize> = qrels.keys().copied().collect();
        anchors.sort_by_key(|anchor| {
            let order = seed(self.experiment.seed, "picture", &[*anchor as u64]);
            (order, *anchor)
        });
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
        let items: Vec<(&'static str, usize)> = anchors
            .into_iter()
            .map(|anchor| ("anchor", anchor))
            .chain(documents.into_iter().map(|document| ("document", document)))
            .collect();
        let values: Vec<f32> = items
            .iter()
            .flat_map(|(kind, number)| match *kind {
                "anchor" => index.anchor(*number),
                _ => index.document(*number),
            })
            .copied()
            .collect();
        let plane = principal_plane(Rows {
            values: &values,
            dim: index.encoder().dim(),
        });
        let before = self.last_picture()?;
        let pairs: Vec<(usize, Point)> = items
            .iter()
            .enumerate()
            .filter_map(|(place, (kind, number))| {
                let key = ((*kind).to_owned(), number.to_string());
                Some((place, *before.get(&key)?))
            })
            .collect();
        let laid = laid_over(&plane, &pairs);
        Ok(items
            .into_iter()
            .zip(laid)
            .map(|((kind, number), point)| (kind, number, point))
            .collect())
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
