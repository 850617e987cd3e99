//! AdamW (Loshchilov, Hutter 2019) over the parameters of a model, step for step as PyTorch takes it: `torch.optim.AdamW`,
//! and for lazy tables `SparseAdam`, where only rows that have a gradient move. Its moments can be saved, so that a run
//! resumes exactly. Each value is worked on alone: the bits do not depend on the number of threads.

use orchestrator_model::parameters::{Gradient, Parameter, Slope};
use rayon::prelude::*;

use crate::Checkpoint;

/// The optimiser's state.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    weight_decay: f32,
    /// One for each parameter; none for those that are not trained.
    states: Vec<Option<State>>,
}

/// What is known of one parameter.
#[derive(Debug, Clone, PartialEq)]
struct State {
    /// Steps it has taken part in.
    step: u64,
    /// First moments, as many as it has values.
    first: Vec<f32>,
    /// Second moments.
    second: Vec<f32>,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Values a piece, at least one row of a table.
const PIECE: usize = 1 << 14;

/// What a step does to every value.
#[derive(Clone, Copy)]
struct Step {
    /// The share of the first moment that is new.
    new1: f32,
    /// The share of the second moment that is new.
    new2: f32,
    /// What decay leaves of a value.
    keep: f32,
    size: f32,
    /// What the root of the second moment is divided by.
    root: f32,
}

impl Step {
    fn of(state: u64, rate: f64, decay: f32, lazy: bool) -> Self {
        let exponent = i32::try_from(state).unwrap_or(i32::MAX);
        let keep = 1.0 - (rate as f32) * decay;
        if lazy {
            // PyTorch's SparseAdam puts both corrections into the step's size, so that epsilon is not corrected.
            let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
            let bias1 = 1.0 - f64::from(beta1).powi(exponent);
            let bias2 = 1.0 - f64::from(beta2).powi(exponent);
            return Self {
                new1: 1.0 - beta1,
                new2: 1.0 - beta2,
                keep,
                size: (rate * bias2.sqrt() / bias1) as f32,
                root: 1.0,
            };
        }
        Self {
            new1: (1.0 - BETA1) as f32,
            new2: (1.0 - BETA2) as f32,
            keep,
            size: (rate / (1.0 - BETA1.powi(exponent))) as f32,
            root: (1.0 - BETA2.powi(exponent)).sqrt() as f32,
        }
    }

    /// Moves a run of values; whether all are finite after it.
    fn take<'g>(
        self,
        values: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradient: impl Iterator<Item = &'g f32>,
    ) -> bool {
        let mut finite = true;
        for (((value, m), v), &g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
            *m += (g - *m) * self.new1;
            *v += (g * g - *v) * self.new2;
            *value = *value * self.keep - self.size * *m / (v.sqrt() / self.root + EPSILON);
            finite &= value.is_finite();
        }
        finite
    }
}

impl AdamW {
    /// A fresh state for these parameters. The decoupled `weight_decay` is of those that decay.
    #[must_use]
    pub fn new(parameters: &[Parameter], weight_decay: f32) -> Self {
        let of = |parameter: &Parameter| {
            parameter.trained.then(|| State {
                step: 0,
                first: vec![0.0; parameter.values.len()],
                second: vec![0.0; parameter.values.len()],
            })
        };
        Self {
            weight_decay,
            states: parameters.iter().map(of).collect(),
        }
    }

    /// One step down the gradient; whether all values that moved are finite after it. A parameter without a slope is left as
    /// it is, moments and all, as PyTorch leaves one whose gradient is `None`.
    ///
    /// # Panics
    /// If the parameters are not those it was made for, or a slope has another shape than its parameter.
    #[must_use]
    pub fn update(&mut self, parameters: &mut [Parameter], gradient: &Gradient, rate: f64) -> bool {
        assert_eq!(parameters.len(), self.states.len(), "its own parameters");
        let mut finite = true;
        for ((parameter, state), slope) in parameters
            .iter_mut()
            .zip(&mut self.states)
            .zip(&gradient.slopes)
        {
            let (Some(state), Some(slope)) = (state, slope) else {
                continue;
            };
            state.step += 1;
            let decay = if parameter.decays {
                self.weight_decay
            } else {
                0.0
            };
            let step = Step::of(state.step, rate, decay, parameter.lazy);
            finite &= match slope {
                Slope::Dense(slope) => every(parameter, state, slope, step),
                Slope::Rows { rows, values } => some(parameter, state, rows, values, step),
            };
        }
        finite
    }

