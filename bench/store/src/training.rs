//! Five epochs of training: steps with the samples they used and their losses, looks at the pool, evaluations.

use std::error::Error;

use orchestrator_store::{Role, Use};

use crate::data::Data;
use crate::draw::Draw;
use crate::pool::{self, Made};
use crate::{EPOCHS, Writing, found};

/// Samples of a step.
const BATCH: usize = 64;
/// Steps of a tick: what lies between two checkpoints.
const BLOCK: usize = 2000;
/// The band that each epoch asks for.
const STAGES: [&str; EPOCHS] = ["easy", "easy", "medium", "medium", "hard"];
/// Versions of the model that the whole pool is scored by, beside the untrained one.
const SCORED: [usize; 2] = [2, 4];

pub(crate) fn train(
    writing: &mut Writing,
    data: &Data,
    draw: &Draw,
    pool: &mut [Made],
) -> Result<(), Box<dyn Error>> {
    let mut step = 0;
    look(writing, draw, pool, 0)?;
    for (epoch, stage) in STAGES.iter().enumerate() {
        let turn = |one: &Made| draw.bits("turn", (u64::from(one.place) << 8) | epoch as u64);
        // Three fifths of the pool, in an order of its own.
        let mut used: Vec<(u64, Made)> = pool
            .iter()
            .filter(|one| one.kept)
            .map(|one| (turn(one), *one))
            .filter(|(turn, _)| turn % 5 < 3)
            .collect();
        used.sort_by_key(|(turn, one)| (*turn, one.place));
        for block in used.chunks(BATCH * BLOCK) {
            let detail = format!("epoch {}, {stage}", epoch + 1);
            writing.tick("train", &detail, |tick| {
                tick.add_metric(None, "ratio", 4.0)?;
                tick.add_metric(None, "negatives_short_of_ratio", 0.0)?;
                for batch in block.chunks(BATCH) {
                    let fallen = 0.6 * (-(step as f64) / 4000.0).exp() + 0.4;
                    let mut rows: Vec<&Made> = batch.iter().map(|(_, one)| one).collect();
                    rows.sort_by_key(|one| one.id);
                    for one in rows {
                        let own = 1.0 + 0.4 * draw.normal("own", u64::from(one.place));
                        let now = 1.0
                            + 0.2 * draw.normal("now", (u64::from(one.place) << 8) | epoch as u64);
                        tick.add_use(&Use {
                            step: step as u64,
                            sample: one.id,
                            epoch,
                            loss: Some((fallen * own * now).max(0.001) as f32),
                        })?;
                    }
                    let loss = fallen * (1.0 + 0.05 * draw.normal("loss", step as u64));
                    tick.add_metric(Some(step as u64), "loss", loss)?;
                    tick.add_metric(Some(step as u64), "loss/mnrl", loss)?;
                    tick.add_metric(Some(step as u64), "learning_rate", 1e-3)?;
                    tick.add_metric(Some(step as u64), "gradient_norm", loss.sqrt())?;
                    step += 1;
                }
                Ok(())
            })?;
        }
        let (number, done) = (epoch + 1, (epoch + 1) as f64 / EPOCHS as f64);
        look(writing, draw, pool, number)?;
        found::evaluate(
            writing,
            data,
            draw,
            &format!("epoch-{number}"),
            0.34 + 0.2 * done,
        )?;
        if SCORED.contains(&number) {
            pool::score(writing, draw, pool, &format!("epoch-{number}"), done)?;
        }
    }
    Ok(())
}

/// What watching leaves after an epoch.
fn look(
    writing: &mut Writing,
    draw: &Draw,
    pool: &[Made],
    epoch: usize,
) -> Result<(), Box<dyn Error>> {
    let model = if epoch == 0 {
        "initial".to_owned()
    } else {
        format!("epoch-{epoch}")
    };
    let done = epoch as f64 / EPOCHS as f64;
    writing.tick("watch", &model, |tick| {
        for role in [Role::Positive, Role::Negative] {
            let mut seen: Vec<f64> = pool
                .iter()
                .filter(|one| one.kept && one.role() == role)
                .take(2000)
                .map(|one| one.similarity(draw, done))
                .collect();
            seen.sort_by(f64::total_cmp);
            for percent in [5, 25, 50, 75, 95] {
                let value = seen
                    .get(seen.len() * percent / 100)
                    .copied()
                    .unwrap_or_default();
                tick.add_metric(
                    None,
                    &format!("monitor/{}_p{percent:02}", role.name()),
                    value,
                )?;
            }
            tick.add_metric(
                None,
                &format!("monitor/{}s", role.name()),
                seen.len() as f64,
            )?;
        }
        for (name, first, last) in [
            ("auroc", 0.75, 0.93),
            ("cliffs_delta", 0.5, 0.86),
            ("gap", 0.2, 0.4),
            ("difficulty", 0.6, 0.4),
            ("false_negatives", 0.05, 0.02),
            ("too_easy", 0.1, 0.2),
            ("entropy", 0.9, 0.85),
            ("clusters", 16.0, 16.0),
            ("random_similarity", 0.1, 0.12),
        ] {
            tick.add_metric(
                None,
                &format!("monitor/{name}"),
                first + (last - first) * done,
            )?;
        }
        let negative =
            |source: &&pool::Source| source.kind == "sampler" && source.name.ends_with("negative");
        for source in pool::SOURCES.iter().filter(negative) {
            tick.add_metric(None, &format!("monitor/used/{}", source.name), 0.5)?;
        }
        Ok(())
    })
}
