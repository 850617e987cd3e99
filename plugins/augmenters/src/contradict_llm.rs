//! Contradictions by a language model.

use orchestrator_plugin::{Augmenter, Call, Config, Result, Role, Samples, Sink, abi};

use crate::rewriting::{Rewriting, check_prompt};

/// Contradictions of positives by a language model: any endpoint that speaks OpenAI's chat protocol.
///
/// The experiment says where the endpoint is; the host sends the requests, so many at once, and keeps the answers. An answer
/// is taken without the quotation marks and labels around it, and dropped where it is empty, declines, says what the text,
/// its anchor or a known positive says, is longer than `max_tokens` words or three times the text, or came before. A request
/// that fails is counted; if all fail, the run ends with the first reason.
///
/// Negatives with label 0. A negative is passed over: the opposite of what does not support a claim may support it.
#[derive(Config)]
#[config(check = |all: &Self| check_prompt(&all.prompt))]
pub struct ContradictLlm {
    /// Name of the model, as the endpoint knows it.
    model: String,
    /// What is asked, with {text} for the text and {anchor} for its anchor.
    #[config(
        default = "Rewrite the statement below so that it says the opposite: if the statement is true, yours must be \
        false. Keep its wording, names and length as far as you can, and prefer another word to a mere \"not\". Answer with \
        the new statement only.\n\nStatement: {text}"
    )]
    prompt: String,
    /// What the model is told before; nothing if empty.
    #[config(
        default = "You edit scientific statements. You answer with one statement and nothing else."
    )]
    system: String,
    /// The most tokens of an answer.
    #[config(default = 128, min = 1)]
    max_tokens: u32,
    /// Temperature of sampling; 0 takes the likeliest.
    #[config(default = 0.0, min = 0, max = 2)]
    temperature: f64,
    /// How often a sample is asked about, each time with another seed. With temperature 0 the answers are alike.
    #[config(default = 1, min = 1)]
    per_sample: usize,
    /// Weight of what comes out.
    #[config(default = 1.0, above = 0)]
    weight: f32,
}

impl Augmenter for ContradictLlm {
    const SERVICES: &'static [&'static str] = &[abi::service::CHAT];

    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        Rewriting {
            role: Role::Negative,
            model: &self.model,
            system: &self.system,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            per_sample: self.per_sample,
            weight: self.weight,
        }
        .augment(samples, call, sink)
    }
}
