//! What a request asks: the part of its body that decides the answer, and a digest of it.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What may stand in a body and changes how it is carried, billed or counted, not what is answered.
const TRANSPORT: [&str; 8] = [
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "store",
    "service_tier",
];

/// A request that can be sent.
pub(crate) struct Request {
    /// The body as the plugin gave it.
    pub body: String,
    /// The model it names.
    pub model: String,
    /// Hexadecimal SHA-256 of the endpoint and of what decides the answer.
    pub digest: String,
}

impl Request {
    /// Reads a body meant for `endpoint`; says what is wrong with it.
    pub fn read(body: &str, endpoint: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(body)
            .map_err(|error| format!("the request is not valid JSON: {error}"))?;
        let Value::Object(fields) = &value else {
            return Err("the request is not a JSON object".into());
        };
        if fields
            .get("stream")
            .is_some_and(|stream| *stream != Value::Bool(false))
        {
            return Err("the request asks for a stream: leave `stream` out".into());
        }
        let Some(model) = fields.get("model").and_then(Value::as_str) else {
            return Err("the request names no `model`".into());
        };
        let mut hash = Sha256::new();
        hash.update(endpoint);
        hash.update([0]);
        hash.update(canonical(&value));
        Ok(Self {
            body: body.to_owned(),
            model: model.to_owned(),
            digest: hexadecimal(hash),
        })
    }

    /// A number in `0.0..1.0` for an attempt, the same for the same request.
    pub fn jitter(&self, attempt: u32) -> f64 {
        let mut hash = Sha256::new();
        hash.update(&self.digest);
        hash.update(attempt.to_le_bytes());
        let mut first = [0; 4];
        first.copy_from_slice(&hash.finalize()[..4]);
        f64::from(u32::from_le_bytes(first)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// The digits of a finished hash.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A body without matters of transport, the keys of every object in order.
fn canonical(body: &Value) -> String {
    let mut value = body.clone();
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !TRANSPORT.contains(&name.as_str()));
    }
    ordered(&value).to_string()
}

fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(name, value)| (name, ordered(value)))
                .collect();
            sorted
                .into_iter()
                .map(|(name, value)| (name.clone(), value))
                .collect()
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn order_of_keys_and_transport_do_not_matter_content_and_endpoint_do() {
        let digest = |body: &str, endpoint: &str| Request::read(body, endpoint).map(|r| r.digest);
        let one = digest(
            r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#,
            "h/v1",
        );
        let same = r#"{"messages": [{"content":"a", "role":"user"}], "user":"u", "stream":false, "model":"m"}"#;
        assert_eq!(one, digest(same, "h/v1"));
        assert_ne!(one, digest(same, "other/v1"));
        assert_ne!(one, digest(&same.replace("\"a\"", "\"b\""), "h/v1"));
        assert_ne!(one, digest(&same.replace("\"m\"", "\"n\""), "h/v1"));
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        for (body, why) in [
            ("{", "not valid JSON"),
            ("[]", "not a JSON object"),
            ("{}", "names no `model`"),
            (r#"{"model":"m","stream":true}"#, "leave `stream` out"),
        ] {
            let said = Request::read(body, "h").err().unwrap_or_default();
            assert!(said.contains(why), "{body}: {said}");
        }
    }

    #[test]
    fn jitter_is_between_0_and_1_and_differs_between_attempts() {
        let request = Request::read(r#"{"model":"m"}"#, "h").expect("read");
        let all: Vec<f64> = (0..100).map(|attempt| request.jitter(attempt)).collect();
        assert!(all.iter().all(|one| (0.0..1.0).contains(one)));
        assert!(all.iter().any(|one| *one < 0.2) && all.iter().any(|one| *one > 0.8));
        assert_eq!(all[7].to_bits(), request.jitter(7).to_bits());
    }
}