    /// Puts values and moments of what is trained into a checkpoint, by the parameters' names. The rest never changes.
    pub fn save(&self, parameters: &[Parameter], checkpoint: &mut Checkpoint) {
        for (parameter, state) in parameters.iter().zip(&self.states) {
            let Some(state) = state else { continue };
            let name = &parameter.name;
            for (of, values) in [("first", &state.first), ("second", &state.second)] {
                let tensor = (parameter.shape.clone(), values.clone());
                checkpoint.tensors.insert(format!("{name}/{of}"), tensor);
            }
            let counter = format!("{name}/step");
            checkpoint.counters.insert(counter, state.step);
        }
        checkpoint.put_values(parameters);
    }

    /// Takes values and moments out of a checkpoint; `false`, and nothing is changed, if it is of other parameters.
    pub fn restore(&mut self, parameters: &mut [Parameter], checkpoint: &mut Checkpoint) -> bool {
        let mut states = Vec::with_capacity(self.states.len());
        for parameter in parameters.iter() {
            if !parameter.trained {
                states.push(None);
                continue;
            }
            let mut take = |of: &str| {
                let (_, values) = checkpoint
                    .tensors
                    .remove(&format!("{}/{of}", parameter.name))?;
                (values.len() == parameter.values.len()).then_some(values)
            };
            let (Some(first), Some(second)) = (take("first"), take("second")) else {
                return false;
            };
            let Some(step) = checkpoint
                .counters
                .get(&format!("{}/step", parameter.name))
                .copied()
            else {
                return false;
            };
            states.push(Some(State {
                step,
                first,
                second,
            }));
        }
        if !checkpoint.take_values(parameters) {
            return false;
        }
        self.states = states;
        true
    }
}

/// Moves every value.
fn every(parameter: &mut Parameter, state: &mut State, slope: &[f32], step: Step) -> bool {
    assert_eq!(
        slope.len(),
        parameter.values.len(),
        "a slope for each value of {}",
        parameter.name
    );
    parameter
        .values
        .par_chunks_mut(PIECE)
        .zip(state.first.par_chunks_mut(PIECE))
        .zip(state.second.par_chunks_mut(PIECE))
        .zip(slope.par_chunks(PIECE))
        .map(|(((values, first), second), slope)| step.take(values, first, second, slope.iter()))
        .reduce(|| true, |a, b| a & b)
}

/// Moves the rows that have a slope; the others as if theirs were zero, unless the parameter is lazy.
fn some(
    parameter: &mut Parameter,
    state: &mut State,
    rows: &[u32],
    slopes: &[f32],
    step: Step,
) -> bool {
    let columns = parameter.shape.last().copied().unwrap_or(1).max(1);
    assert_eq!(
        slopes.len(),
        rows.len() * columns,
        "a slope for each row of {}",
        parameter.name
    );
    assert!(
        rows.iter()
            .all(|row| (*row as usize + 1) * columns <= parameter.values.len()),
        "the rows are in {}",
        parameter.name
    );
    let lazy = parameter.lazy;
    let of_piece = (PIECE / columns).max(1);
    let zero = vec![0.0f32; if lazy { 0 } else { columns }];
    parameter
        .values
        .par_chunks_mut(of_piece * columns)
        .zip(state.first.par_chunks_mut(of_piece * columns))
        .zip(state.second.par_chunks_mut(of_piece * columns))
        .enumerate()
        .map(|(piece, ((values, first), second))| {
            let start = piece * of_piece;
            let end = start + values.len() / columns;
            let from = rows.partition_point(|row| (*row as usize) < start);
            let to = rows.partition_point(|row| (*row as usize) < end);
            let mut finite = true;
            let mut take = |row: usize, slope: &[f32]| {
                let range = (row - start) * columns..(row - start + 1) * columns;
                let (first, second) = (&mut first[range.clone()], &mut second[range.clone()]);
                finite &= step.take(&mut values[range], first, second, slope.iter());
            };
            let mut next = start;
            for place in from..to {
                let row = rows[place] as usize;
                if !lazy {
                    (next..row).for_each(|row| take(row, &zero));
                }
                take(row, &slopes[place * columns..][..columns]);
                next = row + 1;
            }
            if !lazy {
                (next..end).for_each(|row| take(row, &zero));
            }
            finite
        })
        .reduce(|| true, |a, b| a & b)
}
