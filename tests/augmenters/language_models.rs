//! `contradict_llm` and `paraphrase_llm`: what is asked, which answers are taken, what is counted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use orchestrator_plugin_host::{ChatEndpoint, Error, Kind, Role, Services};
use serde_json::{Value, json};

use crate::{anchors, augment, augmenter, detail, host, negative, positive, texts};

/// Answers in turn, and keeps what it was asked.
struct Scripted {
    answers: Vec<Result<&'static str, &'static str>>,
    asked: Mutex<Vec<Value>>,
}

impl Scripted {
    fn new(answers: &[Result<&'static str, &'static str>]) -> Self {
        Self {
            answers: answers.to_vec(),
            asked: Mutex::default(),
        }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

impl ChatEndpoint for Scripted {
    fn complete(&self, requests: &[&str], _: &dyn Fn() -> bool) -> Vec<Result<String, String>> {
        let mut asked = self.asked.lock().unwrap();
        requests
            .iter()
            .map(|request| {
                let answer = self.answers[asked.len() % self.answers.len()];
                asked.push(serde_json::from_str(request).unwrap());
                answer.map(str::to_owned).map_err(str::to_owned)
            })
            .collect()
    }
}

fn lent(chat: &Scripted) -> Services<'_> {
    Services {
        chat: Some(chat),
        ..Services::default()
    }
}

#[test]
fn a_request_holds_model_messages_limits_and_a_seed_of_its_own() {
    let (_copies, host) = host();
    let settings = json!({
        "model": "small-1", "prompt": "{anchor} // {text}", "system": "Be brief.", "max_tokens": 40,
        "temperature": 0.5, "per_sample": 2,
    });
    let given = [
        positive(0, "A {text} rises.", "B falls."),
        positive(1, "C.", "D."),
    ];
    let ask = |seed| {
        let chat = Scripted::new(&[Ok("E holds."), Ok("F holds.")]);
        let instance = augmenter(&host, "contradict_llm", &settings);
        let _ = augment(&instance, seed, lent(&chat), &given).unwrap();
        chat.asked()
    };
    let asked = ask(7);
    assert_eq!(asked.len(), 4);
    assert_eq!(
        asked[0]["messages"],
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "A {text} rises. // B falls." },
        ])
    );
    for one in &asked {
        assert_eq!(
            (&one["model"], &one["max_tokens"], &one["temperature"]),
            (&json!("small-1"), &json!(40), &json!(0.5))
        );
        assert!(one["seed"].as_u64().unwrap() < 1 << 31);
        assert_eq!(
            one.as_object().unwrap().len(),
            5,
            "nothing else, not \"stream\""
        );
    }
    let seeds = |asked: &[Value]| -> Vec<u64> {
        asked
            .iter()
            .map(|one| one["seed"].as_u64().unwrap())
            .collect()
    };
    let mut distinct = seeds(&asked);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
    assert_eq!(asked, ask(7), "the call's seed decides");
    assert_ne!(seeds(&asked), seeds(&ask(8)));
}

#[test]
fn the_default_prompts_show_the_text_and_ask_for_what_the_name_says() {
    let (_copies, host) = host();
    for (name, word) in [
        ("contradict_llm", "opposite"),
        ("paraphrase_llm", "other words"),
    ] {
        let chat = Scripted::new(&[Ok("Something else.")]);
        let instance = augmenter(&host, name, &json!({ "model": "m" }));
        let _ = augment(&instance, 0, lent(&chat), &anchors(&["A rises."])).unwrap();
        let asked = &chat.asked()[0];
        let prompt = asked["messages"][1]["content"].as_str().unwrap();
        assert!(
            prompt.contains(word) && prompt.ends_with("Statement: A rises."),
            "{prompt}"
        );
        assert_eq!(
            (&asked["max_tokens"], &asked["temperature"]),
            (&json!(128), &json!(0.0))
        );
    }
}

