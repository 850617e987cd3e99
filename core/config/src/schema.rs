//! The JSON Schema of an experiment, for editors: the loaded plugins' settings included.

use orchestrator_plugin_host::{Kind, Limits, PluginInfo};
use serde_json::{Map, Value, json};

use crate::curriculum::IN_RULES;
use crate::slices;

/// The JSON Schema of an experiment file, with these plugins.
#[must_use]
pub fn schema(plugins: &[&PluginInfo]) -> Value {
    let text = json!({ "type": "string" });
    let positive = json!({ "type": "integer", "minimum": 1 });
    let share = json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 });
    let corpus = group(json!({
        "format": { "enum": ["builtin", "scifact"] },
        "path": described(&text, "The folder of corpus.jsonl and claims_NAME.jsonl."),
        "fields": { "type": "array", "items": { "enum": orchestrator_data::BUILTIN_FIELDS }, "description": "Of the built-in corpus; all if not given." },
    }));
    let isolation = isolation();
    let steps =
        |kind: Kind, own: Value| json!({ "type": "array", "items": step(plugins, kind, &own) });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "orchestrator experiment",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "extends": described(&text, "An experiment file, relative to this one, that this one changes."),
            "name": described(&text, "Names the run folder."),
            "seed": described(&json!({ "type": "integer", "minimum": 0, "default": 13 }), "What every random choice is derived from."),
            "plugins": described(&json!({ "type": "array", "items": text }), "Plugin libraries, or folders of them, beside those shipped. Each must be pinned: orchestrator plugin trust FILE."),
            "isolation": described(&isolation, "Where plugins run that were not shipped; each can say so itself."),
            "data": group(json!({
                "corpus": corpus,
                "other": described(&json!({ "type": "object", "additionalProperties": corpus }), "Other corpora by name: for samplers that look beyond, and for the slice cross_domain."),
                "train": described(&json!({ "type": "string", "default": "train" }), "The split that is trained on."),
                "validation": group(json!({ "from": text, "share": share })),
                "test": described(&text, "The split that is scored, never chosen on."),
                "spoil": { "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0, "description": "Share of the training pairs known to be relevant that are made negatives on purpose, to see who finds them." },
                "reading": described(&json!({ "enum": ["retrieval", "entailment"], "default": "retrieval" }), "Which judged documents are positives in training: all, or only those that support the claim."),
            })),
            "model": group(json!({
                "encoder": { "oneOf": [
                    { "const": "static" },
                    group(json!({ "static": group(json!({
                        "dim": { "type": "integer", "minimum": 8, "default": 256 },
                        "vocabulary": { "type": "integer", "minimum": 300, "default": 8000 },
                    })) })),
                    transformer(),
                ] },
            })),
            "models": described(&json!({ "type": "object", "additionalProperties": { "oneOf": [text, further_model()] } }), "Further models by name, each a model folder: for filters that score by a model, and the teacher."),
            "chat": described(&group(json!({
                "base_url": described(&text, "Up to /v1. The key comes from OPENAI_API_KEY."),
                "concurrency": described(&positive, "Requests at once."),
                "retries": { "type": "integer", "minimum": 0, "default": 5 },
                "requests_per_minute": { "type": "number", "exclusiveMinimum": 0 },
                "timeout": { "type": "number", "exclusiveMinimum": 0, "default": 60, "description": "Seconds a request may take." },
                "cache": described(&text, "Where answers are kept, so that a re-run asks nothing again."),
            })), "The OpenAI-compatible endpoint of plugins that ask a language model."),
            "samples": group(json!({
                "topics": { "type": "integer", "minimum": 2, "default": 20, "description": "How many topics the corpus is said to have." },
                "propose": steps(Kind::Sampler, json!({ "refresh_every": { "type": "string", "pattern": "^[0-9]+ (steps?|epochs?)$", "description": "Asks the sampler again so often, with the model as it is then: `50 steps`, `2 epochs`." } })),
                "augment": steps(Kind::Augmenter, json!({ "from": { "enum": ["positive", "negative", "any", "anchor"], "default": "positive", "description": "Which samples it is given." } })),
                "filter": steps(Kind::Filter, json!({})),
                "leave_out": described(&text, "A file of samples that are left out, an id a line."),
            })),
            "train": train(steps(Kind::Loss, json!({ "weight": { "type": "number", "minimum": 0, "default": 1 } })), &text, &positive),
            "active_learning": active_learning(step(plugins, Kind::Selector, &json!({})), &positive),
            "audit": described(&group(json!({
                "samples": described(&positive, "How many samples people are asked about at the end; 50 if not given."),
                "from": { "enum": ["random", "suspicious"], "default": "suspicious" },
                "people": positive,
                "overlap": share_or_all(),
            })), "A slice of the samples goes to people when the run is over: orchestrator annotate RUN."),
            "evaluate": group(json!({
                "metrics": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^(ndcg|recall|mrr|map)(@[0-9]+)?$" } },
                "bm25": group(json!({ "k1": { "type": "number", "minimum": 0 }, "b": { "type": "number", "minimum": 0, "maximum": 1 } })),
                "slices": slices::schema(&step(plugins, Kind::Augmenter, &json!({}))),
            })),
            "analysis": described(&group(json!({
                "picture": { "enum": ["umap", "tsne", "pca", "off"], "default": "umap", "description": "How embeddings are laid out in the plane." },
                "topics": { "enum": ["on", "off"], "default": "on", "description": "Whether topics are found in the corpus (up to 20,000 documents; of more if a plugin compares them)." },
                "influence": { "enum": ["auto", "on", "off"], "default": "auto", "description": "Whether each sample's influence on the validation share is measured, once an epoch; auto = with a static encoder." },
            })), "What is found out about the run beside its metrics."),
            "report": described(&group(json!({
                "templates": described(&text, "A folder whose files stand in for the report's templates of the same name; docs/REPORT.md."),
            })), "How the report is drawn. No part of the plan."),
            "sweep": sweep(),
        },
    })
}

