//! What people can do, and that every answer is kept once.

use orchestrator_annotate::{Ended, Error, Options, serve};
use serde_json::json;
use std::sync::atomic::AtomicBool;

use crate::client::Served;

fn ids(served: &Served) -> Vec<(u64, String, String)> {
    served
        .answers()
        .into_iter()
        .map(|row| (row.question, row.annotator, row.verdict))
        .collect()
}

#[test]
fn an_answer_is_in_the_store_when_it_is_acknowledged_and_once() {
    let served = Served::new(3, &[]);
    let view = served.ask("/api/desk", &json!({ "name": " Ann " }));
    assert_eq!(view["question"]["id"], 1);
    assert_eq!(view["name"], "Ann");
    let given = json!({ "name": "Ann", "question": 1, "verdict": "support", "flagged": true, "comment": "<b>so</b>" });
    let view = served.ask("/api/answer", &given);
    let rows = served.answers();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].flagged && rows[0].comment == "<b>so</b>");
    assert_eq!(view["question"]["id"], 2);
    assert_eq!(view["last"]["answer"], 1);
    // The page never heard, and says it again; in another spelling of the name, too.
    served.ask("/api/answer", &given);
    served.ask(
        "/api/answer",
        &json!({ "name": "ANN", "question": 1, "verdict": "support", "flagged": true, "comment": "<b>so</b>" }),
    );
    assert_eq!(served.answers().len(), 1);
    // Something else is said only after the first is taken back, and that is done once.
    let other = json!({ "name": "Ann", "question": 1, "verdict": "partial" });
    assert_eq!(
        served.refused("/api/answer", &other),
        (409, "answered".into())
    );
    for _ in 0..2 {
        let view = served.ask("/api/undo", &json!({ "name": "Ann", "answer": 1 }));
        assert_eq!(view["question"]["id"], 1, "it is put again");
    }
    let view = served.ask("/api/answer", &other);
    assert_eq!(view["question"]["id"], 2);
    let said: Vec<String> = ids(&served).into_iter().map(|row| row.2).collect();
    assert_eq!(said, ["support", "undo", "partial"]);
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let served = Served::new(2, &[]);
    for (given, status) in [
        (
            json!({ "name": "ann", "question": 9, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "ann", "question": 1, "verdict": "undo" }),
            422,
        ),
        (
            json!({ "name": "ann", "question": 1, "verdict": "yes" }),
            422,
        ),
        (
            json!({ "name": "", "question": 1, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "LLM", "question": 1, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "a,b", "question": 1, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "a\nb", "question": 1, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "a".repeat(41), "question": 1, "verdict": "support" }),
            422,
        ),
        (
            json!({ "name": "ann", "question": 1, "verdict": "support", "settles": true }),
            409,
        ),
        (
            json!({ "name": "ann", "question": 1, "verdict": "skip", "comment": "x".repeat(2001) }),
            422,
        ),
    ] {
        assert_eq!(served.refused("/api/answer", &given).0, status, "{given}");
    }
    for body in [
        "",
        "{",
        "[]",
        r#"{"name":"ann"}"#,
        r#"{"name":"ann","question":-1,"verdict":"support"}"#,
        r#"{"name":"ann","question":1,"verdict":"support","annotator":"bob"}"#,
    ] {
        let status = served.post("/api/answer", body, &[]).status;
        assert!([400, 422].contains(&status), "{body}: {status}");
    }
    assert!(served.answers().is_empty());
}

#[test]
fn two_people_are_not_given_the_same_question_and_do_not_see_each_others_answers() {
    let served = Served::new(3, &[3]);
    let question =
        |name: &str| served.ask("/api/desk", &json!({ "name": name }))["question"]["id"].clone();
    assert_eq!(question("ann"), 1);
    assert_eq!(question("bob"), 2, "ann is looking at 1");
    assert_eq!(question("ann"), 1, "hers is still hers");
    served.answer("ann", 1, "support");
    assert_eq!(question("ann"), 3);
    assert_eq!(
        served.refused(
            "/api/answer",
            &json!({ "name": "bob", "question": 1, "verdict": "partial" })
        ),
        (409, "answered".into())
    );
    served.answer("bob", 2, "support");
    served.ask("/api/answer", &json!({ "name": "ann", "question": 3, "verdict": "support", "comment": "ann's own words" }));
    let reply = served.post("/api/desk", &json!({ "name": "bob" }).to_string(), &[]);
    assert!(reply.body.contains("\"id\":3"));
    for secret in ["ann's own words", "0.125", "probabilit", "similarity"] {
        assert!(!reply.body.contains(secret), "{}", reply.body);
    }
    assert_eq!(
        served.ask("/api/disputes", &json!({}))["disputes"],
        json!([])
    );
    // What models think is told when it is asked for.
    assert_eq!(
        served.ask("/api/models", &json!({ "question": 3 })),
        json!({ "similarity": 0.25, "probabilities": [0.5, 0.25, 0.125], "role": null })
    );
    let view = served.answer("bob", 3, "unrelated");
    assert_eq!(
        (
            view["done"].as_bool(),
            view["progress"]["disputed"].as_u64()
        ),
        (Some(false), Some(1))
    );
    let disputes = served.ask("/api/disputes", &json!({}));
    assert_eq!(
        disputes["disputes"][0]["said"][0]["comment"],
        "ann's own words"
    );
    assert_eq!(view["agreements"][0]["n"], 1);
    let settled = json!({ "name": "cy", "question": 3, "verdict": "partial", "settles": true });
    let view = served.ask("/api/answer", &settled);
    assert_eq!(view["done"], true);
    served.ask("/api/answer", &settled);
    let (ended, folder) = served.ended();
    assert_eq!(ended, Ended::Done);
    let store = orchestrator_store::Store::open_to_read(&folder.path().join("store.db")).unwrap();
    assert_eq!(store.answers().unwrap().len(), 5);
}

