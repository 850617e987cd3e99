//! What may stand under `evaluate.slices`, what it becomes in a plan, and what is said of everything else.

use orchestrator_tests::{experiment, fail, small_experiment, succeed};
use serde_json::Value;

use crate::{sliced, two_fields};

#[test]
fn plans_without_slices_are_as_they_were() {
    let check = |text: &str| {
        let folder = experiment(text);
        succeed(&["check", "x.yaml"], folder.path())
    };
    let plain = check(&two_fields());
    assert!(!plain.contains("slices"));
    let off = "evaluate: { slices: [nuance: off, long_tail: off] }\n";
    assert_eq!(check(&format!("{}{off}", two_fields())), plain);
    let with = check(&sliced());
    for part in [
        "share: 0.3",
        "nuance/contradict_rules",
        "delete: 0.1",
        "claims: test",
    ] {
        assert!(with.contains(part), "{part}: {with}");
    }
}

/// (what stands in `evaluate:`, exit code, what the error says)
const WRONG: &[(&str, i32, &[&str])] = &[
    (
        "{ slices: nuance }",
        2,
        &["`slices` must be a list", "x.yaml:21:"],
    ),
    (
        "{ slices: [nuace] }",
        2,
        &[
            "there is no slice `nuace`",
            "did you mean `nuance`?",
            "x.yaml:21:22",
        ],
    ),
    (
        "{ slices: [3] }",
        2,
        &["here goes one slice", "long_tail: { share: 0.25 }"],
    ),
    (
        "{ slices: [nuance, nuance] }",
        2,
        &["`nuance` is here a second time"],
    ),
    (
        "{ slices: [long_tail: { shar: 0.2 }] }",
        2,
        &["unknown key `shar`", "did you mean `share`?"],
    ),
    (
        "{ slices: [long_tail: { share: 1 }] }",
        2,
        &["`share` must be above 0 and below 1, not 1"],
    ),
    (
        "{ slices: [nuance: { by: mnrl }] }",
        2,
        &["there is no augmenter `mnrl`", "`mnrl` is a loss"],
    ),
    (
        "{ slices: [nuance: { by: { contradict_rules: { max_word: 3 } } }] }",
        2,
        &[
            "no setting `max_word`",
            "did you mean `max_words`?",
            "x.yaml:21:",
        ],
    ),
    (
        "{ slices: [nuance: { by: { contradict_llm: { model: m } } }] }",
        2,
        &["asks a language model, and the experiment names no endpoint"],
    ),
    (
        "{ slices: [adversarial: { by: [char_noise, char_noise] }] }",
        2,
        &[
            "`adversarial/char_noise` is here a second time",
            "as: another_name",
        ],
    ),
    (
        "{ slices: [adversarial: { by: [char_noise: { as: distractors }] }] }",
        2,
        &["`distractors` is a slice of its own"],
    ),
    (
        "{ slices: [adversarial: { by: [], distractors: off }] }",
        2,
        &["has nothing to edit by"],
    ),
    (
        "{ slices: [cross_domain: { corpora: [phsics] }] }",
        2,
        &[
            "data.other has no corpus `phsics`",
            "did you mean `physics`?",
        ],
    ),
    (
        "{ slices: [cross_domain: { claims: tset }] }",
        3,
        &["no split `tset`", "train, dev and test"],
    ),
];

#[test]
fn bad_settings_are_told_at_their_place() {
    for (evaluate, code, says) in WRONG {
        let folder = experiment(&format!("{}evaluate: {evaluate}\n", two_fields()));
        let shown = fail(&["check", "x.yaml"], folder.path(), *code);
        for part in *says {
            assert!(shown.contains(part), "{evaluate}: no `{part}` in\n{shown}");
        }
    }
    let nowhere = format!(
        "{}evaluate: {{ slices: [cross_domain] }}\n",
        small_experiment()
    );
    let folder = experiment(&nowhere);
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert!(shown.contains("data.other names none"), "{shown}");
    // What is trained on is no other domain, and what is scored is not lent to samplers.
    let same = sliced().replace(
        "fields: [biomedicine, cognition_society]",
        "fields: [biomedicine, materials_physics]",
    );
    let folder = experiment(&same);
    let shown = fail(&["check", "x.yaml"], folder.path(), 3);
    assert!(
        shown.contains("52 documents of `physics` are documents of the corpus"),
        "{shown}"
    );
    assert!(shown.contains("x.yaml:2:"), "{shown}");
    let mined = sliced().replace("    - random: { per_anchor: 2 }\n", "    - cross_domain\n");
    let folder = experiment(&mined);
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert!(shown.contains("none is left for `cross_domain`"), "{shown}");
}

#[test]
fn the_schema_of_editors_takes_what_is_taken_and_refuses_what_is_refused() {
    let folder = experiment("");
    let schema: Value = serde_json::from_str(&succeed(&["schema"], folder.path())).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let takes = |evaluate: &str| {
        let text = format!("{}evaluate: {evaluate}\n", two_fields());
        let read: Value = serde_yaml::from_str(&text).unwrap();
        validator.is_valid(&read)
    };
    for fine in [
        "{ slices: [nuance, long_tail, adversarial, cross_domain] }",
        "{ slices: [nuance: { by: { contradict_rules: { per_sample: 1 } } }, long_tail: off] }",
        "{ slices: [adversarial: { by: [word_noise, char_noise: { as: typing, keyboard: 0.1 }], distractors: off }] }",
        "{ slices: [cross_domain: { corpora: [physics], claims: dev }] }",
    ] {
        assert!(takes(fine), "{fine}");
    }
    for wrong in [
        "{ slices: [nuace] }",
        "{ slices: [long_tail: { share: 2 }] }",
        "{ slices: [nuance: { by: mnrl }] }",
        "{ slices: [adversarial: { distractor: off }] }",
    ] {
        assert!(!takes(wrong), "{wrong}");
    }
}