fn sweep() -> Value {
    let name = "^[\\p{L}\\p{N}_-][\\p{L}\\p{N}_.-]*$";
    let variant = json!({
        "type": ["object", "null"],
        "properties": { "extends": { "type": "string", "description": "A variant whose changes come before these." } },
        "description": "Changes by path, as of --set; `samples.propose+` adds to a list.",
    });
    let values = json!({ "type": "array", "minItems": 1 });
    described(
        &group(json!({
            "seeds": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "integer", "minimum": 0 }, "description": "Each variant is run with each; the experiment's alone if not given." },
            "variants": {
                "type": "object", "minProperties": 1, "propertyNames": { "pattern": name },
                "additionalProperties": { "anyOf": [ variant, { "enum": [false, "off"] } ] },
                "description": "By name.",
            },
            "matrix": { "type": "object", "minProperties": 1, "additionalProperties": values, "description": "Values by path: a variant for each combination, of each of `variants` if there are some." },
        })),
        "Runs that differ by some changes and by seeds, and are compared at the end.",
    )
}

fn train(losses: Value, text: &Value, positive: &Value) -> Value {
    let share = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let ratio = json!({ "type": ["string", "number"], "default": "3", "description": "Negatives a positive: a number, or an expression of `epoch`, `step` and `stage`." });
    group(json!({
        "batch": described(positive, "Anchors a batch; 32 if not given."),
        "accumulate": { "type": "integer", "minimum": 1, "default": 1, "description": "Batches a step: the mean of their gradients is taken." },
        "learning_rate": { "type": "number", "exclusiveMinimum": 0, "maximum": 10, "description": "The highest; 0.01 for a static encoder and 2e-5 for a transformer if not given." },
        "weight_decay": { "type": "number", "minimum": 0, "default": 0 },
        "warmup": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.1, "description": "Share of the steps over which the learning rate rises." },
        "after_warmup": { "enum": ["linear", "cosine", "constant"], "default": "linear", "description": "How the learning rate falls then, if at all." },
        "clip": { "oneOf": [ { "type": "number", "exclusiveMinimum": 0 }, { "enum": ["off", false] } ], "description": "A gradient longer than this is shortened to it; off for a static encoder and 1 for a transformer if not given." },
        "early_stopping": group(json!({ "patience": described(positive, "Epochs in which the first metric does not rise on validation, after which training stops.") })),
        "checkpoint_every": described(positive, "Steps between two checkpoints."),
        "losses": losses,
        "teacher": described(text, "The model that losses may learn from: initial, bm25, or one under `models:`."),
        "matryoshka": { "type": "array", "items": { "oneOf": [ positive, group(json!({ "dim": positive, "weight": { "type": "number", "exclusiveMinimum": 0 } })) ] }, "description": "First dimensions that every loss is computed on too." },
        "mini_batch": described(positive, "Texts encoded at once with their gradient (GradCache)."),
        "ratio": group(json!({ "negatives_per_positive": ratio })),
        "bands": { "oneOf": [
            { "const": "terciles" },
            { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2, "description": "Two difficulties." },
            group(json!({ "quantiles": { "type": "array", "items": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }, "minItems": 2, "maxItems": 2, "description": "Shares of the pool." } })),
        ] },
        "schedule": { "type": "array", "minItems": 1, "items": group(json!({
            "epochs": positive,
            "steps": described(positive, "Instead of epochs."),
            "difficulty": { "oneOf": [
                { "enum": ["easy", "medium", "hard", "any"] },
                described(&group(json!({ "easy": share, "medium": share, "hard": share })), "Shares of the bands; they sum to 1."),
            ] },
            "pacing": described(&json!({ "oneOf": [
                { "enum": ["linear", "root", "step"] },
                group(json!({ "function": { "enum": ["linear", "root", "step"] }, "from": share, "to": share, "jumps": positive })),
            ] }), "Opens the pool from the easiest negatives on."),
            "losses": { "oneOf": [
                { "type": "array", "minItems": 1, "items": text },
                { "type": "object", "additionalProperties": { "type": "number", "exclusiveMinimum": 0 } },
            ], "description": "Which of train.losses the stage uses, by name, with weights." },
            "learning_rate": { "type": "number", "exclusiveMinimum": 0, "maximum": 10 },
            "sources": { "type": "array", "minItems": 1, "items": text, "description": "Where the stage's negatives are from." },
            "ratio": ratio,
        })) },
        "adapt": { "type": "array", "items": rule() },
    }))
}

