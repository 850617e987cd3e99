//! Plugins in a process of their own: the same bits as here, and whatever they do is an error that names them.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orchestrator_plugin_host::{
    Batch, ChatEndpoint, ChildCommand, Context, CurrentModel, Error, Host, Instance, Isolation,
    Kind, Lexical, Limits, Metrics, NamedModels, SearchPath, Services, Table, TopicModel, trust,
};
use orchestrator_tests::{built, c_library, library, repository};
use serde_json::{Value, json};

fn children() -> ChildCommand {
    ChildCommand {
        program: built().join("orchestrator"),
        arguments: vec!["plugin-child".into()],
        environment: Vec::new(),
    }
}

/// A host that knows the shipped libraries and `further`.
fn load(folder: &Path, further: &[&Path]) -> Result<Host, Error> {
    let lock = folder.join("plugins.lock");
    for library in further {
        trust(library, &lock).unwrap();
    }
    Host::load(&SearchPath {
        beside_executable: Some(built().to_owned()),
        further: further.iter().map(|path| (*path).to_owned()).collect(),
        lock,
        copies: folder.join("copies"),
        children: Some(children()),
    })
}

fn wild(folder: &Path) -> Host {
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let wild = c_library(folder, "misbehaving", &source.unwrap(), &[]);
    load(folder, &[&wild]).unwrap()
}

/// Everything the host can lend, made of arithmetic.
struct World {
    metrics: Metrics,
    corpus: Table,
    judgements: Table,
    held_out: Table,
    pool: Table,
    others: Vec<(String, Table)>,
    files: BTreeMap<String, Vec<u8>>,
    cancelled: AtomicBool,
}

fn number(text: &str) -> f32 {
    text.bytes().map(f32::from).sum::<f32>() / 997.0
}

impl CurrentModel for World {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        anchors
            .iter()
            .map(|&anchor| {
                (anchor < 1000).then(|| {
                    (0..k.min(4) as i64)
                        .map(|place| ((anchor + place) % 4, 0.9 - place as f32 / 7.0))
                        .collect()
                })
            })
            .collect()
    }
    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        let pairs = anchors.iter().zip(documents);
        Some(pairs.map(|(a, d)| (a * 3 + d) as f32 / 11.0).collect())
    }
    fn dim(&self) -> usize {
        3
    }
    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        texts
            .iter()
            .flat_map(|text| [number(text), -0.0, f32::MIN_POSITIVE / 2.0])
            .collect()
    }
}

impl Lexical for World {
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>> {
        queries
            .iter()
            .map(|query| {
                (0..k.min(2) as i64)
                    .map(|place| (place, number(query)))
                    .collect()
            })
            .collect()
    }
}

impl TopicModel for World {
    fn count(&self) -> usize {
        2
    }
    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        texts
            .iter()
            .flat_map(|text| [number(text), 1.0 - number(text)])
            .collect()
    }
    fn documents(&self) -> &[f32] {
        &[0.25, 0.75, 0.5, 0.5, 1.0, 0.0, 0.1, 0.9]
    }
}

impl NamedModels for World {
    fn knows(&self, model: &str) -> bool {
        model == "initial"
    }
    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        (model == "initial").then(|| pairs.iter().map(|(a, b)| number(a) - number(b)).collect())
    }
}

impl ChatEndpoint for World {
    fn complete(&self, requests: &[&str], _: &dyn Fn() -> bool) -> Vec<Result<String, String>> {
        requests
            .iter()
            .map(|request| match request.contains('2') {
                true => Err(format!("no answer to {request}")),
                false => Ok(format!("an answer to {request}")),
            })
            .collect()
    }
}

fn documents(texts: &[&str]) -> Table {
    Table::new(texts.len())
        .i64s("document", (0..texts.len() as i64).collect())
        .strings("id", (0..texts.len()).map(|n| format!("d{n}")))
        .strings("title", texts.iter().map(|text| &text[..3]))
        .string_lists("sentences", texts.iter().map(|text| text.split(". ")))
        .strings("metadata", texts.iter().map(|_| "{\"retracted\": false}"))
        .seal()
}

fn samples(anchors: &[i64]) -> Table {
    let n = anchors.len();
    Table::new(n)
        .i64s("anchor", anchors.to_vec())
        .i64s("document", (0..n as i64).map(|row| row % 5 - 1).collect())
        .strings("anchor_text", (0..n).map(|row| format!("claim {row}")))
        .strings("text", (0..n).map(|row| "word ".repeat(row % 17 + 1)))
        .i32s("role", (0..n).map(|row| row as i32 % 2 + 1).collect())
        .f32s("label", vec![0.5; n])
        .f32s("weight", vec![1.0; n])
        .f32s("score", vec![f32::NAN; n])
        .strings("source", (0..n).map(|_| "random"))
        .strings("metadata", (0..n).map(|_| "{}"))
        .seal()
}

