//! Plugins that behave, and ask for everything a host can lend: what they got is what they give.

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Loss, LossBatch, LossOutput, Needs, Result, Sampler, Sink,
};
use serde_json::{Value, json};

/// A sampler that tells what it was lent.
#[derive(Config)]
pub struct Borrower {
    /// A file.
    #[config(file)]
    file: Option<String>,
}

impl Borrower {
    fn lent(&self, anchors: &[i64], call: &Call<'_>) -> Result<Vec<(&'static str, Value)>> {
        let texts = ["one two", "three"];
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        let documents: Vec<Value> = (0..corpus.len())
            .map(|number| corpus.document(number))
            .map(|one| json!([one.id, one.title, one.sentences, one.metadata]))
            .collect();
        let judged: Vec<Value> = anchors
            .iter()
            .flat_map(|&anchor| judgements.of(anchor))
            .map(|one| {
                json!([
                    one.document,
                    one.label,
                    one.relevant,
                    one.grade,
                    one.sentences
                ])
            })
            .collect();
        let (search, embedder) = (call.search()?, call.embedder()?);
        let all: Vec<i64> = anchors.iter().map(|_| 1).collect();
        let (topics, scorer) = (call.topics()?, call.scorer()?);
        let others: Vec<Value> = call
            .other_corpora()?
            .into_iter()
            .map(|(name, corpus)| json!([name, corpus.len(), corpus.document(0).full_text()]))
            .collect();
        let held: Vec<Value> = call
            .held_out()?
            .iter()
            .map(|one| json!([one.id, one.split, one.text]))
            .collect();
        let kept: Vec<Value> = call
            .pool()?
            .iter()
            .map(|one| json!([one.anchor, one.document, one.text, one.label]))
            .collect();
        let file = match &self.file {
            Some(name) => json!(call.file(name)?),
            None => Value::Null,
        };
        let answers = call.chat()?.complete(&[json!({"n": 1}), json!({"n": 2})])?;
        Ok(vec![
            (
                "step",
                json!([call.step(), call.random(&[7]).below(1 << 30)]),
            ),
            ("corpus", json!(documents)),
            ("judgements", json!(judged)),
            ("top_k", json!(search.top_k(anchors, 3)?)),
            ("score", json!(search.score(anchors, &all)?)),
            (
                "out of range",
                json!(search.top_k(&[1_000_000], 1).is_err()),
            ),
            ("encode", json!([embedder.dim(), embedder.encode(&texts)?])),
            ("bm25", json!(call.bm25()?.top_k(&texts, 4)?)),
            (
                "topics",
                json!([topics.count(), topics.infer(&texts)?, topics.documents()?]),
            ),
            ("corpora", json!(others)),
            ("held out", json!(held)),
            ("pool", json!(kept)),
            ("file", file),
            ("no file", json!(call.file("nothing").is_err())),
            (
                "scorer",
                json!([
                    scorer.knows("initial"),
                    scorer.knows("nobody"),
                    scorer.score("initial", &[("one", "two"), ("three", "four")])?,
                    scorer.score("nobody", &[("one", "two")]).is_err(),
                ]),
            ),
            ("chat", json!(answers)),
            (
                "linalg",
                json!(call.linalg()?.products(&[1.0, 2.0], &[3.0, 4.0], 2)?),
            ),
        ])
    }
}

impl Sampler for Borrower {
    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        call.progress(0, 1, "asking");
        // Twice: what was lent once is lent again.
        for turn in 0..2 {
            for (what, value) in self.lent(anchors.numbers(), call)? {
                let detail = json!({ "turn": turn, what: value }).to_string();
                let mut candidate = Candidate::negative(anchors.numbers()[0], what);
                candidate.detail = detail;
                sink.push(&candidate)?;
            }
        }
        sink.count("asked", 2);
        call.metric("anchors", anchors.numbers().len() as f64)?;
        call.metric("sums/of_two", f64::MAX)?;
        call.metric("sums/of_two", 0.1 + 0.2)?;
        call.progress(1, 1, "asked");
        Ok(())
    }
}

/// A loss that gives its teacher's numbers back.
#[derive(Config)]
pub struct BorrowingLoss {}

impl Loss for BorrowingLoss {
    const NEEDS: Needs = Needs {
        positives: false,
        negatives: true,
        teacher: true,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        call: &Call<'_>,
    ) -> Result<f64> {
        let (dim, embeddings) = call.teacher()?;
        for text in 0..batch.texts() {
            out.add(text, 0.5, &embeddings[text * dim..(text + 1) * dim]);
        }
        for row in 0..batch.rows() {
            if let Some(score) = batch.row(row).teacher {
                out.set_row(row, score);
            }
        }
        Ok(call.step() as f64)
    }
}