fn share_or_all() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1 })
}

fn active_learning(select: Value, positive: &Value) -> Value {
    let mut llm = group(json!({
        "model": { "type": "string", "description": "As the endpoint knows it." },
        "temperature": { "type": "number", "minimum": 0, "default": 0 },
        "check": { "type": "integer", "minimum": 0, "default": 20, "description": "Pairs a round that are judged already, to measure how far it agrees." },
    }));
    llm["required"] = json!(["model"]);
    let share = share_or_all();
    group(json!({
        "rounds": { "type": "integer", "minimum": 0, "default": 3, "description": "0 = what is held back stays hidden: what is missed by not asking." },
        "select": select,
        "budget": described(positive, "Questions a round."),
        "total": described(positive, "Questions over all rounds."),
        "annotator": { "oneOf": [
            { "enum": ["oracle", "page", "file"] },
            group(json!({ "oracle": group(json!({ "error_rate": share })) })),
            group(json!({ "page": group(json!({ "people": positive, "overlap": described(&share, "Share of the questions that two people answer.") })) })),
            group(json!({ "file": group(json!({ "format": { "enum": ["jsonl", "csv", "label-studio", "argilla"] } })) })),
            group(json!({ "llm": llm })),
        ] },
        "hold_back": { "type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": "Share of the training judgements that training does not know until they are asked for." },
        "epochs": described(positive, "Of training after each round."),
        "candidates": group(json!({
            "nearest": described(positive, "How many of an anchor's nearest documents may be asked about; 10 if not given."),
            "like_validation": { "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1, "description": "Only of the share of training anchors that is most like the validation anchors." },
        })),
        "start": { "enum": ["warm", "cold"], "default": "warm", "description": "Whether a round's training goes on from the round before, or begins anew." },
        "stop": group(json!({
            "no_gain": described(positive, "Rounds in which the best validation score does not rise."),
            "agreement": described(&share, "Share of a round's questions that the model was right about before it was told."),
        })),
    }))
}

fn rule() -> Value {
    let number = json!({ "type": "number" });
    let by = json!({ "times": { "type": "number", "exclusiveMinimum": 0 }, "plus": number, "at_least": number, "at_most": number });
    let mut setting = by.clone();
    setting["of"] = json!({ "type": "string", "description": "The plugin." });
    setting["at"] =
        json!({ "type": "string", "description": "Where in its settings: margin.relative." });
    let shift = json!({ "type": "number", "minimum": -1, "maximum": 1 });
    let mut rule = group(json!({
        "when": { "type": "string", "description": format!("A condition, looked at after each epoch, over {}.", IN_RULES.join(", ")) },
        "ratio": group(by),
        "band": described(&group(json!({ "easier": shift, "harder": shift })), "How much wider the stage's band becomes, in shares of the pool."),
        "setting": group(setting),
        "stop": { "const": true },
    }));
    rule["required"] = json!(["when"]);
    rule
}

fn transformer() -> Value {
    let mut encoder = group(json!({
        "transformer": { "type": "string", "description": "A model folder, of sentence-transformers or Hugging Face." },
        "max_tokens": { "type": "integer", "minimum": 8, "description": "Longer texts are cut; as the folder says if not given." },
        "precision": { "enum": ["f32", "bf16", "int8"], "default": "f32", "description": "How numbers are held while encoding." },
        "dropout": { "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.1 },
        "freeze": { "type": "integer", "minimum": 0, "default": 0, "description": "How many of the lowest layers stay as they are, and the embeddings with them." },
        "lora": described(&group(json!({
            "rank": { "type": "integer", "minimum": 1, "default": 8 },
            "alpha": { "type": "number", "exclusiveMinimum": 0, "default": 16 },
        })), "Small matrices are trained instead of the large ones."),
    }));
    encoder["required"] = json!(["transformer"]);
    encoder
}

fn further_model() -> Value {
    let label = json!({ "type": ["string", "integer"], "minimum": 0, "description": "Of a cross-encoder of several labels: the one whose share is the score." });
    let mut model = group(json!({ "folder": { "type": "string" }, "label": label }));
    model["required"] = json!(["folder"]);
    model
}

fn isolation() -> Value {
    let defaults = Limits::default();
    let limits = group(json!({
        "timeout": { "type": "integer", "minimum": 1, "default": defaults.timeout, "description": "Seconds a call may take." },
        "memory_mib": { "type": "integer", "minimum": 64, "default": defaults.memory_mib, "description": "MiB of memory it may ask for." },
    }));
    json!({ "oneOf": [ { "enum": ["none", "process"] }, group(json!({ "process": limits })) ] })
}

fn group(properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn described(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    schema["description"] = description.into();
    schema
}

/// One plugin of a kind: its name alone, or over its settings and our own keys.
fn step(plugins: &[&PluginInfo], kind: Kind, own: &Value) -> Value {
    let mut names = Vec::new();
    let mut properties = Map::new();
    for plugin in plugins.iter().filter(|one| one.kind == kind) {
        let mut settings = plugin.schema.clone();
        if let Some(known) = settings
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        {
            known.insert("as".to_owned(), json!({ "type": "string", "description": "A name of its own, where a plugin is given twice." }));
            known.insert(
                "isolation".to_owned(),
                described(&isolation(), "In which process it runs."),
            );
            for (key, value) in own.as_object().into_iter().flatten() {
                known.insert(key.clone(), value.clone());
            }
        }
        settings["type"] = json!(["object", "null"]);
        for name in [plugin.short(), &plugin.id] {
            names.push(Value::from(name));
            properties.insert(name.to_owned(), settings.clone());
        }
    }
    json!({ "oneOf": [
        { "enum": names },
        { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": { "enum": [false, "off"] } },
        { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": properties },
    ] })
}