fn anchors(numbers: &[i64]) -> Table {
    Table::new(numbers.len())
        .i64s("anchor", numbers.to_vec())
        .strings("id", numbers.iter().map(|n| format!("a{n}")))
        .strings("text", numbers.iter().map(|n| format!("the claim {n}")))
        .strings("metadata", numbers.iter().map(|_| "{}"))
        .seal()
}

impl World {
    fn new() -> Self {
        Self {
            metrics: Metrics::default(),
            corpus: documents(&[
                "A first text. It has two sentences",
                "Another one of several words",
                "The third. Short. And done",
                "A fourth about nothing at all",
            ]),
            judgements: Table::new(3)
                .i64s("anchor", vec![3, 5, 5])
                .i64s("document", vec![0, 1, 2])
                .strings("label", ["support", "contradict", "neutral"])
                .bools("relevant", &[true, true, false])
                .f32s("grade", vec![1.0, 0.0, 0.5])
                .i32_lists("sentences", [vec![0, 1], vec![], vec![2]])
                .seal(),
            held_out: Table::new(1)
                .strings("id", ["t1"])
                .strings("split", ["test"])
                .strings("text", ["a claim of the test"])
                .seal(),
            pool: samples(&[3, 5]),
            others: vec![(
                "notes".to_owned(),
                documents(&["One note. Of two sentences"]),
            )],
            files: BTreeMap::from([("a.txt".to_owned(), vec![0, 255, 7])]),
            cancelled: AtomicBool::new(false),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            step: 12,
            seed: 0xDEAD_BEEF_0000_0001,
            services: Services {
                corpus: Some(&self.corpus),
                judgements: Some(&self.judgements),
                model: Some(self),
                bm25: Some(self),
                topics: Some(self),
                corpora: Some(&self.others),
                held_out: Some(&self.held_out),
                pool: Some(&self.pool),
                files: Some(&self.files),
                models: Some(self),
                chat: Some(self),
                metrics: Some(&self.metrics),
                cancelled: Some(&self.cancelled),
                ..Services::default()
            },
        }
    }
}

/// The same plugin with the same settings, here and in a process of its own.
fn both(host: &Host, kind: Kind, name: &str, settings: &Value) -> [Instance; 2] {
    let plugin = host.find(kind, name).unwrap();
    [Isolation::None, Isolation::Process(Limits::default())]
        .map(|isolation| plugin.create_in(isolation, name, settings, 5).unwrap())
}

#[test]
fn samples_verdicts_and_choices_are_the_same_here_and_in_a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let host = load(folder.path(), &[&library("orchestrator_misbehaving")]).unwrap();
    let (world, numbers) = (World::new(), [3, 5]);
    let (table, known) = (anchors(&numbers), BTreeSet::from([3, 5]));
    for (name, settings) in [
        ("explicit_positive", json!({ "join": "both" })),
        ("explicit_negative", json!({})),
        ("random", json!({ "per_anchor": 2 })),
        ("hard_negative", json!({ "top_k": 4, "per_anchor": 3 })),
        ("borrower", json!({ "file": "a.txt" })),
    ] {
        let [here, there] = both(&host, Kind::Sampler, name, &settings);
        let context = world.context();
        let proposed = here.propose(&context, &table, &known).unwrap();
        assert!(!proposed.candidates.is_empty(), "{name}");
        let reported = world.metrics.take();
        assert_eq!(name == "borrower", !reported.is_empty(), "{name}");
        for _ in 0..2 {
            assert_eq!(proposed, there.propose(&context, &table, &known).unwrap());
            assert_eq!(reported, world.metrics.take());
        }
    }
    let given = samples(&[3; 40]);
    let [here, there] = both(&host, Kind::Augmenter, "char_noise", &json!({}));
    let known = BTreeSet::from([3]);
    assert_eq!(
        here.augment(&world.context(), &given, &known).unwrap(),
        there.augment(&world.context(), &given, &known).unwrap()
    );
    for (name, settings) in [
        ("word_count", json!({ "min_words": 8 })),
        ("retracted", json!({})),
    ] {
        let [here, there] = both(&host, Kind::Filter, name, &settings);
        here.prepare(&world.context()).unwrap();
        there.prepare(&world.context()).unwrap();
        assert_eq!(
            here.judge(&world.context(), &given).unwrap(),
            there.judge(&world.context(), &given).unwrap()
        );
    }
    let pool = Table::new(30)
        .i64s("anchor", vec![3; 30])
        .i64s("document", (0..30).collect())
        .strings("anchor_text", (0..30).map(|_| "claim"))
        .strings("text", (0..30).map(|n| format!("text {n}")))
        .f32s("score", (0..30).map(|n| n as f32 / 30.0).collect())
        .f32s(
            "probability",
            (0..30).map(|n| (n * 7 % 30) as f32 / 30.0).collect(),
        )
        .f32s("probability_initial", vec![0.5; 30])
        .f32s("probability_bm25", vec![0.5; 30])
        .seal();
    let [here, there] = both(&host, Kind::Selector, "margin", &json!({}));
    let chosen = here.select(&world.context(), &pool, 7).unwrap();
    assert!(!chosen.is_empty());
    assert_eq!(chosen, there.select(&world.context(), &pool, 7).unwrap());
}

