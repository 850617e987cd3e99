//! `orchestrator model encode`: a text a line in, an embedding a line out, some lines at a time.

use std::io::{BufRead, BufWriter, ErrorKind, Write};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_model::transformer::{Options, Precision};
use orchestrator_model::{Encoder, Side};

use crate::{args, model, show};

pub fn run(asked: &args::Encode, json: bool) -> Result<(), Diagnostics> {
    let folder = model::find(&asked.model)?;
    let options = Options {
        max_tokens: asked.max_tokens.map(|most| most as usize),
        precision: match asked.precision {
            args::Precision::F32 => Precision::F32,
            args::Precision::Bf16 => Precision::Bf16,
            args::Precision::Int8 => Precision::Int8,
        },
        ..Options::default()
    };
    let encoder = Encoder::load(&folder, &options).map_err(failed)?;
    check(&encoder, asked)?;
    if let Some(note) = orchestrator_engine::note_on_precision(options.precision) {
        show::warning(note, json);
    }
    let input = std::io::stdin().lock();
    let output = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let encode = |texts: &[String]| embeddings(&encoder, asked, texts);
    pipe(input, output, asked.batch as usize, encoder.dim(), encode)
}

/// What the model cannot do is said before anything is read.
fn check(encoder: &Encoder, asked: &args::Encode) -> Result<(), Diagnostic> {
    let wrong = |message: String| Diagnostic::new(Kind::Experiment, message);
    match encoder {
        Encoder::Static(_) => {
            let given = [
                ("--precision", asked.precision != args::Precision::F32),
                ("--max-tokens", asked.max_tokens.is_some()),
                ("--prompt", asked.prompt.is_some()),
            ];
            match given.into_iter().find(|(_, given)| *given) {
                Some((name, _)) => Err(wrong(format!(
                    "{name} is for transformers: `{}` is a static encoder",
                    asked.model
                ))
                .help(format!("leave {name} out"))),
                None => Ok(()),
            }
        }
        Encoder::Transformer(encoder) => match &asked.prompt {
            Some(name) if encoder.prompt_named(Some(name)).is_none() => {
                Err(
                    wrong(format!("`{}` has no prompt `{name}`", asked.model)).help(format!(
                        "orchestrator model show {} lists its prompts",
                        asked.model
                    )),
                )
            }
            _ => Ok(()),
        },
    }
}

/// Embeddings `[texts, dim]`, row-major, as the model's own modules make them.
fn embeddings(
    encoder: &Encoder,
    asked: &args::Encode,
    texts: &[String],
) -> Result<Vec<f32>, Diagnostic> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let side = asked.side.map(|side| match side {
        args::Side::Anchor => Side::Anchor,
        args::Side::Document => Side::Document,
    });
    match encoder {
        Encoder::Static(encoder) => {
            let tokens = encoder.tokenize(&texts).map_err(failed)?;
            Ok(encoder.encode(&tokens))
        }
        Encoder::Transformer(encoder) => {
            let tokens = match side {
                Some(side) => encoder.tokenize(&texts, side),
                None => {
                    let prompt = encoder.prompt_named(asked.prompt.as_deref());
                    encoder.tokenize_with(&texts, prompt.unwrap_or_default())
                }
            };
            Ok(encoder.encode_as_saved(&tokens.map_err(failed)?))
        }
    }
}

fn failed(error: orchestrator_model::Error) -> Diagnostic {
    Diagnostic::new(Kind::Data, error.to_string()).help(
        "give a folder of sentence-transformers or Hugging Face, or the folder `model` of a run",
    )
}

/// Lines to embeddings, `batch` lines at a time. Whoever closed the output early does not want the rest.
fn pipe(
    input: impl BufRead,
    mut output: impl Write,
    batch: usize,
    dim: usize,
    mut encode: impl FnMut(&[String]) -> Result<Vec<f32>, Diagnostic>,
) -> Result<(), Diagnostics> {
    let mut lines = input.lines();
    let (mut texts, mut read) = (Vec::with_capacity(batch), 0usize);
    loop {
        texts.clear();
        for line in lines.by_ref().take(batch) {
            read += 1;
            let line = line.map_err(|error| {
                let at = format!("line {read} of standard input: {error}");
                Diagnostic::new(Kind::Data, at).help("give texts in UTF-8, one a line")
            });
            match line {
                Ok(line) => texts.push(line),
                Err(error) => {
                    // What came before it is answered.
                    let _ = answer(&mut output, &encode(&texts)?, dim);
                    return Err(error.into());
                }
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        match answer(&mut output, &encode(&texts)?, dim) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => {
                let message = format!("cannot write the embeddings: {error}");
                return Err(Diagnostic::new(Kind::Data, message)
                    .help("check the space left where standard output goes")
                    .into());
            }
        }
    }
}

fn answer(output: &mut impl Write, embeddings: &[f32], dim: usize) -> std::io::Result<()> {
    for embedding in embeddings.chunks_exact(dim.max(1)) {
        serde_json::to_writer(&mut *output, embedding)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Gives a text's length, and says how many texts it was given at a time.
    fn lengths(sizes: &mut Vec<usize>) -> impl FnMut(&[String]) -> Result<Vec<f32>, Diagnostic> {
        |texts| {
            sizes.push(texts.len());
            Ok(texts.iter().map(|text| text.len() as f32 / 4.0).collect())
        }
    }

    #[test]
    fn lines_are_encoded_some_at_a_time_and_answered_in_order() {
        for (batch, expected) in [
            (1, &[1, 1, 1, 1, 1][..]),
            (2, &[2, 2, 1]),
            (5, &[5]),
            (9, &[5]),
        ] {
            let (mut sizes, mut out) = (Vec::new(), Vec::new());
            let input = b"a\n\nbbb\r\ncc\nno end".as_slice();
            pipe(input, &mut out, batch, 1, lengths(&mut sizes)).unwrap();
            assert_eq!(out, b"[0.25]\n[0.0]\n[0.75]\n[0.5]\n[1.5]\n", "{batch}");
            assert_eq!(sizes, expected, "{batch}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_told_after_what_came_before_it_is_answered() {
        let (mut sizes, mut out) = (Vec::new(), Vec::new());
        let input = b"a\nb\n\xff\nc\n".as_slice();
        let error = pipe(input, &mut out, 2, 1, lengths(&mut sizes)).unwrap_err();
        assert!(error.render(false).contains("line 3 of standard input"));
        assert_eq!(out, b"[0.25]\n[0.25]\n");
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        struct Fails(ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        for (kind, code) in [
            (ErrorKind::BrokenPipe, None),
            (ErrorKind::StorageFull, Some(3)),
        ] {
            let mut sizes = Vec::new();
            let input = b"a\nb\n".as_slice();
            let ended = pipe(input, Fails(kind), 1, 1, lengths(&mut sizes));
            assert_eq!(ended.err().map(|error| error.exit_code()), code, "{kind}");
            assert_eq!(sizes, [1], "nothing more is encoded");
        }
    }
}
