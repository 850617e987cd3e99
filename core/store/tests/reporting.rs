//! Everything that a walk over the samples counts is what a plain query counts.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use orchestrator_store::{
    Anchor, Document, Influence, Overview, Provenance, Role, Run, Sample, SampleId, Score, Shown,
    Store, Suspect, Tick, Use, Verdict, sample_id,
};
use serde_json::{Map, Value};

/// Numbers without a pattern.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }
}

const ANCHORS: usize = 12;
const EPOCHS: usize = 4;

fn tick(store: &mut Store, kind: &str, detail: &str, write: impl FnOnce(&Tick<'_>)) {
    let number = store.last_tick().unwrap().map_or(0, |last| last + 1);
    let tick = store.tick(number, kind, detail).unwrap();
    write(&tick);
    tick.complete().unwrap();
}

fn propose(tick: &Tick<'_>, source: &str, of: &[(SampleId, usize, String, Role)]) {
    for (id, anchor, text, role) in of {
        tick.add_sample(&Sample {
            id: *id,
            anchor: *anchor,
            text,
            role: *role,
            label: 1.0,
            weight: 1.0,
            document: None,
            parent: None,
            difficulty: None,
        })
        .unwrap();
        tick.add_provenance(&Provenance {
            sample: *id,
            source,
            score: None,
            detail: "",
        })
        .unwrap();
    }
}

fn score(draw: &mut Draw, tick: &Tick<'_>, model: &str, of: &[(SampleId, usize, String, Role)]) {
    for (id, .., role) in of {
        if draw.below(8) == 0 {
            continue;
        }
        // The edges of bins and what lies beyond them, too.
        let similarity =
            [-1.0, 1.0, 0.02, 2.0 * draw.share() - 1.0, draw.share()][draw.below(5) as usize];
        let difficulty = [-0.7, 0.0, 1.0, 1.6, 1.5 * draw.share()][draw.below(5) as usize];
        let negative = *role == Role::Negative && draw.below(9) > 0;
        tick.add_score(&Score {
            sample: *id,
            model,
            similarity: similarity as f32,
            difficulty: negative.then_some(difficulty as f32),
            band: negative.then(|| ["easy", "medium", "hard"][draw.below(3) as usize]),
        })
        .unwrap();
    }
}

/// Sources that share samples and are asked again, filters, losses that are missing, models whose names do not sort by age.
fn store_with_everything(path: &Path) -> Store {
    let mut store = Store::create(path).unwrap();
    let mut draw = Draw(7);
    tick(&mut store, "data", "", |tick| {
        tick.add_run(&Run {
            name: "made",
            seed: 1,
            version: "0",
            data_fingerprint: "",
            plan: "{}",
        })
        .unwrap();
        tick.add_document(&Document {
            number: 0,
            id: "d0",
            title: "",
            text: "a document",
            metadata: "{}",
        })
        .unwrap();
        for number in 0..ANCHORS {
            tick.add_anchor(&Anchor {
                number,
                id: &format!("a{number}"),
                split: "train",
                text: &format!("claim {number}"),
                metadata: "{}",
            })
            .unwrap();
        }
    });
    let mut samples: Vec<(SampleId, usize, String, Role)> = Vec::new();
    for number in 0..240usize {
        let anchor = number % ANCHORS;
        let text = format!("text {number} π");
        let role = if number % 3 == 0 {
            Role::Positive
        } else {
            Role::Negative
        };
        samples.push((
            sample_id(&format!("a{anchor}"), &text, role),
            anchor,
            text,
            role,
        ));
    }
    tick(&mut store, "propose", "zeta", |tick| {
        propose(tick, "zeta", &samples[..120])
    });
    tick(&mut store, "propose", "alpha", |tick| {
        propose(tick, "alpha", &samples[100..200])
    });
    for filter in ["length", "duplicate"] {
        tick(&mut store, "judge", filter, |tick| {
            for (id, ..) in &samples[..200] {
                tick.add_verdict(&Verdict {
                    sample: *id,
                    filter,
                    keep: draw.below(7) > 0,
                    score: None,
                    reason: "",
                })
                .unwrap();
            }
        });
    }
    tick(&mut store, "score", "initial", |tick| {
        score(&mut draw, tick, "initial", &samples[..200])
    });
    let mut step = 0;
    for epoch in 0..EPOCHS {
        for part in 0..2 {
            let stage = if epoch < 2 { "easy" } else { "hard" };
            tick(
                &mut store,
                "train",
                &format!("epoch {}, {stage}", epoch + 1),
                |tick| {
                    tick.add_metric(None, "ratio", 2.0).unwrap();
                    tick.add_metric(None, "negatives_short_of_ratio", part as f64)
                        .unwrap();
                    for _ in 0..6 {
                        for (id, ..) in samples[..200]
                            .iter()
                            .filter(|_| draw.below(9) == 0)
                            .collect::<Vec<_>>()
                        {
                            tick.add_use(&Use {
                                step,
                                sample: *id,
                                epoch,
                                loss: (draw.below(5) > 0).then(|| (draw.below(40) as f32) / 8.0),
                            })
                            .unwrap();
                        }
                        step += 1;
                    }
                },
            );
        }
        if epoch == 1 {
            tick(&mut store, "refresh", "alpha", |tick| {
                propose(tick, "alpha", &samples[150..240])
            });
            tick(&mut store, "score", "epoch-2", |tick| {
                score(&mut draw, tick, "epoch-2", &samples)
            });
        }
    }
    tick(&mut store, "score", "epoch-10", |tick| {
        score(&mut draw, tick, "epoch-10", &samples[20..])
    });
    tick(&mut store, "evaluate", "trained = epoch-3", |_| {});
    for model in ["epoch-2", "epoch-4", "epoch-10"] {
        tick(&mut store, "influence", model, |tick| {
            for (id, ..) in &samples[..200] {
                tick.add_influence(
                    model,
                    &Influence {
                        sample: *id,
                        value: draw.share() - 0.5,
                        loss: None,
                        on_its_side: draw.below(3) > 0,
                    },
                )
                .unwrap();
            }
        });
    }
    tick(&mut store, "suspect", "", |tick| {
        for (place, (id, ..)) in samples
            .iter()
            .filter(|one| one.3 == Role::Negative)
            .enumerate()
        {
            tick.add_suspect(&Suspect {
                sample: *id,
                place: place + 1,
                probability: 1.0 / (place + 1) as f64,
                evidence: "{}",
            })
            .unwrap();
        }
    });
    store
}

/// The rows of a query as they are and as they were counted, value for value; means and sums but for rounding.
fn assert_same(store: &Store, what: &str, sql: &str, counted: &[Value]) {
    let plain = store.query(sql).unwrap();
    assert!(!plain.is_empty(), "{what}: the store has none");
    assert_eq!(plain.len(), counted.len(), "{what}: rows");
    for (place, (row, counted)) in plain.iter().zip(counted).enumerate() {
        for (name, value) in row {
            let of: &Map<String, Value> = counted.as_object().unwrap();
            let same = match (value.as_f64(), of[name].as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                _ => *value == of[name],
            };
            assert!(
                same,
                "{what}, row {place}: {name} is {value} and was counted {}",
                of[name]
            );
        }
    }
}

fn values<T: serde::Serialize>(rows: &[T]) -> Vec<Value> {
    rows.iter()
        .map(|row| serde_json::to_value(row).unwrap())
        .collect()
}

/// Bins with something in them, as rows.
fn bins(of: &[(&str, &str, &[u64])]) -> Vec<Value> {
    let mut rows = Vec::new();
    for (first, second, counts) in of {
        for (bin, n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            rows.push(serde_json::json!({"of": first, "role": second, "bin": bin, "n": n}));
        }
    }
    rows
}

fn with_everything(check: impl FnOnce(&Store, &Overview)) {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_everything(&folder.path().join("store.db"));
    let overview = store.overview(Shown::default()).unwrap();
    check(&store, &overview);
}

#[test]
fn the_funnel_filters_and_epochs_are_those_of_plain_queries() {
    with_everything(|store, overview| {
        assert_same(
            store,
            "funnel",
            "WITH from_source AS (SELECT DISTINCT source, sample FROM provenance),
                  gone AS (SELECT DISTINCT sample FROM verdict WHERE keep = 0),
                  used AS (SELECT sample, count(*) AS uses, sum(epoch < 3) AS trained, avg(loss) AS loss FROM use GROUP BY sample)
             SELECT f.source, s.role, count(*) AS proposed, sum(g.sample IS NOT NULL) AS dropped,
                    sum(g.sample IS NULL AND l.sample IS NOT NULL) AS pool,
                    sum(u.sample IS NOT NULL) AS used, coalesce(sum(u.uses), 0) AS uses,
                    coalesce(sum(u.trained), 0) AS uses_in_trained, avg(u.loss) AS mean_loss,
                    sum(g.sample IS NULL AND l.sample IS NULL) AS left
             FROM from_source f
             JOIN sample s ON s.id = f.sample
             LEFT JOIN gone g ON g.sample = f.sample
             LEFT JOIN v_live l ON l.sample = f.sample
             LEFT JOIN used u ON u.sample = f.sample
             GROUP BY f.source, s.role ORDER BY min(s.tick), f.source, s.role DESC",
            &values(&overview.funnel),
        );
        assert!(overview.funnel.iter().any(|row| row.left > 0));
        assert_same(
            store,
            "filters",
            "SELECT filter, count(*) AS judged, sum(keep = 0) AS dropped FROM verdict GROUP BY filter ORDER BY min(tick), filter",
            &values(&overview.filters),
        );
        assert_same(
            store,
            "epochs",
            "SELECT u.epoch + 1 AS epoch, sum(s.role = 'positive') AS positives, sum(s.role = 'negative') AS negatives,
                    2.0 AS ratio_asked, 1 AS short, 0 AS round, CASE WHEN u.epoch < 2 THEN 'easy' ELSE 'hard' END AS band
             FROM use u JOIN sample s ON s.id = u.sample GROUP BY u.epoch ORDER BY u.epoch",
            &values(&overview.epochs),
        );
        let used = store
            .query("SELECT count(DISTINCT sample) AS n FROM use")
            .unwrap();
        assert_eq!(used[0]["n"], overview.used);
    });
}

#[test]
fn similarities_are_those_of_plain_queries() {
    with_everything(|store, overview| {
        assert_same(
            store,
            "moments",
            "WITH means AS (SELECT c.model, s.role, avg(c.similarity) AS mean FROM score c JOIN sample s ON s.id = c.sample GROUP BY 1, 2)
             SELECT c.model, s.role, min(c.tick) AS tick, count(*) AS n, m.mean AS mean, min(c.similarity) AS low, max(c.similarity) AS high
             FROM score c JOIN sample s ON s.id = c.sample JOIN means m ON m.model = c.model AND m.role = s.role
             GROUP BY c.model, s.role ORDER BY min(c.tick), s.role DESC",
            &values(&overview.similarities),
        );
        assert_same(
            store,
            "bins",
            "SELECT c.model AS of, s.role AS role, min(99, CAST((c.similarity + 1) * 50 AS INTEGER)) AS bin, count(*) AS n
             FROM score c JOIN sample s ON s.id = c.sample GROUP BY c.model, s.role, bin ORDER BY min(c.tick) - 100 * (c.model = 'initial'), s.role DESC, bin",
            &{
                let mut rows = Vec::new();
                for one in &overview.similarities {
                    rows.push((one.model.as_str(), one.role.as_str(), &one.counts[..]));
                }
                bins(&rows)
            },
        );
        for one in &overview.similarities {
            let squares = store
                .query(&format!(
                    "SELECT sum((c.similarity - {:?}) * (c.similarity - {:?})) AS sum FROM score c JOIN sample s ON s.id = c.sample
                     WHERE c.model = '{}' AND s.role = '{}'",
                    one.mean, one.mean, one.model, one.role
                ))
                .unwrap();
            let deviation = (squares[0]["sum"].as_f64().unwrap() / (one.n - 1) as f64).sqrt();
            assert!((deviation - one.deviation).abs() < 1e-9);
        }
    });
}

#[test]
fn difficulties_are_those_of_plain_queries() {
    let bin = "max(0, min(23, CAST((c.difficulty + 0.5) * 12 AS INTEGER)))";
    // Below 0 a cast rounds up: what is below the first bin is counted there all the same.
    let sums = "count(*) AS n, avg(c.difficulty) AS mean, sum(c.difficulty < 0) AS too_easy, sum(c.difficulty > 1) AS likely_false";
    let bands = "sum(c.band = 'easy') AS easy, sum(c.band = 'medium') AS medium, sum(c.band = 'hard') AS hard";
    let first = "score c ON c.sample = u.sample AND c.tick = (SELECT min(d.tick) FROM score d WHERE d.sample = u.sample) AND c.difficulty IS NOT NULL";
    let by_epoch = format!("FROM use u JOIN {first}");
    let by_stage = format!("FROM use u JOIN tick t ON t.number = u.tick JOIN {first}");
    let by_source = "FROM (SELECT DISTINCT sample, source FROM provenance) p JOIN score c ON c.sample = p.sample
        AND c.tick = (SELECT max(number) FROM tick WHERE kind = 'score') AND c.difficulty IS NOT NULL";
    let source_order = "p.source";
    with_everything(|store, overview| {
        for (what, of, from, order, counted) in [
            (
                "by epoch",
                "CAST(u.epoch + 1 AS TEXT)",
                &by_epoch[..],
                "u.epoch",
                &overview.difficulty_by_epoch,
            ),
            (
                "by stage",
                "substr(t.detail, 10)",
                &by_stage,
                "min(u.tick)",
                &overview.difficulty_by_stage,
            ),
            (
                "by source",
                "p.source",
                by_source,
                source_order,
                &overview.difficulty_by_source,
            ),
        ] {
            let sql = format!("SELECT {of} AS of, {sums} {from} GROUP BY 1 ORDER BY {order}");
            assert_same(store, what, &sql, &values(counted));
            let of_bands: Vec<Value> = counted
                .iter()
                .map(|one| serde_json::json!({"easy": one.bands[0], "medium": one.bands[1], "hard": one.bands[2]}))
                .collect();
            assert_same(
                store,
                what,
                &format!("SELECT {bands} {from} GROUP BY {of} ORDER BY {order}"),
                &of_bands,
            );
            for one in counted {
                let sql = format!(
                    "SELECT {bin} AS bin, count(*) AS n {from} WHERE {of} = '{}' GROUP BY 1 ORDER BY 1",
                    one.of
                );
                assert_same(store, what, &sql, &bins(&[("", "", &one.counts)]));
            }
        }
    });
}

#[test]
fn losses_are_those_of_plain_queries() {
    with_everything(|store, overview| {
        for (place, share) in [0.05, 0.25, 0.5, 0.75, 0.95].into_iter().enumerate() {
            // The least value that a share of them does not exceed.
            let sql = format!(
                "WITH all_of AS (SELECT epoch, loss, count(*) OVER (PARTITION BY epoch) AS n,
                                        cume_dist() OVER (PARTITION BY epoch ORDER BY loss) AS below FROM use WHERE loss IS NOT NULL)
                 SELECT epoch + 1 AS epoch, max(n) AS n, min(loss) AS value FROM all_of WHERE below >= {share} - 1e-12 GROUP BY epoch ORDER BY epoch"
            );
            let counted: Vec<Value> = overview
                .losses
                .iter()
                .map(|one| serde_json::json!({"epoch": one.epoch, "n": one.n, "value": one.quantiles[place]}))
                .collect();
            assert_same(store, "losses", &sql, &counted);
        }
        let sql = "SELECT sample, avg(loss) AS value, count(loss) AS of FROM use GROUP BY sample HAVING count(loss) > 0 ORDER BY 2 DESC, 1 LIMIT 20";
        assert_same(store, "hardest", sql, &values(&overview.hardest.first));
        let all = store
            .query("SELECT count(DISTINCT sample) AS n FROM use WHERE loss IS NOT NULL")
            .unwrap();
        assert_eq!(all[0]["n"], overview.hardest.all);
    });
}