#[test]
fn contradictions_are_negatives_and_paraphrases_positives_with_their_parents_label() {
    let (_copies, host) = host();
    let given = [
        positive(2, "A rises.", "A goes up."),
        negative(2, "A rises.", "A is red."),
    ];
    for (name, role, label) in [
        ("contradict_llm", Role::Negative, 0.0),
        ("paraphrase_llm", Role::Positive, 0.7),
    ] {
        let chat = Scripted::new(&[Ok("  Answer: \u{201C}A goes elsewhere.\u{201D}\n")]);
        let instance = augmenter(&host, name, &json!({ "model": "m-1", "weight": 0.5 }));
        let proposed = augment(&instance, 0, lent(&chat), &given).unwrap();
        assert_eq!(proposed.candidates.len(), 1);
        let one = &proposed.candidates[0];
        assert_eq!(
            (one.text.as_str(), one.role, one.label),
            ("A goes elsewhere.", role, label)
        );
        assert_eq!(
            (one.anchor, one.parent, one.document, one.weight),
            (2, Some(0), Some(3), 0.5)
        );
        assert_eq!(detail(one), json!({ "model": "m-1" }));
        assert_eq!(proposed.counts["passed over: negative"], 1);
    }
}

#[test]
fn answers_that_are_no_new_text_are_dropped_and_counted() {
    let (_copies, host) = host();
    let chat = Scripted::new(&[
        Ok("A falls."),
        Ok("  "),
        Ok("a rises"),
        Ok("A goes up"),
        Ok("I'm sorry, but I cannot help with that."),
        Ok("A is seen to rise."),
        Ok(
            "word word word word word word word word word word word word word word word word word word word word word \
            word word word word word word word word word word",
        ),
        Err("429 too many requests\nbody: ..."),
        Ok("A falls!"),
    ]);
    let settings = json!({ "model": "m", "per_sample": 9 });
    let instance = augmenter(&host, "contradict_llm", &settings);
    let given = [
        positive(0, "A rises.", "A goes up."),
        positive(0, "A rises.", "A is seen to rise."),
    ];
    let proposed = augment(&instance, 0, lent(&chat), &given).unwrap();
    assert_eq!(texts(&proposed), ["A falls.", "A falls."]);
    assert_eq!(
        proposed.counts,
        BTreeMap::from(
            [
                ("asked", 18),
                ("found", 2),
                ("dropped: an empty answer", 2),
                ("dropped: the answer is the source", 4),
                ("dropped: a known positive says it", 2),
                ("dropped: the model declined", 2),
                ("dropped: the answer is too long", 2),
                ("dropped: 429 too many requests", 2),
                ("dropped: the same answer twice", 2),
            ]
            .map(|(what, n)| (what.to_owned(), n))
        )
    );
}

#[test]
fn a_run_in_which_every_request_fails_ends_with_the_first_reason() {
    let (_copies, host) = host();
    let chat = Scripted::new(&[Err("connection refused"), Err("timed out")]);
    let instance = augmenter(&host, "paraphrase_llm", &json!({ "model": "m" }));
    let shown = augment(&instance, 0, lent(&chat), &anchors(&["A.", "B."]))
        .unwrap_err()
        .to_string();
    assert!(
        shown.contains("every request") && shown.contains("connection refused"),
        "{shown}"
    );
    // No samples, no failure.
    let chat = Scripted::new(&[Err("connection refused")]);
    assert!(
        augment(&instance, 0, lent(&chat), &[])
            .unwrap()
            .candidates
            .is_empty()
    );
}

#[test]
fn a_prompt_without_the_text_and_a_host_without_an_endpoint_are_errors() {
    let (_copies, host) = host();
    let settings = json!({ "model": "m", "prompt": "Contradict it." });
    for name in ["contradict_llm", "paraphrase_llm"] {
        let plugin = host.find(Kind::Augmenter, name).unwrap();
        let Err(Error::Config { pointer, .. }) = plugin.create(name, &settings, 0) else {
            panic!("a prompt without {{text}}");
        };
        assert_eq!(pointer, "/prompt");
    }
    let given = anchors(&["A."]);
    let instance = augmenter(&host, "contradict_llm", &json!({ "model": "m" }));
    assert!(augment(&instance, 0, Services::default(), &given).is_err());
}
