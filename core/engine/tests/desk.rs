//! What people said to questions: who is asked next, when it is over, who decided, how far they agree.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use orchestrator_engine::desk::{Desk, Fate, Verdict, asked_last, cohen_kappa};
use orchestrator_store::{AnswerRow, QuestionView};
use serde_json::Value;

/// Questions 1, 2 … of which those in `shared` are asked of two people.
fn questions(count: u64, shared: &[u64]) -> Vec<QuestionView> {
    (1..=count)
        .map(|id| QuestionView {
            id,
            round: 1,
            anchor: 0,
            anchor_text: "claim".into(),
            document: None,
            document_id: None,
            title: None,
            document_text: None,
            text: format!("text {id}"),
            sample: None,
            role: Some(if id % 2 == 0 { "negative" } else { "positive" }.into()),
            shared: shared.contains(&id),
            similarity: None,
            probabilities: None,
            tick: 1,
        })
        .collect()
}

/// `1 ann support`, `2 bob ! skip`: `!` settles.
fn answers(lines: &[&str]) -> Vec<AnswerRow> {
    lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            let words: Vec<&str> = line.split(' ').collect();
            AnswerRow {
                id: place as u64 + 1,
                question: words[0].parse().unwrap(),
                annotator: words[1].into(),
                verdict: (*words.last().unwrap()).into(),
                settles: words[2] == "!",
                flagged: false,
                comment: String::new(),
            }
        })
        .collect()
}

fn answered(verdict: Verdict, by: &str, settled: bool) -> Fate {
    Fate::Answered {
        verdict,
        by: by.into(),
        settled,
    }
}

#[test]
fn questions_come_to_their_end() {
    use Verdict::{Contradict, Support, Unrelated};
    // Question 1 is answered once, question 2 by two.
    let cases: &[(&[&str], Fate, Fate, &str)] = &[
        (&[], Fate::Open, Fate::Open, "nothing said"),
        (
            &["1 ann support"],
            answered(Support, "ann", false),
            Fate::Open,
            "one is enough for one",
        ),
        (
            &["1 ann support", "1 ann undo"],
            Fate::Open,
            Fate::Open,
            "taken back",
        ),
        (
            &["1 ann support", "1 ann contradict"],
            answered(Contradict, "ann", false),
            Fate::Open,
            "the last counts",
        ),
        (
            &["1 ann support", "1 ann contradict", "1 ann undo"],
            answered(Support, "ann", false),
            Fate::Open,
            "the one before stands again",
        ),
        (
            &["1 ann undo", "1 ann support"],
            answered(Support, "ann", false),
            Fate::Open,
            "nothing to take back",
        ),
        (
            &["2 ann support", "2 ann support"],
            Fate::Open,
            Fate::Open,
            "one person is not two",
        ),
        (
            &["2 ann support", "2 bob support"],
            Fate::Open,
            answered(Support, "ann, bob", false),
            "two agree",
        ),
        (
            &["2 ann support", "2 bob unrelated"],
            Fate::Open,
            Fate::Disputed,
            "two disagree",
        ),
        (
            &["2 ann support", "2 bob unrelated", "2 ann ! unrelated"],
            Fate::Open,
            answered(Unrelated, "ann", true),
            "one of them settles it",
        ),
        (
            &["2 ann support", "2 bob unrelated", "2 cy ! support"],
            Fate::Open,
            answered(Support, "cy", true),
            "a third settles it",
        ),
        (
            &[
                "2 ann support",
                "2 bob unrelated",
                "2 cy ! support",
                "2 cy ! undo",
            ],
            Fate::Open,
            Fate::Disputed,
            "what settled is taken back",
        ),
        (
            &["2 ann support", "2 bob unrelated", "2 cy ! skip"],
            Fate::Open,
            Fate::Left,
            "cannot be told",
        ),
        (
            &["2 ann support", "2 bob skip"],
            Fate::Open,
            answered(Support, "ann", false),
            "nobody else takes part",
        ),
        (
            &["2 ann support", "2 bob skip", "1 cy support"],
            answered(Support, "cy", false),
            Fate::Open,
            "a third takes part",
        ),
        (
            &["1 ann skip"],
            Fate::Left,
            Fate::Open,
            "the only one passes it by",
        ),
        (
            &["1 ann skip", "2 bob support"],
            Fate::Open,
            Fate::Open,
            "another takes part",
        ),
        (
            &["1 ann skip", "1 bob skip", "2 ann skip"],
            Fate::Left,
            Fate::Open,
            "both pass one by",
        ),
        (
            &["2 ann skip"],
            Fate::Open,
            Fate::Open,
            "a shared one waits for a second person",
        ),
        (
            &["1 ann support", "1 bob contradict"],
            Fate::Disputed,
            Fate::Open,
            "two were quick",
        ),
    ];
    let questions = questions(2, &[2]);
    for (said, first, second, why) in cases {
        let said = answers(said);
        let desk = Desk::new(&questions, &said);
        assert_eq!(desk.fate(1).as_ref(), Some(first), "1: {why}");
        assert_eq!(desk.fate(2).as_ref(), Some(second), "2: {why}");
        let over = [first, second]
            .iter()
            .all(|fate| !matches!(fate, Fate::Open | Fate::Disputed));
        assert_eq!(desk.done(), over, "{why}");
    }
}

