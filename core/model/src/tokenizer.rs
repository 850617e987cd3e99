//! A tokeniser trained on the corpus: byte-pair encoding over lower-cased words that begin with `▁`.
//!
//! Reproducible although the trainer of `tokenizers` walks hash maps: without continuing-word prefixes every symbol's
//! number comes from the sorted alphabet or from the order of merges, and merges are ordered by count, then by those
//! numbers. A test trains twice under different hash seeds.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, PreTokenizerWrapper, Tokenizer, TokenizerBuilder};

use crate::Error;

const UNKNOWN: &str = "[UNK]";

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer(error.to_string())
}

/// Trains a tokeniser of at most `vocabulary` tokens on `texts`; gives its `tokenizer.json`.
pub(crate) fn train(texts: &[&str], vocabulary: usize) -> Result<String, Error> {
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(UNKNOWN, true)])
        .build();
    let model = BPE::builder()
        .unk_token(UNKNOWN.to_owned())
        .build()
        .map_err(failed)?;
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        _,
        _,
        tokenizers::PostProcessorWrapper,
        tokenizers::DecoderWrapper,
    >::new()
    .with_model(model)
    .with_normalizer(Some(BertNormalizer::new(true, false, Some(true), true)))
    .with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(vec![
        BertPreTokenizer.into(),
        Metaspace::new('▁', PrependScheme::Always, false).into(),
    ]))))
    .with_post_processor(None)
    .with_decoder(None)
    .build()
    .map_err(failed)?;
    tokenizer
        .train(&mut trainer, texts.iter())
        .map_err(failed)?;
    tokenizer.to_string(false).map_err(failed)
}

/// Reads a `tokenizer.json`.
pub(crate) fn parse(json: &str) -> Result<Tokenizer, Error> {
    json.parse().map_err(failed)
}

/// The tokens of each text, without special tokens.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Error> {
    Ok(tokenizer
        .encode_fast(text, false)
        .map_err(failed)?
        .get_ids()
        .to_vec())
}

#[cfg(test)]
mod tests {
    use super::train;

    #[test]
    fn training_twice_gives_the_same_tokeniser() {
        // Each tokeniser's hash maps have their own random seeds, within one process too.
        let texts: Vec<String> = (0..400)
            .map(|n| {
                format!(
                    "cell{} binding-{} of the α{} receptor in {}",
                    n % 7,
                    n % 13,
                    n % 5,
                    n * n % 31
                )
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let first = train(&texts, 300).expect("train");
        for _ in 0..8 {
            assert_eq!(first, train(&texts, 300).expect("train"));
        }
    }
}