#[test]
fn passages_stand_in_their_documents() {
    let served = Served::new(2, &[]);
    let question = served.ask("/api/desk", &json!({ "name": "ann" }))["question"].clone();
    assert_eq!(
        question["around"],
        json!([
            { "text": "They eat. ", "marked": false },
            { "text": "They sleep.", "marked": true },
            { "text": " They wake.", "marked": false },
        ])
    );
    let question = served.answer("ann", 1, "skip")["question"].clone();
    assert_eq!(question["around"], json!(null));
    assert_eq!(
        (question["title"].as_str(), question["text"].as_str()),
        (Some("On mice"), Some("They eat. They sleep. They wake."))
    );
}

#[test]
fn what_is_stopped_goes_on_where_it_was() {
    let served = Served::new(3, &[]);
    served.answer("ann", 1, "support");
    served.answer("ann", 2, "skip");
    let (ended, folder) = served.cancel();
    assert_eq!(ended, Ended::Cancelled);
    let served = Served::over(folder);
    let view = served.ask("/api/desk", &json!({ "name": "ann" }));
    assert_eq!(view["question"]["id"], 3);
    served.answer("ann", 3, "contradict");
    // The last answer can be taken back for a moment, and nothing ends then.
    let last = served.answers().last().unwrap().id;
    served.ask("/api/undo", &json!({ "name": "ann", "answer": last }));
    std::thread::sleep(std::time::Duration::from_millis(500));
    served.answer("ann", 3, "contradict");
    let (ended, folder) = served.ended();
    assert_eq!(ended, Ended::Done);
    let never = AtomicBool::new(false);
    let nothing = serve(
        folder.path(),
        &Options::default(),
        &|_| panic!("nobody is asked"),
        &never,
    );
    assert_eq!(nothing.unwrap(), Ended::NothingOpen);
    let elsewhere = serve(
        &folder.path().join("not"),
        &Options::default(),
        &|_| (),
        &never,
    );
    assert!(matches!(elsewhere, Err(Error::NotARun(_))));
    let named = Options {
        name: Some("oracle".into()),
        ..Options::default()
    };
    assert!(matches!(
        serve(folder.path(), &named, &|_| (), &never),
        Err(Error::Name { .. })
    ));
}

#[test]
fn what_the_only_one_passed_by_waits_for_whoever_has_come_since() {
    let served = Served::new(2, &[]);
    served.ask("/api/desk", &json!({ "name": "bob" }));
    assert_eq!(
        served.ask("/api/desk", &json!({ "name": "ann" }))["question"]["id"],
        2
    );
    served.answer("ann", 2, "skip");
    let view = served.answer("bob", 1, "support");
    assert_eq!(
        (view["question"]["id"].as_u64(), view["done"].as_bool()),
        (Some(2), Some(false))
    );
    assert_eq!(served.answer("bob", 2, "skip")["done"], true);
    assert_eq!(served.ended().0, Ended::Done);
}

#[test]
fn only_what_was_asked_last_is_put() {
    let folder = tempfile::tempdir().unwrap();
    crate::client::run_with_questions(folder.path(), 2, &[]);
    let path = folder.path().join("store.db");
    let mut store = orchestrator_store::Store::open(&path).unwrap();
    let tick = store.tick(1, "select", "round 2").unwrap();
    tick.add_question(&orchestrator_store::Question {
        id: 3,
        round: 2,
        anchor: 0,
        document: Some(0),
        text: "They wake.",
        sample: None,
        shared: false,
        similarity: None,
        probabilities: None,
    })
    .unwrap();
    tick.complete().unwrap();
    drop(store);
    let served = Served::over(folder);
    let view = served.ask("/api/desk", &json!({ "name": "ann" }));
    assert_eq!(
        (
            view["question"]["id"].as_u64(),
            view["progress"]["questions"].as_u64()
        ),
        (Some(3), Some(1))
    );
    let early = json!({ "name": "ann", "question": 1, "verdict": "support" });
    assert_eq!(
        served.refused("/api/answer", &early),
        (422, "unknown".into())
    );
    assert_eq!(served.answer("ann", 3, "unrelated")["done"], true);
    assert_eq!(served.ended().0, Ended::Done);
}
