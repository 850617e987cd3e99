//! What a folder says of its model.

use std::path::Path;

use orchestrator_hub::{Card, Error, inspect};
use serde_json::json;

use crate::server::{CONFIG, MODULES, Model, safetensors};

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The small model as a folder, changed.
fn folder(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in &Model::small().files {
        write(folder.path(), name, content);
    }
    change(folder.path());
    folder
}

fn card(change: impl FnOnce(&Path)) -> Card {
    inspect(folder(change).path()).unwrap()
}

#[test]
fn a_folder_of_sentence_transformers_is_described() {
    let card = card(|folder| {
        write(
            folder,
            "sentence_bert_config.json",
            r#"{ "max_seq_length": 256 }"#,
        );
        write(
            folder,
            "config_sentence_transformers.json",
            r#"{ "prompts": { "query": "query: ", "document": "" }, "default_prompt_name": "query" }"#,
        );
        // Another precision of the same.
        write(folder, "model.fp16.safetensors", "x");
    });
    assert_eq!(card.architecture.as_deref(), Some("bert"));
    assert_eq!(
        (card.layers, card.hidden_size, card.heads, card.vocabulary),
        (Some(2), Some(32), Some(4), Some(16384))
    );
    assert_eq!(card.pooling.as_deref(), Some("mean"));
    assert!(card.normalise && card.dense.is_empty());
    assert_eq!(card.max_seq_length, Some(256));
    assert_eq!(card.prompts["query"], "query: ");
    assert_eq!(card.default_prompt.as_deref(), Some("query"));
    // Of position ids nobody says that they are parameters.
    assert_eq!(card.parameters, 16384 * 32);
    assert_eq!(card.dtype.as_deref(), Some("F32"));
    assert_eq!(
        card.bytes as usize,
        Model::small().content("model.safetensors").len()
    );
    assert_eq!(card.licence.as_deref(), Some("apache-2.0"));
    assert!(card.supported(), "{:?}", card.unsupported);
}

#[test]
fn a_plain_folder_is_pooled_by_the_mean_and_reads_what_positions_and_tokeniser_allow() {
    let card = card(|folder| {
        std::fs::remove_file(folder.join("modules.json")).unwrap();
        write(
            folder,
            "config.json",
            r#"{ "model_type": "distilbert", "dim": 64, "n_layers": 3, "n_heads": 8, "max_position_embeddings": 512 }"#,
        );
        write(
            folder,
            "tokenizer_config.json",
            r#"{ "model_max_length": 1000000000000000019884624838656 }"#,
        );
    });
    assert_eq!(
        (card.layers, card.hidden_size, card.heads),
        (Some(3), Some(64), Some(8))
    );
    assert_eq!(card.pooling.as_deref(), Some("mean"));
    assert!(!card.normalise && card.supported());
    assert_eq!(card.max_seq_length, Some(512));
}

#[test]
fn a_dense_layer_counts() {
    let dense = r#"{ "in_features": 32, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh" }"#;
    let card = card(|folder| {
        let module = r#"{ "idx": 3, "name": "3", "path": "3_Dense",
            "type": "sentence_transformers.models.Dense" } ]"#;
        write(
            folder,
            "modules.json",
            MODULES.trim_end_matches(']').to_owned() + "," + module,
        );
        write(folder, "3_Dense/config.json", dense);
        let tensor = json!({ "linear.weight": { "dtype": "BF16", "shape": [8, 32], "data_offsets": [0, 512] } });
        write(
            folder,
            "3_Dense/model.safetensors",
            safetensors(tensor, 512),
        );
    });
    assert_eq!(
        (
            card.dense[0].from,
            card.dense[0].to,
            card.dense[0].activation.as_str()
        ),
        (32, 8, "Tanh")
    );
    assert_eq!(card.parameters, 16384 * 32 + 8 * 32);
    assert_eq!(card.dtype.as_deref(), Some("F32"));
    assert!(card.supported());
}

#[test]
fn everything_unsupported_is_named() {
    let replaced = |from: &'static str, to: &'static str| {
        move |folder: &Path| write(folder, "config.json", CONFIG.replace(from, to))
    };
    let pooling =
        |text: &'static str| move |folder: &Path| write(folder, "1_Pooling/config.json", text);
    let removed =
        |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    let module = |folder: &Path| {
        write(
            folder,
            "modules.json",
            MODULES.replace("models.Normalize", "models.LSTM"),
        );
    };
    type Change = Box<dyn FnOnce(&Path)>;
    let cases: [(Change, &str); 8] = [
        (
            Box::new(replaced("\"bert\"", "\"t5\"")),
            "the architecture `t5`",
        ),
        (
            Box::new(replaced("\"absolute\"", "\"relative_key\"")),
            "positions that are `relative_key`",
        ),
        (
            Box::new(pooling(r#"{ "pooling_mode": "lasttoken" }"#)),
            "pooling `lasttoken`",
        ),
        (
            Box::new(pooling(
                r#"{ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }"#,
            )),
            "pooling `cls+mean`",
        ),
        (
            Box::new(pooling(
                r#"{ "pooling_mode": "mean", "include_prompt": false }"#,
            )),
            "without the prompt",
        ),
        (Box::new(module), "the module `LSTM`"),
        (
            Box::new(removed("tokenizer.json")),
            "without tokenizer.json",
        ),
        (
            Box::new(removed("model.safetensors")),
            "not in model.safetensors",
        ),
    ];
    for (change, said) in cases {
        let card = card(change);
        assert!(
            card.unsupported.iter().any(|one| one.contains(said)) && card.unsupported.len() == 1,
            "{said}: {:?}",
            card.unsupported
        );
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file() {
    let whole = Model::small().content("model.safetensors").to_vec();
    for (name, content, said) in [
        ("config.json", b"{".to_vec(), "is not JSON"),
        ("config.json", b"[]".to_vec(), "is not a JSON object"),
        ("modules.json", b"{}".to_vec(), "is not a list of modules"),
        (
            "modules.json",
            br#"[{ "type": "x.Pooling", "path": "../../etc" }]"#.to_vec(),
            "is not a list of modules",
        ),
        ("model.safetensors", b"x".to_vec(), "too short"),
        ("model.safetensors", vec![255; 100], "no safetensors file"),
        (
            "model.safetensors",
            whole[..whole.len() - 1].to_vec(),
            "is cut off",
        ),
    ] {
        let folder = folder(|folder| write(folder, name, content));
        let error = inspect(folder.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(inspect(empty.path()), Err(Error::NotAModel(_))));
}
