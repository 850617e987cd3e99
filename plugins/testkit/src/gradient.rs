//! A loss's gradient against finite differences of its value.

use orchestrator_plugin_host::{Batch, Context, Error, Instance};

/// The step of the larger difference. Embeddings are f32 of length one: smaller steps drown in rounding.
const STEP: f32 = 4e-3;

/// Compares the gradient of a step with differences of its loss, text by text, coordinate by coordinate. A run lends unit
/// vectors and its encoder keeps them so: what is compared is the slope along the sphere, where losses of dot products
/// and losses of cosines agree. `None` if they are equal; else the first place where they are not.
pub(crate) fn difference(
    instance: &Instance,
    context: &Context<'_>,
    batch: &Batch,
) -> Result<Option<String>, Error> {
    let dim = batch.dim;
    let gradient = instance.forward(context, batch)?.gradient;
    let along = |text: usize, direction: &[f32]| -> f64 {
        gradient[text * dim..(text + 1) * dim]
            .iter()
            .zip(direction)
            .map(|(g, d)| f64::from(*g) * f64::from(*d))
            .sum()
    };
    let directions: Vec<(usize, usize, Vec<f32>)> = (0..batch.embeddings.len())
        .map(|place| {
            let (text, column) = (place / dim, place % dim);
            let vector = &batch.embeddings[text * dim..(text + 1) * dim];
            let mut direction: Vec<f32> = vector.iter().map(|x| -vector[column] * x).collect();
            direction[column] += 1.0;
            (text, column, direction)
        })
        .collect();
    let largest = directions
        .iter()
        .map(|(text, _, direction)| along(*text, direction).abs())
        .fold(0.0, f64::max);
    for (text, column, direction) in &directions {
        let value = |step: f32| {
            let mut moved = batch.clone();
            let vector = &mut moved.embeddings[text * dim..(text + 1) * dim];
            for (x, d) in vector.iter_mut().zip(direction) {
                *x += step * d;
            }
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|x| *x /= length);
            instance.forward(context, &moved).map(|result| result.loss)
        };
        let here = value(0.0)?;
        // Slope, and how much more the value bends than a straight line.
        let around = |step: f32| -> Result<(f64, f64), Error> {
            let (after, before) = (value(step)?, value(-step)?);
            Ok((
                (after - before) / f64::from(2.0 * step),
                after - 2.0 * here + before,
            ))
        };
        let ((coarse, bend), (fine, half_bend)) = (around(STEP)?, around(STEP / 2.0)?);
        // Richardson: the error of second order cancels.
        let expected = (4.0 * fine - coarse) / 3.0;
        let found = along(*text, direction);
        // At a corner (a margin, a maximum) there is no slope to compare with. Where there is none, half the step gives the
        // same slope and a quarter of the bend.
        let corner = (coarse - fine).abs() + (bend - 4.0 * half_bend).abs() / f64::from(STEP);
        let tolerance = 5e-3 * largest + 2.0 * corner + 2e-4;
        if (found - expected).abs() > tolerance {
            return Ok(Some(format!(
                "the gradient of text {text} at {column} (along the unit sphere) is {found:.5}, finite differences of the loss \
                 say {expected:.5} (a step of {} texts of {dim} numbers, {} rows, {} anchors)",
                batch.embeddings.len() / dim,
                batch.row_text.len(),
                batch.group_anchor.len()
            )));
        }
    }
    Ok(None)
}