/// Two groups of a positive and a negative each, with a teacher's scores.
fn batch() -> Batch {
    let dim = 5;
    Batch {
        dim,
        embeddings: (0..6 * dim)
            .map(|n| ((n * 37 % 23) as f32 - 11.0) / 7.0)
            .collect(),
        row_anchor: vec![0, 0, 1, 1],
        row_text: vec![2, 3, 4, 5],
        row_label: vec![1.0, 0.0, 0.7, 0.1],
        row_weight: vec![1.0, 2.0, 0.5, 1.0],
        row_teacher: vec![0.9, 0.1, 0.8, f32::MIN_POSITIVE / 4.0],
        group_anchor: vec![0, 1],
        positive_offsets: vec![0, 1, 2],
        positive_rows: vec![0, 2],
        negative_offsets: vec![0, 1, 2],
        negative_rows: vec![1, 3],
        known_relevant: vec![0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    }
}

#[test]
fn losses_and_gradients_are_the_same_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let host = load(folder.path(), &[&library("orchestrator_misbehaving")]).unwrap();
    let batch = batch();
    let teacher: Vec<f32> = (0..batch.embeddings.len())
        .map(|n| n as f32 / 31.0)
        .collect();
    let metrics = Metrics::default();
    let context = Context {
        step: 9,
        services: Services {
            teacher: Some((batch.dim, &teacher)),
            metrics: Some(&metrics),
            ..Services::default()
        },
        ..Context::default()
    };
    let bits = |values: &[f32]| values.iter().map(|one| one.to_bits()).collect::<Vec<u32>>();
    for name in ["mnrl", "contrastive", "cosine_similarity", "borrowing_loss"] {
        let [here, there] = both(&host, Kind::Loss, name, &json!({}));
        assert_eq!(here.needs().unwrap(), there.needs().unwrap());
        let expected = here.forward(&context, &batch).unwrap();
        let reported = metrics.take();
        assert_eq!(name == "mnrl", !reported.is_empty(), "{name}");
        for _ in 0..3 {
            let found = there.forward(&context, &batch).unwrap();
            assert_eq!(found.loss.to_bits(), expected.loss.to_bits(), "{name}");
            assert_eq!(found.rows, expected.rows, "{name}");
            assert_eq!(bits(&found.gradient), bits(&expected.gradient), "{name}");
            assert_eq!(metrics.take(), reported, "{name}");
        }
    }
}

#[test]
fn progress_is_shown_and_a_step_without_a_teacher_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let host = load(folder.path(), &[&library("orchestrator_misbehaving")]).unwrap();
    let world = World::new();
    let shown = RefCell::new(Vec::new());
    let show = |done, total, label: &str| shown.borrow_mut().push((done, total, label.to_owned()));
    let mut context = world.context();
    context.services.progress = Some(&show);
    let [_, there] = both(
        &host,
        Kind::Sampler,
        "borrower",
        &json!({ "file": "a.txt" }),
    );
    let known = BTreeSet::from([3]);
    there.propose(&context, &anchors(&[3]), &known).unwrap();
    let (first, last) = (shown.borrow()[0].clone(), shown.borrow().last().cloned());
    assert_eq!(first, (0, 1, "asking".to_owned()));
    assert_eq!(last, Some((1, 1, "asked".to_owned())));
    let [_, there] = both(&host, Kind::Loss, "borrowing_loss", &json!({}));
    let error = there.forward(&Context::default(), &batch()).unwrap_err();
    assert!(error.to_string().contains("orch.teacher/1"), "{error}");
    // An error that it returns is not the end of it.
    assert!(there.needs().unwrap().teacher);
}

