//! What a user is warned of while a run goes on: each rule is a row of [`RULES`], with its limits and why they stand where they do.
//! A rule speaks once a run. Rules see metrics and what the store holds, nothing else.

use std::collections::BTreeMap;

use orchestrator_store::{EpochBands, UnusedSource};

/// Metrics by name.
pub(crate) type Values = BTreeMap<String, f64>;

/// What rules see.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Epochs trained: 0 = the untrained model; the largest number = training is over.
    pub epoch: usize,
    /// Metrics of this look.
    pub now: Values,
    /// Metrics of earlier looks, in order.
    pub before: Vec<Values>,
    /// A band of the epoch's stage that no negative of the pool was in.
    pub empty_band: Option<String>,
    /// At the end: sources none of whose samples was used.
    pub unused: Vec<UnusedSource>,
}

impl Facts {
    fn now(&self, name: &str) -> Option<f64> {
        self.now.get(&format!("monitor/{name}")).copied()
    }

    /// A metric as it was first, and its least value so far.
    fn earlier(&self, name: &str) -> Option<(f64, f64)> {
        let name = format!("monitor/{name}");
        let mut values = self.before.iter().filter_map(|one| one.get(&name).copied());
        let first = values.next()?;
        Some((first, values.fold(first, f64::min)))
    }
}

/// A rule.
struct Rule {
    name: &'static str,
    /// What the check compares with, in its order.
    limits: [f64; 3],
    /// Why the limits stand there: for readers of the code.
    #[allow(dead_code)]
    reason: &'static str,
    /// What is wrong, with the numbers; `None` = nothing.
    check: fn(&Facts, [f64; 3]) -> Option<String>,
    advice: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        name: "embeddings_collapse",
        limits: [0.9, 0.3, 0.5],
        reason: "Random documents have little in common. Above 0.9 a cosine tells hardly anything apart, whatever model; some \
                 encoders begin high, so it must have risen. A rise by 0.3 to above 0.5 is a model that gives up its space.",
        check: |facts, [most, rise, least]| {
            let now = facts.now("random_similarity")?;
            let (first, _) = facts.earlier("random_similarity")?;
            let above = now > most && now > first;
            (above || now - first > rise && now > least).then(|| {
                format!(
                    "random documents are {now:.2} similar to each other, {first:.2} before training: embeddings fall together"
                )
            })
        },
        advice: "lower train.learning_rate, use larger batches or a loss with in-batch negatives (mnrl), or stop earlier",
    },
    Rule {
        name: "negatives_alike",
        limits: [0.6, 0.0, 0.0],
        reason: "k-means parts even shapeless data rather evenly (0.85 and more), so a fall to 0.6 of what it was is a pool that has \
                 shrunk to a few kinds of text.",
        check: |facts, [share, ..]| {
            let now = facts.now("entropy")?;
            let (first, _) = facts.earlier("entropy")?;
            (now < share * first).then(|| {
                format!(
                    "negatives are spread over fewer kinds of text: entropy of their clusters {now:.2}, {first:.2} before training"
                )
            })
        },
        advice: "mine from further down (top_k, a margin), add another source of negatives, or drop near repeats with a filter",
    },
    Rule {
        name: "negatives_too_easy",
        limits: [0.0, 0.25, 0.0],
        reason: "At difficulty 0 a negative is as far away as a random document: when half of a pool that was hard (0.25) is below, it \
                 has little left to teach. Falling difficulty alone is what training is for.",
        check: |facts, [least, hard, _]| {
            let now = facts.now("difficulty")?;
            let (first, _) = facts.earlier("difficulty")?;
            (now < least && first >= hard).then(|| {
                format!(
                    "half of the negatives are further away than random documents: median difficulty {now:.2}, {first:.2} before training"
                )
            })
        },
        advice: "mine again as the model learns (refresh_every), or schedule harder bands",
    },
    Rule {
        name: "false_negatives",
        limits: [0.05, 1.5, 0.2],
        reason: "A negative nearer than the positives is either the hardest there is or no negative. Before training many are, so \
                 only trained models count. Growth by 5 points and 1.5 times is beyond what another sample would show (standard \
                 error of 2,000 is 1 point); one in five, and no fewer than ever, is more than a loss can shrug off.",
        check: |facts, [points, times, most]| {
            let now = facts.now("false_negatives")?;
            if facts.epoch == 0 {
                return None;
            }
            let least = facts
                .earlier("false_negatives")
                .map_or(now, |(_, least)| least);
            let grown = now - least > points && now > times * least;
            let stays = now > most && now >= least;
            (grown || stays).then(|| {
                format!(
                    "{:.0} % of the negatives are nearer to their claim than its positives, {:.0} % at the best of times: some are \
                     likely no negatives",
                    100.0 * now,
                    100.0 * least.min(now)
                )
            })
        },
        advice: "look at them (docs/STORE.md has the query), raise the margin of mined negatives, or add a filter that asks a \
                 cross-encoder or a person",
    },
    Rule {
        name: "band_without_negatives",
        limits: [0.0; 3],
        reason: "An epoch that asks for a band nothing is in trains on positives alone, which the ratio does not say.",
        check: |facts, _| {
            let band = facts.empty_band.as_ref()?;
            Some(format!(
                "epoch {} wanted {band} negatives, and no negative of the pool is {band}",
                facts.epoch
            ))
        },
        advice: "move train.bands, or add a source of such negatives",
    },
    Rule {
        name: "source_never_used",
        limits: [0.0; 3],
        reason: "What is proposed, paid for and never seen by a loss is a mistake in the experiment more often than not.",
        check: |facts, _| {
            let sources: Vec<String> = facts
                .unused
                .iter()
                .map(|one| {
                    format!(
                        "{} ({} proposed, {} of them dropped by filters)",
                        one.source, one.proposed, one.dropped
                    )
                })
                .collect();
            (!sources.is_empty()).then(|| {
                format!(
                    "no sample of a source was ever used: {}",
                    sources.join("; ")
                )
            })
        },
        advice: "leave it out, or look at what the filters, the schedule's bands and the ratio leave of it",
    },
];