#[test]
fn influence_and_forgetting_are_those_of_plain_queries() {
    with_everything(|store, overview| {
        assert_same(
            store,
            "by source",
            "SELECT p.source, s.role, count(*) AS samples, sum(i.value) AS sum, sum(i.value < 0) AS harmful
             FROM (SELECT sample, sum(value) AS value FROM influence GROUP BY sample) i JOIN sample s ON s.id = i.sample
             JOIN (SELECT DISTINCT sample, source FROM provenance) p ON p.sample = i.sample
             GROUP BY p.source, s.role ORDER BY p.source, s.role DESC",
            &values(&overview.influences),
        );
        for (side, order, ranked) in [
            ("> 0", "DESC", &overview.helpful),
            ("< 0", "ASC", &overview.harmful),
        ] {
            let summed = format!(
                "SELECT sample, sum(value) AS value, count(*) AS of FROM influence GROUP BY sample HAVING sum(value) {side}"
            );
            assert_same(
                store,
                side,
                &format!("{summed} ORDER BY 2 {order}, 1 LIMIT 20"),
                &values(&ranked.first),
            );
            let all = store
                .query(&format!("SELECT count(*) AS n FROM ({summed})"))
                .unwrap();
            assert_eq!(all[0]["n"], ranked.all);
        }
        let events = "WITH versions AS (SELECT sample, on_its_side, lag(on_its_side) OVER (PARTITION BY sample ORDER BY tick) AS before FROM influence),
                           counted AS (SELECT sample, sum(before = 1 AND on_its_side = 0) AS events, max(on_its_side) AS ever, count(*) AS of
                                       FROM versions GROUP BY sample)";
        let all = serde_json::json!({
            "samples": overview.forgetting.samples, "events": overview.forgetting.events,
            "never": overview.forgetting.never_learned, "forgotten": overview.forgetting.forgotten.all,
        });
        let sql = format!(
            "{events} SELECT count(*) AS samples, sum(events) AS events, sum(ever = 0) AS never, sum(events > 0) AS forgotten FROM counted"
        );
        assert_same(store, "forgetting", &sql, &[all]);
        let sql = format!(
            "{events} SELECT sample, CAST(events AS REAL) AS value, of FROM counted WHERE events > 0 ORDER BY events DESC, sample LIMIT 20"
        );
        assert_same(
            store,
            "forgotten",
            &sql,
            &values(&overview.forgetting.forgotten.first),
        );
    });
}

