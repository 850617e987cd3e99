//! What `#[derive(Config)]` makes of a struct.
#![allow(clippy::unwrap_used)]
#![forbid(unsafe_code)]

use orchestrator_plugin::Config;
use orchestrator_plugin::config::Settings;
use serde_json::json;

/// How far below the positive.
#[derive(Config, Debug, PartialEq)]
struct Margin {
    /// As a share.
    #[config(min = 0, max = 1)]
    relative: Option<f64>,
}

/// Does things
/// to texts.
#[derive(Config, Debug, PartialEq)]
struct Everything {
    /// How many.
    #[config(default = 5, min = 1, max = 9)]
    count: usize,
    #[config(default = 0.3, above = 0, below = 1)]
    rate: f32,
    #[config(default = "short", one_of = ["short", "long"])]
    style: String,
    #[config(default = true)]
    loud: bool,
    names: Vec<String>,
    margin: Option<Margin>,
}

fn read(text: &str) -> Result<Everything, String> {
    Settings::parse::<Everything>(text)
        .and_then(|settings| Everything::read(&settings))
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn the_schema_holds_types_bounds_defaults_and_documentation() {
    assert_eq!(
        Everything::schema(),
        json!({
            "type": "object",
            "description": "Does things to texts.",
            "properties": {
                "count": { "type": "integer", "minimum": 1, "description": "How many.", "default": 5, "maximum": 9 },
                "rate": { "type": "number", "default": 0.3, "exclusiveMinimum": 0, "exclusiveMaximum": 1 },
                "style": { "type": "string", "default": "short", "enum": ["short", "long"] },
                "loud": { "type": "boolean", "default": true },
                "names": { "type": "array", "items": { "type": "string" } },
                "margin": {
                    "type": "object",
                    "description": "How far below the positive.",
                    "properties": { "relative": {
                        "type": "number", "description": "As a share.", "minimum": 0, "maximum": 1 } },
                    "additionalProperties": false
                }
            },
            "additionalProperties": false,
            "required": ["names"]
        })
    );
}

#[test]
fn defaults_stand_in_for_what_is_not_given() {
    assert_eq!(
        read(r#"{"names": ["a"], "margin": {"relative": 0.05}}"#).unwrap(),
        Everything {
            count: 5,
            rate: 0.3,
            style: "short".to_owned(),
            loud: true,
            names: vec!["a".to_owned()],
            margin: Some(Margin {
                relative: Some(0.05)
            }),
        }
    );
}

#[test]
fn what_cannot_be_read_is_named_by_its_pointer() {
    for (given, pointer) in [
        (r#"{}"#, "/names"),
        (r#"{"names": ["a", 2]}"#, "/names/1"),
        (
            r#"{"names": [], "margin": {"relative": "x"}}"#,
            "/margin/relative",
        ),
        (
            r#"{"names": [], "margin": {"relativ": 1}}"#,
            "/margin/relativ",
        ),
        (r#"{"names": [], "coutn": 1}"#, "/coutn"),
    ] {
        let error = read(given).unwrap_err();
        assert!(
            error.contains(&format!("pointer: \"{pointer}\"")),
            "{given}: {error}"
        );
    }
}
