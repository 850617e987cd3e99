//! Logistic regression with weights, by Newton's method with a little ridge, and what to do when the share of positives is another
//! where it is used than where it was fitted.

/// A row's features.
pub(crate) type Row<const N: usize> = [f64; N];

/// Keeps separable data from running away: so many observations speak for a coefficient of 0.
const RIDGE: f64 = 1.0;

/// A fitted model.
#[derive(Debug, Clone)]
pub(crate) struct Logistic<const N: usize> {
    centre: Row<N>,
    scale: Row<N>,
    coefficients: Row<N>,
    intercept: f64,
    /// Weighted share of positives it was fitted on.
    pub prior: f64,
}

impl<const N: usize> Logistic<N> {
    /// Fits it to rows, whether each is positive, and their weights. `None` unless there are some of both.
    pub fn fit(rows: &[Row<N>], positive: &[bool], weights: &[f64]) -> Option<Self> {
        let all: f64 = weights.iter().sum();
        let of_positive = positive.iter().zip(weights).filter(|(is, _)| **is);
        let prior = of_positive.map(|(_, weight)| weight).sum::<f64>() / all;
        if !(prior > 0.0 && prior < 1.0) {
            return None;
        }
        let moment = |of: &dyn Fn(&Row<N>, usize) -> f64| -> Row<N> {
            std::array::from_fn(|place| {
                let sum = rows.iter().zip(weights);
                sum.map(|(row, weight)| weight * of(row, place))
                    .sum::<f64>()
                    / all
            })
        };
        let centre = moment(&|row, place| row[place]);
        let spread = moment(&|row, place| (row[place] - centre[place]).powi(2));
        let scale = spread.map(|one| one.sqrt().max(1e-9));
        let mut model = Self {
            centre,
            scale,
            coefficients: [0.0; N],
            intercept: (prior / (1.0 - prior)).ln(),
            prior,
        };
        for _ in 0..25 {
            if model.improve(rows, positive, weights) < 1e-9 {
                break;
            }
        }
        Some(model)
    }

    /// One of Newton's steps; how far it went.
    fn improve(&mut self, rows: &[Row<N>], positive: &[bool], weights: &[f64]) -> f64 {
        // The last place is the intercept's.
        let size = N + 1;
        let mut slope = vec![0.0; size];
        let mut curve = vec![vec![0.0; size]; size];
        for ((row, is), weight) in rows.iter().zip(positive).zip(weights) {
            let p = self.probability(row);
            let error = weight * (p - f64::from(u8::from(*is)));
            let bend = weight * (p * (1.0 - p)).max(1e-10);
            let at = |place: usize| {
                if place < N {
                    self.standard(row, place)
                } else {
                    1.0
                }
            };
            for a in 0..size {
                slope[a] += error * at(a);
                for (b, cell) in curve[a].iter_mut().enumerate().take(a + 1) {
                    *cell += bend * at(a) * at(b);
                }
            }
        }
        for place in 0..N {
            slope[place] += RIDGE * self.coefficients[place];
            curve[place][place] += RIDGE;
        }
        let step = solve(curve, slope);
        let longest = step.iter().fold(0.0f64, |most, one| most.max(one.abs()));
        // A long step is a step too far.
        let share = (2.0 / longest).min(1.0);
        for (coefficient, step) in self.coefficients.iter_mut().zip(&step) {
            *coefficient -= share * step;
        }
        self.intercept -= share * step[N];
        longest
    }

    fn standard(&self, row: &Row<N>, place: usize) -> f64 {
        (row[place] - self.centre[place]) / self.scale[place]
    }

    /// Of a positive, where these are as frequent as where it was fitted.
    pub fn probability(&self, row: &Row<N>) -> f64 {
        let parts = (0..N).map(|place| self.coefficients[place] * self.standard(row, place));
        let z = self.intercept + parts.sum::<f64>();
        1.0 / (1.0 + (-z).exp())
    }
}

/// Solves `curve x = slope` for a symmetric positive matrix of which the lower half is given (Cholesky).
fn solve(mut curve: Vec<Vec<f64>>, mut slope: Vec<f64>) -> Vec<f64> {
    let n = slope.len();
    for a in 0..n {
        for b in 0..=a {
            let sum: f64 = (0..b).map(|c| curve[a][c] * curve[b][c]).sum();
            let left = curve[a][b] - sum;
            curve[a][b] = if a == b {
                left.max(1e-12).sqrt()
            } else {
                left / curve[b][b]
            };
        }
        let sum: f64 = (0..a).map(|b| curve[a][b] * slope[b]).sum();
        slope[a] = (slope[a] - sum) / curve[a][a];
    }
    for a in (0..n).rev() {
        let sum: f64 = (a + 1..n).map(|b| curve[b][a] * slope[b]).sum();
        slope[a] = (slope[a] - sum) / curve[a][a];
    }
    slope
}

/// The share of positives among rows whose probabilities were fitted where it was `prior`, and the probabilities there; each row counts by its weight. By
/// expectation and maximisation (Saerens, Latinne, Decaestecker 2002).
pub(crate) fn shifted(probabilities: &[f64], weights: &[f64], prior: f64) -> (f64, Vec<f64>) {
    let all: f64 = weights.iter().sum();
    if all <= 0.0 {
        return (0.0, probabilities.to_vec());
    }
    let mut share = prior;
    let mut now = probabilities.to_vec();
    for _ in 0..1000 {
        let (up, down) = (share / prior, (1.0 - share) / (1.0 - prior));
        for (now, p) in now.iter_mut().zip(probabilities) {
            *now = p * up / (p * up + (1.0 - p) * down).max(f64::MIN_POSITIVE);
        }
        let next = now
            .iter()
            .zip(weights)
            .map(|(p, weight)| p * weight)
            .sum::<f64>()
            / all;
        let moved = (next - share).abs();
        share = next;
        if moved < 1e-9 {
            break;
        }
    }
    (share, now)
}