/// Makes the call that the kind is for.
fn use_once(
    host: &Host,
    kind: Kind,
    how: &str,
    limits: Limits,
    context: &Context<'_>,
) -> Result<(), Error> {
    let name = match kind {
        Kind::Sampler => "wild_sampler",
        Kind::Selector => "wild_selector",
        Kind::Augmenter => "wild_augmenter",
        Kind::Filter => "wild_filter",
        Kind::Loss => "wild_loss",
    };
    let plugin = host.find(kind, name).unwrap();
    let isolation = Isolation::Process(limits);
    let instance = plugin.create_in(isolation, name, &json!({ "how": how }), 5)?;
    let (given, known) = (samples(&[3, 5]), BTreeSet::from([3, 5]));
    match kind {
        Kind::Sampler => instance
            .propose(context, &anchors(&[3, 5]), &known)
            .map(drop),
        Kind::Augmenter => instance.augment(context, &given, &known).map(drop),
        Kind::Filter => {
            instance.prepare(context)?;
            instance.judge(context, &given).map(drop)
        }
        Kind::Selector => instance.select(context, &given, 1).map(drop),
        Kind::Loss => {
            instance.needs()?;
            instance.forward(context, &batch()).map(drop)
        }
    }
}

const FAST: Limits = Limits {
    timeout: 1,
    memory_mib: 128,
};

#[test]
fn whatever_a_plugin_does_in_its_process_is_an_error_that_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let host = wild(folder.path());
    let world = World::new();
    use Kind::{Augmenter, Filter, Loss, Sampler, Selector};
    for (kind, how, said) in [
        (
            Sampler,
            "segfault",
            "`wild_sampler` crashed in propose: signal 11 (SIGSEGV",
        ),
        (
            Augmenter,
            "segfault",
            "`wild_augmenter` crashed in augment: signal 11",
        ),
        (
            Filter,
            "segfault",
            "`wild_filter` crashed in judge: signal 11",
        ),
        (
            Selector,
            "segfault",
            "`wild_selector` crashed in select: signal 11",
        ),
        (
            Loss,
            "segfault",
            "`wild_loss` crashed in forward: signal 11",
        ),
        (Loss, "crash_in_needs", "crashed in needs: signal 11"),
        (Filter, "crash_in_prepare", "crashed in prepare: signal 11"),
        (Sampler, "crash_in_create", "crashed in create: signal 11"),
        (Sampler, "hang_in_create", "took more than 1 s in create"),
        (Sampler, "stack", "crashed in propose: signal 6 (SIGABRT"),
        (Sampler, "abort", "crashed in propose: signal 6 (SIGABRT"),
        (
            Sampler,
            "exit",
            "crashed in propose: it ended the process with exit code 3",
        ),
        (Sampler, "memory", "crashed in propose: signal 6 (SIGABRT"),
        (
            Sampler,
            "hang",
            "`wild_sampler` took more than 1 s in propose, and was ended",
        ),
        (
            Loss,
            "hang",
            "`wild_loss` took more than 1 s in forward, and was ended",
        ),
        (Sampler, "closes", "it closed the connection to the run"),
        (
            Sampler,
            "shouts",
            "its process sent what cannot be understood",
        ),
        (
            Sampler,
            "shouts_loudly",
            "its process sent 9223372036854775807 bytes at once",
        ),
        (Sampler, "text", "a text that is not UTF-8"),
        (Sampler, "detail", "a detail that is not UTF-8"),
        (Sampler, "null", "an empty text"),
        (
            Sampler,
            "endless",
            "more than 100000 samples for the 2 rows it was given",
        ),
        (Sampler, "endless_and_deaf", "took more than 1 s"),
        (Sampler, "counters", "it named more than 1000 counters"),
        (
            Sampler,
            "undeclared",
            "the setting `/secret`, which its schema does not declare",
        ),
        (Sampler, "message", "\u{fffd}\u{fffd} what"),
        (Sampler, "status", "status 4711, no message"),
        (Sampler, "metric_bytes", "whose name is not UTF-8"),
        (Filter, "metric_null", "a metric called \"\""),
        (Loss, "metric_nan", "the metric `loss` is NaN"),
        (Sampler, "metric_flood", "more than 32 metrics in one call"),
        (Selector, "metric_and_error", "a metric called \"a b\""),
        (Augmenter, "parent", "parent 2, of 2"),
        (Filter, "forges", "`keep` has 0 values, not 2"),
        (Filter, "keep", "keep[0] is 2"),
        (Filter, "score", "score[0] is inf"),
        (Filter, "reason", "a reason for row 0 that is not UTF-8"),
        (Filter, "reason_row", "a reason for row 2 of 2"),
        (Filter, "past_keep", "it wrote keep[2], of 2 places"),
        (Filter, "before_keep", "it wrote keep[-1], of "),
        (Filter, "past_score", "it wrote score[5], of 2 places"),
        (Selector, "many", "it chose 2 rows of a budget of 1"),
        (
            Selector,
            "very_many",
            "it chose 18446744073709551615 rows of a budget of 1",
        ),
        (Selector, "past_chosen", "it wrote chosen[1], of 1 places"),
        (Selector, "past_n", "it wrote n_chosen[1], of 1 places"),
        (Selector, "range", "row 2 of a pool of 2"),
        (Loss, "nan", "the loss is NaN"),
        (Loss, "gradient", "the gradient of text 0 is NaN at 0"),
        (Loss, "row", "the loss of row 0 is infinite"),
        (Loss, "past_row_loss", "it wrote row_loss[4], of 4 places"),
        (Loss, "past_gradient", "it wrote gradient[30], of 30 places"),
        (Loss, "far_past_gradient", "crashed in forward: signal 11"),
    ] {
        let error = use_once(&host, kind, how, FAST, &world.context()).expect_err(how);
        let shown = error.to_string();
        assert!(shown.contains(said), "{how}: {shown}");
        assert!(shown.contains("`wild_"), "{how}: {shown}");
        assert!(!error.help().is_empty());
    }
    // What it does to its own standard streams, and after its last answer, harms nobody.
    for how in [
        "prints",
        "reads",
        "metric_again",
        "crash_in_destroy",
        "hang_in_destroy",
    ] {
        let began = Instant::now();
        let used = use_once(&host, Kind::Sampler, how, FAST, &world.context());
        assert!(used.is_ok(), "{how}: {used:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{how}");
    }
}

