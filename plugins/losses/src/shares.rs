//! What share each part of a step has in the mean: by weight.

use orchestrator_plugin::{LossBatch, LossOutput, Row};

/// Every row with its number and its share.
pub fn rows<'a>(batch: &LossBatch<'a>) -> impl Iterator<Item = (usize, Row, f64)> + use<'a> {
    let batch = *batch;
    let total: f64 = (0..batch.rows())
        .map(|number| f64::from(batch.row(number).weight))
        .sum();
    (0..batch.rows()).map(move |number| {
        let row = batch.row(number);
        (number, row, f64::from(row.weight) / total)
    })
}

/// A positive and a negative of one anchor.
pub struct Pair {
    pub anchor: usize,
    pub positive: (u32, Row),
    pub negative: (u32, Row),
    /// Product of the two weights.
    pub weight: f64,
    /// Its share among all pairs of the step.
    pub share: f64,
}

/// Every positive of a group with every negative of it. None where a group lacks either.
pub fn pairs(batch: &LossBatch<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for group in batch.groups() {
        for &positive in group.positives {
            for &negative in group.negatives {
                let of = |row: u32| (row, batch.row(row as usize));
                let (positive, negative) = (of(positive), of(negative));
                pairs.push(Pair {
                    anchor: group.anchor,
                    positive,
                    negative,
                    weight: f64::from(positive.1.weight) * f64::from(negative.1.weight),
                    share: 0.0,
                });
            }
        }
    }
    let total: f64 = pairs.iter().map(|pair| pair.weight).sum();
    for pair in &mut pairs {
        pair.share = pair.weight / total;
    }
    pairs
}

/// The loss of each row that has part in several: their mean by weight.
pub struct RowLosses {
    sums: Vec<(f64, f64)>,
}

impl RowLosses {
    pub fn of(batch: &LossBatch<'_>) -> Self {
        Self {
            sums: vec![(0.0, 0.0); batch.rows()],
        }
    }

    pub fn add(&mut self, row: u32, loss: f32, weight: f64) {
        let (sum, total) = &mut self.sums[row as usize];
        *sum += f64::from(loss) * weight;
        *total += weight;
    }

    /// Rows without a part stay out.
    pub fn write(self, out: &mut LossOutput<'_>) {
        for (row, (sum, total)) in self.sums.into_iter().enumerate() {
            if total > 0.0 {
                out.set_row(row, (sum / total) as f32);
            }
        }
    }
}

/// The weights of all positives of the step.
pub fn weight_of_positives(batch: &LossBatch<'_>) -> f64 {
    let rows = batch.groups().flat_map(|group| group.positives);
    rows.map(|&row| f64::from(batch.row(row as usize).weight))
        .sum()
}