#[test]
fn nobody_is_asked_twice_nor_what_others_have_answered_or_look_at() {
    let questions = questions(4, &[2]);
    let none = BTreeMap::new();
    let next = |lines: &[&str], name: &str, held: &BTreeMap<u64, usize>| {
        let said = answers(lines);
        Desk::new(&questions, &said)
            .next(name, held)
            .map(|question| question.id)
    };
    assert_eq!(next(&[], "ann", &none), Some(1));
    assert_eq!(next(&["1 ann support"], "bob", &none), Some(2));
    assert_eq!(
        next(&["1 ann support", "2 ann support"], "ann", &none),
        Some(3)
    );
    assert_eq!(
        next(&["1 ann support", "2 ann support"], "bob", &none),
        Some(2)
    );
    assert_eq!(
        next(&["1 ann skip", "2 ann skip"], "ann", &none),
        Some(3),
        "passed by is not asked again"
    );
    assert_eq!(next(&["1 ann skip"], "bob", &none), Some(1), "handed on");
    assert_eq!(
        next(&["1 ann support", "1 ann undo"], "ann", &none),
        Some(1)
    );
    let held = BTreeMap::from([(1, 1), (2, 1)]);
    assert_eq!(
        next(&[], "ann", &held),
        Some(2),
        "a shared one may be looked at by two"
    );
    assert_eq!(
        next(&["2 bob support"], "ann", &held),
        Some(3),
        "bob answered, a third looks at it"
    );
    let all = ["1 ann support", "2 ann support", "3 bob skip", "4 bob skip"];
    assert_eq!(next(&all, "bob", &none), Some(2));
    assert_eq!(next(&all, "cy", &none), Some(2));
    assert_eq!(
        next(
            &["2 ann support", "2 bob support"],
            "cy",
            &BTreeMap::from([(1, 1)])
        ),
        Some(3),
        "two are enough"
    );
}

#[test]
fn an_undo_goes_back_one_by_one_and_not_behind_what_is_settled() {
    let questions = questions(3, &[2]);
    let lines = [
        "1 ann support",
        "2 ann support",
        "3 ann skip",
        "3 ann undo",
        "2 bob contradict",
    ];
    let said = answers(&lines);
    let last = |desk: &Desk<'_>, name| desk.last_of(name).map(|(question, _)| question.id);
    let desk = Desk::new(&questions, &said);
    assert_eq!(last(&desk, "ann"), Some(2));
    assert_eq!(last(&desk, "cy"), None);
    let mut settled = lines.to_vec();
    settled.push("2 cy ! support");
    let said = answers(&settled);
    let desk = Desk::new(&questions, &said);
    assert_eq!(last(&desk, "ann"), Some(1));
    assert_eq!(last(&desk, "bob"), None);
}