/// What the rules say that have not spoken before; `spoken` are the warnings so far.
pub(crate) fn check(facts: &Facts, spoken: &[String]) -> Vec<String> {
    RULES
        .iter()
        .filter(|rule| {
            let of_rule = format!("{}: ", rule.name);
            !spoken.iter().any(|one| one.starts_with(&of_rule))
        })
        .filter_map(|rule| {
            let what = (rule.check)(facts, rule.limits)?;
            Some(format!("{}: {what}. To do: {}", rule.name, rule.advice))
        })
        .collect()
}

/// A band that an epoch fell short of because no negative of the pool is in it. A pool without any negative is as it was asked for.
pub(crate) fn empty_band(epoch: &EpochBands) -> Option<String> {
    let has = |band: &str| epoch.in_pool.iter().any(|(one, n)| one == band && *n > 0);
    let mut short = epoch.short.iter();
    let (band, _) = short.find(|(band, n)| *n > 0 && band != "any" && !has(band))?;
    Some(band.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(&str, f64)]) -> Values {
        of.iter()
            .map(|(name, value)| (format!("monitor/{name}"), *value))
            .collect()
    }

    fn spoken(facts: &Facts) -> Vec<String> {
        let names = check(facts, &[]).into_iter();
        names
            .map(|text| text.split(':').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn each_rule_speaks_of_its_own_and_of_nothing_else() {
        let healthy = [
            ("random_similarity", 0.1),
            ("entropy", 0.9),
            ("difficulty", 0.5),
            ("false_negatives", 0.1),
        ];
        for (name, changed, expected) in [
            ("as it was", ("entropy", 0.9), None),
            (
                "nearly full",
                ("random_similarity", 0.95),
                Some("embeddings_collapse"),
            ),
            (
                "much fuller",
                ("random_similarity", 0.55),
                Some("embeddings_collapse"),
            ),
            ("a little fuller", ("random_similarity", 0.35), None),
            ("a few kinds", ("entropy", 0.5), Some("negatives_alike")),
            ("fewer kinds", ("entropy", 0.6), None),
            ("easier, as it should be", ("difficulty", 0.05), None),
            (
                "beyond random",
                ("difficulty", -0.01),
                Some("negatives_too_easy"),
            ),
            (
                "more false",
                ("false_negatives", 0.16),
                Some("false_negatives"),
            ),
            ("a few more false", ("false_negatives", 0.14), None),
            ("fewer false", ("false_negatives", 0.0), None),
        ] {
            let mut now = values(&healthy);
            now.extend(values(&[changed]));
            let facts = Facts {
                epoch: 2,
                now,
                before: vec![values(&healthy), values(&healthy)],
                ..Facts::default()
            };
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(spoken(&facts), expected, "{name}");
        }
    }

    #[test]
    fn many_false_negatives_are_no_news_of_an_untrained_model() {
        let now = values(&[("false_negatives", 0.5)]);
        let look = |epoch| Facts {
            epoch,
            now: now.clone(),
            ..Facts::default()
        };
        assert!(spoken(&look(0)).is_empty());
        assert_eq!(spoken(&look(1)), ["false_negatives"]);
    }

    #[test]
    fn false_negatives_that_come_back_are_compared_with_the_best_of_times() {
        let facts = Facts {
            epoch: 3,
            now: values(&[("false_negatives", 0.12)]),
            before: [0.4, 0.02, 0.04]
                .map(|one| values(&[("false_negatives", one)]))
                .to_vec(),
            ..Facts::default()
        };
        let warned = check(&facts, &[]);
        assert!(
            warned[0].contains("12 %") && warned[0].contains("2 %"),
            "{warned:?}"
        );
        assert!(check(&facts, &warned).is_empty(), "it is said once");
    }

    #[test]
    fn an_encoder_that_begins_crowded_is_not_blamed() {
        let look = |first, now| Facts {
            epoch: 1,
            now: values(&[("random_similarity", now)]),
            before: vec![values(&[("random_similarity", first)])],
            ..Facts::default()
        };
        assert!(spoken(&look(0.95, 0.93)).is_empty());
        assert_eq!(spoken(&look(0.85, 0.93)), ["embeddings_collapse"]);
    }

    #[test]
    fn sources_and_bands_that_nothing_came_of_are_named() {
        let unused = vec![UnusedSource {
            source: "random".to_owned(),
            proposed: 12,
            dropped: 3,
        }];
        let facts = Facts {
            epoch: 4,
            empty_band: Some("hard".to_owned()),
            unused,
            ..Facts::default()
        };
        let warned = check(&facts, &[]).join("\n");
        for part in [
            "random (12 proposed, 3 of them dropped",
            "epoch 4 wanted hard",
        ] {
            assert!(warned.contains(part), "{warned}");
        }
    }

    #[test]
    fn a_band_is_empty_if_it_fell_short_and_nothing_is_in_it() {
        let counts = |of: &[(&str, u64)]| -> Vec<(String, u64)> {
            of.iter()
                .map(|(band, n)| ((*band).to_owned(), *n))
                .collect()
        };
        let pool = [("easy", 3), ("medium", 0)];
        for (short, in_pool, expected) in [
            (&[][..], &pool[..], None),
            (&[("easy", 2)], &pool, None),
            (&[("medium", 2)], &pool, Some("medium")),
            (&[("easy", 1), ("hard", 2)], &pool, Some("hard")),
            (&[("any", 2)], &pool, None),
            (&[("any", 2)], &[], None),
        ] {
            let epoch = EpochBands {
                short: counts(short),
                in_pool: counts(in_pool),
            };
            assert_eq!(empty_band(&epoch).as_deref(), expected, "{epoch:?}");
        }
    }
}
