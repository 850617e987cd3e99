//! How far the negatives of each source are from the positives, by the untrained and by the trained model, with intervals.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::dot;
use orchestrator_store::Role;

use crate::driver::Driver;
use crate::error::Error;
use crate::monitor::quality::{dominance, interval, overlap};
use crate::pool::Pool;
use crate::retrieval::DenseIndex;
use crate::seed::seed;
use crate::training::Model;

/// Samples of a group that are looked at, drawn by the seed.
const MOST: usize = 2000;

/// All negatives together.
const ALL: &str = "all";

impl Driver<'_> {
    /// Metrics `apart/MODEL/SOURCE/…`; a sample that several sources proposed counts for each.
    pub(crate) fn apart(&self, model: &Model, pool: &Pool) -> Result<Vec<(String, f64)>, Error> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let sources = self.store.sources()?;
        for place in pool.of_role(Role::Negative) {
            let of_sample = sources
                .get(&pool.samples[place].view.id)
                .into_iter()
                .flatten();
            for source in of_sample.map(String::as_str).chain([ALL]) {
                groups.entry(source.to_owned()).or_default().push(place);
            }
        }
        for places in groups.values_mut() {
            self.draw(places, pool);
        }
        let mut positives: Vec<usize> = pool.of_role(Role::Positive).collect();
        self.draw(&mut positives, pool);
        let mut metrics = Vec::new();
        let models = [
            ("initial", self.index_of_initial(model)?),
            ("trained", self.index(model)?),
        ];
        for (name, index) in &models {
            let places = groups.values().flatten().chain(&positives);
            let near = similarities(index, pool, &places.copied().collect())?;
            let of = |places: &[usize]| {
                let mut values: Vec<f64> = places.iter().map(|place| near[place]).collect();
                values.sort_by(f64::total_cmp);
                values
            };
            let above = of(&positives);
            for (source, places) in &groups {
                let below = of(places);
                let mut add = |what: &str, value: Option<f64>| {
                    let name = || format!("apart/{name}/{source}/{what}");
                    metrics.extend(value.map(|value| (name(), value)));
                };
                let apart = dominance(&above, &below);
                let range = interval(&above, &below);
                let delta = |auroc: f64| 2.0 * auroc - 1.0;
                add("auroc", apart.map(|one| one.auroc));
                add("auroc_low", range.map(|one| one.0));
                add("auroc_high", range.map(|one| one.1));
                add("cliffs_delta", apart.map(|one| one.delta));
                add("cliffs_delta_low", range.map(|one| delta(one.0)));
                add("cliffs_delta_high", range.map(|one| delta(one.1)));
                add("overlap", overlap(&above, &below));
                add("positives", Some(above.len() as f64));
                add("negatives", Some(below.len() as f64));
            }
        }
        Ok(metrics)
    }

    /// Leaves at most [`MOST`], in the pool's order.
    fn draw(&self, places: &mut Vec<usize>, pool: &Pool) {
        if places.len() > MOST {
            places.sort_by_key(|place| {
                let id = pool.samples[*place].view.id.0;
                (seed(self.experiment.seed, "apart", &[id as u64]), id)
            });
            places.truncate(MOST);
            places.sort_unstable();
        }
    }
}

/// The cosine of samples to their anchors, by their places.
fn similarities(
    index: &DenseIndex<'_>,
    pool: &Pool,
    places: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, f64>, Error> {
    let text = |place: &usize| pool.samples[*place].text;
    let tokens: Vec<_> = places
        .iter()
        .map(|place| &pool.texts[text(place)].tokens)
        .collect();
    let embeddings = index.embed(&tokens)?;
    let rows = embeddings.chunks_exact(index.encoder().dim());
    let near = places.iter().zip(rows).map(|(place, row)| {
        let anchor = index.anchor(pool.samples[*place].view.anchor);
        (*place, f64::from(dot(anchor, row)))
    });
    Ok(near.collect())
}