#[test]
fn progress_counts_what_is_open_for_whom() {
    let questions = questions(5, &[1, 2]);
    let said = answers(&[
        "1 ann support",
        "1 bob contradict",
        "2 ann support",
        "3 ann support",
        "4 ann skip",
    ]);
    let desk = Desk::new(&questions, &said);
    let ann = desk.progress("ann");
    assert_eq!(
        (ann.questions, ann.ended, ann.answered, ann.skipped),
        (5, 1, 3, 1)
    );
    assert_eq!((ann.open, ann.waiting, ann.disputed), (1, 2, 1));
    let bob = desk.progress("bob");
    assert_eq!((bob.answered, bob.open, bob.waiting), (1, 3, 0));
    let disputes: Vec<(u64, usize)> = desk
        .disputes()
        .map(|(question, said)| (question.id, said.len()))
        .collect();
    assert_eq!(disputes, [(1, 2)]);
}

#[test]
fn agreement_is_of_shared_questions_that_both_answered() {
    let questions = questions(6, &[1, 2, 3, 4]);
    let said = answers(&[
        "1 ann support",
        "1 bob support",
        "2 ann support",
        "2 bob unrelated",
        "3 bob unrelated",
        "3 ann unrelated",
        "4 ann support",
        "4 bob skip",
        "5 ann partial",
        "6 bob partial",
        "2 bob ! support",
    ]);
    let desk = Desk::new(&questions, &said);
    let [(one, other, agreement)] = desk.agreements()[..] else {
        panic!("one pair")
    };
    assert_eq!((one, other), ("ann", "bob"));
    assert_eq!((agreement.n, agreement.agreed), (3, 2));
    assert!((agreement.kappa.unwrap() - 0.4).abs() < 1e-12);
    // Roles by parity: 1 and 5 positive, 2 negative … What ann says, by whether it supports.
    let role = |question: &QuestionView| Some(question.role.as_deref()? == "positive");
    let heard = |verdict| matches!(verdict, Verdict::Support | Verdict::Partial);
    let with = desk.agreement_with("ann", role, heard);
    assert_eq!((with.n, with.agreed), (5, 2));
    let in_the_end = desk.agreement_in_the_end(role, heard);
    assert_eq!((in_the_end.n, in_the_end.agreed), (6, 2));
    assert_eq!(desk.agreement_with("cy", role, heard).n, 0);
}

#[test]
fn kappa_is_that_of_scikit_learn() {
    let fixture: Value = serde_json::from_str(include_str!("agreement.json")).unwrap();
    let list = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect()
    };
    for case in fixture["cases"].as_array().unwrap() {
        let pairs: Vec<(String, String)> = list(&case["first"])
            .into_iter()
            .zip(list(&case["second"]))
            .collect();
        match (cohen_kappa(&pairs).kappa, case["kappa"].as_f64()) {
            (Some(found), Some(expected)) => assert!(
                (found - expected).abs() < 1e-12,
                "{}: {found}, scikit-learn says {expected}",
                case["title"]
            ),
            (found, expected) => assert_eq!(found, expected, "{}", case["title"]),
        }
    }
    assert_eq!(cohen_kappa::<u8>(&[]).kappa, None);
}

#[test]
fn who_took_part_before_need_not_be_here_now() {
    let mut all = questions(4, &[]);
    all[2].tick = 7;
    all[3].tick = 7;
    // Bob answered in the first round; in the second only Ann is here, and passes one by.
    let said = answers(&[
        "1 ann skip",
        "2 bob support",
        "1 bob support",
        "3 ann skip",
        "4 ann partial",
    ]);
    let now = asked_last(all.clone());
    assert_eq!(
        now.iter().map(|question| question.id).collect::<Vec<_>>(),
        [3, 4]
    );
    assert!(Desk::new(&now, &said).done());
    assert!(
        !Desk::new(&all, &said).done(),
        "of all rounds together, Bob would be waited for"
    );
    assert!(asked_last(Vec::new()).is_empty());
}
