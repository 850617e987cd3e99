//! What was found out at the end: evaluations, slices, what was retrieved, influence, suspects, pictures.

use std::error::Error;

use orchestrator_store::{Evaluation, Influence, Projection, Role, Slice, SliceScore, Suspect};

use crate::data::Data;
use crate::draw::Draw;
use crate::pool::Made;
use crate::{EPOCHS, METRICS, Writing};

const SLICES: [&str; 4] = ["nuance", "long_tail", "adversarial", "cross_domain"];

/// Evaluates a model: epochs on validation, the others on test too.
pub(crate) fn evaluate(
    writing: &mut Writing,
    data: &Data,
    draw: &Draw,
    model: &str,
    mean: f64,
) -> Result<(), Box<dyn Error>> {
    let first = data.train;
    let end = if model.starts_with("epoch-") {
        first + data.validation
    } else {
        first + data.validation + data.test
    };
    let detail = if model == "trained" {
        format!("trained = epoch-{EPOCHS}")
    } else {
        model.to_owned()
    };
    writing.tick("evaluate", &detail, |tick| {
        for anchor in first..end {
            let ease = mean
                + 0.3 * draw.normal("ease", anchor as u64)
                + 0.1 * draw.normal(model, anchor as u64);
            for metric in METRICS {
                tick.add_evaluation(&Evaluation {
                    model,
                    anchor,
                    metric,
                    value: ease.clamp(0.0, 1.0),
                    first_relevant: Some(1 + (10.0 * (1.0 - ease.clamp(0.0, 1.0))) as usize),
                })?;
            }
            if !model.starts_with("epoch-") {
                let mut shown: Vec<usize> = Vec::new();
                for nth in 0..10 {
                    shown.push(draw.below(model, (anchor * 10 + nth) as u64, data.documents.len()));
                }
                for (place, document) in shown.into_iter().enumerate() {
                    tick.add_retrieved(
                        model,
                        anchor,
                        place + 1,
                        (document, 1.0 - place as f32 / 20.0),
                    )?;
                }
            }
        }
        for metric in METRICS {
            tick.add_metric(None, &format!("{model}/validation/{metric}"), mean)?;
        }
        Ok(())
    })
}

pub(crate) fn find(
    writing: &mut Writing,
    data: &Data,
    draw: &Draw,
    pool: &[Made],
) -> Result<(), Box<dyn Error>> {
    evaluate(writing, data, draw, "trained", 0.54)?;
    writing.tick("slices", "", |tick| {
        for name in SLICES {
            for item in 0..data.test.min(500) {
                let anchor = data.train + data.validation + item;
                tick.add_slice(&Slice {
                    name,
                    item,
                    anchor: Some(anchor),
                    text: &data.anchors[anchor],
                    detail: "",
                })?;
                for (model, mean) in [("bm25", 0.3), ("initial", 0.34), ("trained", 0.5)] {
                    for metric in METRICS {
                        let value: f64 = mean + 0.3 * draw.normal(name, anchor as u64);
                        let value = value.clamp(0.0, 1.0);
                        tick.add_slice_score(&SliceScore {
                            slice: name,
                            item,
                            model,
                            metric,
                            value,
                        })?;
                    }
                }
            }
        }
        Ok(())
    })?;
    for model in ["epoch-2", "epoch-4"] {
        writing.tick("influence", model, |tick| {
            for one in pool.iter().filter(|one| one.kept) {
                let place = u64::from(one.place);
                let influence = Influence {
                    sample: one.id,
                    value: 1e-4
                        * (draw.normal("influence", place) + 0.5 * draw.normal(model, place) + 0.2),
                    loss: Some((0.5 + 0.3 * draw.normal("own", place)).max(0.0)),
                    on_its_side: draw.share("side", place) < 0.9,
                };
                tick.add_influence(model, &influence)?;
            }
            Ok(())
        })?;
    }
    suspects(writing, draw, pool)?;
    for number in 0..=EPOCHS {
        picture(writing, data, draw, pool, number)?;
    }
    Ok(())
}

/// A fiftieth of the pool is suspected.
fn suspects(writing: &mut Writing, draw: &Draw, pool: &[Made]) -> Result<(), Box<dyn Error>> {
    writing.tick("suspect", "", |tick| {
        for role in [Role::Negative, Role::Positive] {
            let mut of_role: Vec<(f64, &Made)> = pool
                .iter()
                .filter(|one| one.kept && one.role() == role)
                .map(|one| (draw.share("suspect", u64::from(one.place)), one))
                .filter(|(share, _)| *share > 0.98)
                .collect();
            of_role.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
            for (place, (share, one)) in of_role.into_iter().enumerate() {
                tick.add_suspect(&Suspect {
                    sample: one.id,
                    place: place + 1,
                    probability: (share - 0.98) * 50.0,
                    evidence: r#"{"beats_positive": true, "loss": 0.93}"#,
                })?;
            }
        }
        Ok(())
    })
}

/// Up to 500 claims, 2,500 documents, 2,000 samples in the plane.
fn picture(
    writing: &mut Writing,
    data: &Data,
    draw: &Draw,
    pool: &[Made],
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let model = if number == 0 {
        "initial".to_owned()
    } else {
        format!("epoch-{number}")
    };
    writing.tick("picture", &model, |tick| {
        let claims =
            (0..data.validation.min(500)).map(|nth| ("anchor", (data.train + nth).to_string()));
        let documents =
            (0..data.documents.len().min(2500)).map(|nth| ("document", nth.to_string()));
        let samples = pool
            .iter()
            .filter(|one| one.kept)
            .take(2000)
            .map(|one| ("sample", one.id.to_string()));
        for (place, (kind, item)) in claims.chain(documents).chain(samples).enumerate() {
            let place = place as u64;
            tick.add_projection(&Projection {
                model: &model,
                kind,
                item: &item,
                x: draw.normal("x", place) + 0.1 * draw.normal(&model, place),
                y: draw.normal("y", place) + 0.1 * draw.normal(&model, place + (1 << 32)),
                method: "umap",
            })?;
        }
        Ok(())
    })
}
