//! The first three sentences of a report: what was trained, how it did, what to look at first. Each is made from the
//! numbers, and leads to the section that shows them.

use serde::Serialize;

use crate::better::Better;
use crate::failures::Failures;
use crate::influence::Influenced;
use crate::negatives::Negatives;
use crate::pool::Pool;
use crate::view::{Run, Warning};
use crate::words::Said;

/// A sentence and where its evidence is.
#[derive(Serialize)]
pub struct Opened {
    pub said: Said,
    /// The address in the page.
    pub to: &'static str,
}

/// What the sentences are made from.
pub(crate) struct Facts<'f> {
    pub run: &'f Run,
    pub better: &'f Better,
    pub pool: &'f Pool,
    pub negatives: &'f Negatives,
    pub influence: &'f Influenced,
    pub failures: &'f Failures,
    pub warnings: &'f [Warning],
}

/// From this share of false negatives on, it is the first thing to look at.
const MANY: f64 = 0.05;

pub(crate) fn sentences(facts: &Facts<'_>) -> Vec<Opened> {
    vec![trained(facts), did(facts), look(facts)]
}

fn trained(facts: &Facts<'_>) -> Opened {
    let Facts { run, pool, .. } = facts;
    let encoder = if run.encoder == "static" {
        serde_json::to_value(Said::of("open.static")).unwrap_or_default()
    } else {
        run.encoder.clone().into()
    };
    let said = if pool.samples == 0 {
        Said::of("open.nothing").with("encoder", encoder)
    } else {
        Said::of("open.trained")
            .with("encoder", encoder)
            .with("samples", pool.samples)
            .with("sources", pool.sources)
            .with("epochs", run.epochs)
            .with("positives", pool.positives)
            .with("negatives", pool.negatives)
    };
    Opened { said, to: "pool" }
}

fn did(facts: &Facts<'_>) -> Opened {
    let (run, better) = (facts.run, facts.better);
    let Some(trained) = better.trained else {
        return Opened {
            said: Said::of("open.not-evaluated"),
            to: "better",
        };
    };
    let mut said = Said::of(match better.against.len() {
        2 => "open.did",
        _ => "open.did-alone",
    })
    .with(
        "split",
        serde_json::to_value(Said::of(split(&run.split))).unwrap_or_default(),
    )
    .with("n", trained.n)
    .with("metric", run.metric.clone())
    .with("value", trained.mean)
    .with("low", trained.low)
    .with("high", trained.high);
    if let [first, second] = &better.against[..] {
        for ((verdict, by, low, high), one) in [
            ("verdict1", "by1", "low1", "high1"),
            ("verdict2", "by2", "low2", "high2"),
        ]
        .into_iter()
        .zip([first, second])
        {
            let word = match one.verdict {
                "better" => "open.better",
                "worse" => "open.worse",
                _ => "open.open",
            };
            said = said
                .saying(verdict, &Said::of(word))
                .with(by, one.interval.mean)
                .with(low, one.interval.low)
                .with(high, one.interval.high);
        }
    }
    Opened { said, to: "better" }
}

/// The word of a split.
pub(crate) fn split(name: &str) -> &'static str {
    match name {
        "test" => "split.test",
        "validation" => "split.validation",
        _ => "split.train",
    }
}

fn look(facts: &Facts<'_>) -> Opened {
    if let Some(status) = &facts.run.status {
        return Opened {
            said: status.clone(),
            to: "status",
        };
    }
    if let Some(share) = facts
        .negatives
        .share
        .shown
        .as_ref()
        .filter(|share| share.share >= MANY)
    {
        return Opened {
            said: Said::of("open.false-negatives")
                .with("share", share.share)
                .with("low", share.low.unwrap_or(share.share))
                .with("high", share.high.unwrap_or(share.share)),
            to: "suspect-negatives",
        };
    }
    if let Some(warning) = facts.warnings.first() {
        return Opened {
            said: Said::of("open.warning")
                .with("n", facts.warnings.len())
                .with("what", warning.what.clone()),
            to: "warnings",
        };
    }
    let sources = facts
        .influence
        .by_source
        .shown
        .as_deref()
        .unwrap_or_default();
    if let Some(worst) = sources
        .first()
        .filter(|worst| worst.sum < 0.0 && worst.harmful > 0.5)
    {
        return Opened {
            said: Said::of("open.harmful")
                .with("source", worst.source.clone())
                .with("share", worst.harmful)
                .with("n", worst.n),
            to: "influence-sources",
        };
    }
    let changes = facts.failures.changes.shown.as_deref().unwrap_or_default();
    match changes.first() {
        Some(change) => Opened {
            said: Said::of("open.failures")
                .with("worse", change.worse)
                .with("n", change.better + change.equal + change.worse),
            to: "failures",
        },
        None => Opened {
            said: Said::of("open.nothing-yet"),
            to: "again",
        },
    }
}