#[test]
fn a_process_that_ended_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = wild(folder.path());
    let plugin = host.find(Kind::Loss, "wild_loss").unwrap();
    let settings = json!({ "how": "abort" });
    let instance = plugin
        .create_in(Isolation::Process(FAST), "mine", &settings, 0)
        .unwrap();
    let forward = || {
        instance
            .forward(&Context::default(), &batch())
            .unwrap_err()
            .to_string()
    };
    assert!(forward().contains("`mine` crashed in forward: signal 6"));
    assert!(forward().contains("its process had ended before"));
}

#[test]
fn a_plugin_that_is_told_to_stop_stops_and_one_that_does_not_listen_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let host = wild(folder.path());
    let patient = Limits {
        timeout: 60,
        ..FAST
    };
    for (how, least, most) in [("waits", 0.0, 3.0), ("deaf", 4.0, 10.0)] {
        let world = World::new();
        let began = Instant::now();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                world.cancelled.store(true, Ordering::Relaxed);
            });
            use_once(&host, Kind::Sampler, how, patient, &world.context())
        });
        assert!(
            matches!(result, Err(Error::Cancelled { .. })),
            "{how}: {result:?}"
        );
        let seconds = began.elapsed().as_secs_f64();
        assert!((least..most).contains(&seconds), "{how}: {seconds}");
    }
}

#[test]
fn a_library_that_crashes_while_it_is_loaded_is_named_and_nothing_of_it_runs_here() {
    let folder = tempfile::tempdir().unwrap();
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let bad = c_library(
        folder.path(),
        "initialiser",
        &source.unwrap(),
        &["-DINITIALISER"],
    );
    let error = load(folder.path(), &[&bad]).map(drop).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.contains("initialiser") && shown.contains("crashed in load: signal 11"),
        "{shown}"
    );
}

#[test]
fn without_a_program_to_start_isolation_is_refused_and_never_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut path = SearchPath {
        beside_executable: Some(built().to_owned()),
        copies: folder.path().join("copies"),
        ..SearchPath::default()
    };
    let mut refusal = || {
        let host = Host::load(&path).unwrap();
        let plugin = host.find(Kind::Loss, "mnrl").unwrap();
        let isolation = Isolation::Process(FAST);
        let made = plugin.create_in(isolation, "mnrl", &json!({}), 0);
        path.children = Some(ChildCommand {
            program: folder.path().join("nothing"),
            ..children()
        });
        made.map(drop).unwrap_err().to_string()
    };
    assert!(refusal().contains("has not said how a process is started"));
    assert!(refusal().contains("nothing` cannot be started"));
}
