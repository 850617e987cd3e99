//! The picture's points: by UMAP, t-SNE or principal components, each picture laid over the one before.

use orchestrator_config::Picture;

use super::clusters::Rows;
use super::picture::{Point, laid_over, principal_plane};
use super::umap;

/// Perplexity of t-SNE, and its rounds from nothing and from the picture before.
const PERPLEXITY: f32 = 30.0;
const ROUNDS: [usize; 2] = [750, 250];

/// The method's name in the store.
pub(super) fn name(method: Picture) -> &'static str {
    match method {
        Picture::Umap => "umap",
        Picture::Tsne => "tsne",
        Picture::Pca | Picture::Off => "pca",
    }
}

/// Lays out unit-length rows. `before` is where the picture before has each, if it has it: the layout begins there and is turned to
/// lie over it, so that what has not moved stays.
pub(super) fn laid_out(
    method: Picture,
    rows: Rows<'_>,
    before: &[Option<Point>],
    seed: u64,
) -> Vec<Point> {
    let pairs: Vec<(usize, Point)> = before
        .iter()
        .enumerate()
        .filter_map(|(place, point)| Some((place, (*point)?)))
        .collect();
    let points = match method {
        Picture::Pca | Picture::Off => principal_plane(rows),
        // Too few to have neighbours.
        _ if rows.len() < 8 => principal_plane(rows),
        Picture::Umap => {
            let k = umap::NEIGHBOURS.min(rows.len() - 1);
            let near = umap::neighbours(rows.values, rows.dim, k);
            let (begin, goes_on) = beginning(rows, before, &near);
            umap::layout(&near, &begin, goes_on, seed)
        }
        Picture::Tsne => {
            let near =
                umap::neighbours(rows.values, rows.dim, umap::NEIGHBOURS.min(rows.len() - 1));
            let (begin, goes_on) = beginning(rows, before, &near);
            tsne(rows, &begin, goes_on)
        }
    };
    laid_over(&points, &pairs)
}

/// Where each point begins: where it was; or amid its neighbours that were there; or, where nothing was, in the plane of the
/// principal components. Whether most were there.
fn beginning(
    rows: Rows<'_>,
    before: &[Option<Point>],
    near: &[Vec<(usize, f64)>],
) -> (Vec<Point>, bool) {
    if before.iter().flatten().count() * 2 < rows.len() {
        return (principal_plane(rows), false);
    }
    let amid = |place: usize| {
        let known: Vec<Point> = near[place]
            .iter()
            .filter_map(|(other, _)| before[*other])
            .collect();
        let n = known.len().max(1) as f64;
        [0, 1].map(|axis| known.iter().map(|point| point[axis]).sum::<f64>() / n)
    };
    let begin = (0..rows.len()).map(|place| before[place].unwrap_or_else(|| amid(place)));
    (begin.collect(), true)
}