#[test]
fn named_samples_are_the_first_by_id() {
    with_everything(|store, overview| {
        for (named, sql, n) in [
            (
                &overview.examples,
                "SELECT DISTINCT sample FROM provenance WHERE source = 'OF' ORDER BY 1 LIMIT 3",
                2,
            ),
            (
                &overview.rejected,
                "SELECT sample FROM verdict WHERE filter = 'OF' AND keep = 0 ORDER BY 1 LIMIT 4",
                2,
            ),
        ] {
            assert_eq!(named.len(), n);
            for one in named {
                let counted: Vec<Value> = one
                    .samples
                    .iter()
                    .map(|id| serde_json::json!({"sample": id}))
                    .collect();
                assert_same(store, &one.of, &sql.replace("OF", &one.of), &counted);
            }
        }
    });
}

#[test]
fn an_empty_store_has_an_overview() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("store.db")).unwrap();
    let overview = store.overview(Shown::default()).unwrap();
    assert!(overview.funnel.is_empty() && overview.epochs.is_empty());
    assert_eq!(overview.forgetting.samples, 0);
}

#[test]
fn a_view_says_of_one_sample_what_it_says_of_all() {
    with_everything(|store, _| {
        assert_same(
            store,
            "kept",
            "SELECT s.id, NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0)
                    AND s.id IN (SELECT sample FROM v_live) AS kept FROM sample s ORDER BY s.id",
            &store
                .query("SELECT id, kept FROM v_sample ORDER BY id")
                .unwrap()
                .into_iter()
                .map(Value::Object)
                .collect::<Vec<_>>(),
        );
    });
}
