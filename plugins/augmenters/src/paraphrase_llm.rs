//! Paraphrases by a language model.

use orchestrator_plugin::{Augmenter, Call, Config, Result, Role, Samples, Sink, abi};

use crate::rewriting::{Rewriting, check_prompt};

/// Paraphrases of positives by a language model: any endpoint that speaks OpenAI's chat protocol.
///
/// The experiment says where the endpoint is; the host sends the requests, so many at once, and keeps the answers. An answer
/// is taken without the quotation marks and labels around it, and dropped where it is empty, declines, says what the text or
/// its anchor says word for word, is longer than `max_tokens` words or three times the text, or came before. A request that
/// fails is counted; if all fail, the run ends with the first reason.
///
/// Positives with their parent's label. A negative is passed over.
#[derive(Config)]
#[config(check = |all: &Self| check_prompt(&all.prompt))]
pub struct ParaphraseLlm {
    /// Name of the model, as the endpoint knows it.
    model: String,
    /// What is asked, with {text} for the text and {anchor} for its anchor.
    #[config(
        default = "Say the statement below in other words. Its meaning must stay exactly the same: every name, number, \
        unit, direction and condition. Change wording and order as far as that allows. Answer with the new statement \
        only.\n\nStatement: {text}"
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

impl Augmenter for ParaphraseLlm {
    const SERVICES: &'static [&'static str] = &[abi::service::CHAT];

    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        Rewriting {
            role: Role::Positive,
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