/// t-SNE (van der Maaten, Hinton 2008), in one thread: its sums depend on how they are parted.
fn tsne(rows: Rows<'_>, begin: &[Point], goes_on: bool) -> Vec<Point> {
    let samples: Vec<&[f32]> = (0..rows.len()).map(|place| rows.at(place)).collect();
    let distance = |a: &&[f32], b: &&[f32]| {
        let square: f32 = a.iter().zip(*b).map(|(x, y)| (x - y) * (x - y)).sum();
        square.sqrt()
    };
    // A first picture begins small, as the method wants it.
    let widest = begin
        .iter()
        .flatten()
        .fold(1e-12f64, |most, one| most.max(one.abs()));
    let scale = if goes_on { 1.0 } else { 1e-2 / widest };
    let begin: Vec<f32> = begin
        .iter()
        .flatten()
        .map(|one| (one * scale) as f32)
        .collect();
    let work = || {
        let mut tsne: bhtsne::tSNE<'_, f32, &[f32], 2> = bhtsne::tSNE::new(&samples);
        let most = (rows.len() - 1) as f32 / 3.0;
        tsne.perplexity(PERPLEXITY.min(most.max(1.0) - 0.01))
            .epochs(ROUNDS[usize::from(goes_on)])
            .initial_embedding(begin);
        if goes_on {
            tsne.stop_lying_epoch(0);
        }
        tsne.barnes_hut(0.5, distance).embedding()
    };
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let points = match alone {
        Ok(alone) => alone.install(work),
        Err(_) => return principal_plane(rows),
    };
    let points = points.as_chunks::<2>().0.iter();
    points.map(|point| point.map(f64::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::umap::{NEIGHBOURS, ranked, trustworthiness};
    use super::super::{fixture_of, numbers};
    use super::*;

    struct Fixture {
        values: Vec<f32>,
        dim: usize,
        json: serde_json::Value,
    }

    impl Fixture {
        fn read() -> Self {
            let json = fixture_of(include_str!("../../tests/layouts.json"));
            let values = numbers(&json["rows"]);
            // The file has three digits of each.
            let mut values: Vec<f32> = values.into_iter().map(|one| one as f32).collect();
            let dim = json["dim"].as_u64().expect("a number") as usize;
            for row in values.chunks_exact_mut(dim) {
                let length = row.iter().map(|one| one * one).sum::<f32>().sqrt();
                row.iter_mut().for_each(|one| *one /= length);
            }
            Self { values, dim, json }
        }

        fn rows(&self) -> Rows<'_> {
            Rows {
                values: &self.values,
                dim: self.dim,
            }
        }

        fn trusted(&self, points: &[Point]) -> f64 {
            let ranked = ranked(&self.values, self.dim);
            trustworthiness(&ranked, points, NEIGHBOURS).expect("enough points")
        }

        fn theirs(&self, of: &str) -> f64 {
            let mut all = numbers(&self.json[of]);
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        }
    }

    #[test]
    fn trustworthiness_is_scikit_learns() {
        let fixture = Fixture::read();
        let given: Vec<Point> = fixture.json["given"]
            .as_array()
            .expect("points")
            .iter()
            .map(|point| [0, 1].map(|axis| point[axis].as_f64().expect("a number")))
            .collect();
        let theirs = fixture.json["trustworthiness_of_given"]
            .as_f64()
            .expect("a number");
        assert!((fixture.trusted(&given) - theirs).abs() < 2e-3);
    }

    #[test]
    fn a_layout_is_to_be_trusted_as_those_of_umap_learn_and_scikit_learn_are() {
        let fixture = Fixture::read();
        let none = vec![None; fixture.rows().len()];
        for (method, of) in [
            (Picture::Umap, "trustworthiness_of_umap"),
            (Picture::Tsne, "trustworthiness_of_tsne"),
        ] {
            let mut all: Vec<f64> = (0..3)
                .map(|seed| fixture.trusted(&laid_out(method, fixture.rows(), &none, seed)))
                .collect();
            all.sort_by(f64::total_cmp);
            let (ours, theirs) = (all[1], fixture.theirs(of));
            assert!(ours > 0.95 * theirs, "{of}: {ours} against {theirs}");
        }
    }

    #[test]
    fn what_has_not_moved_stays_where_it_was_and_every_number_of_threads_gives_the_same() {
        let fixture = Fixture::read();
        let none = vec![None; fixture.rows().len()];
        for method in [Picture::Umap, Picture::Tsne, Picture::Pca] {
            let first = laid_out(method, fixture.rows(), &none, 1);
            let before: Vec<Option<Point>> = first.iter().copied().map(Some).collect();
            let next = laid_out(method, fixture.rows(), &before, 1);
            let width = first
                .iter()
                .flatten()
                .fold(0.0f64, |most, one| most.max(one.abs()));
            let moved = first
                .iter()
                .zip(&next)
                .map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
            let mut moved: Vec<f64> = moved.collect();
            moved.sort_by(f64::total_cmp);
            let median = moved[moved.len() / 2] / width;
            assert!(median < 0.15, "{method:?}: {median}");
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .expect("a pool");
            let alone = pool.install(|| laid_out(method, fixture.rows(), &none, 1));
            assert_eq!(first, alone, "{method:?}");
        }
    }
}
