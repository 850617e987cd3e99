//! Reads `model:`: which encoder is trained.

use crate::experiment::{Encoder, Lora, Precision, Transformer};
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};
use crate::source::relative;

impl Reader<'_> {
    pub(crate) fn model(&self, top: &Fields<'_>) -> Option<Encoder> {
        let model = self.group(top, "model", &["encoder"])?;
        let Some(node) = model.as_ref().and_then(|model| model.get("encoder")) else {
            return self.static_encoder(None);
        };
        match &node.data {
            Data::Text(word) if word == "transformer" => {
                self.type_error(node, "encoder", TRANSFORMER);
                None
            }
            Data::Text(_) => {
                self.word_of(node, "encoder", &[("static", ())])?;
                self.static_encoder(None)
            }
            _ if node.get("transformer").is_some() => self.transformer(node),
            _ => {
                let outer = self.fields(node, "/model/encoder", &["static", "transformer"])?;
                let Some(inner) = outer.get("static") else {
                    self.missing(&outer, "static", "static: { dim: 256, vocabulary: 8000 }");
                    return None;
                };
                let known = ["dim", "vocabulary"];
                let fields = self.fields(inner, "/model/encoder/static", &known)?;
                self.static_encoder(Some(&fields))
            }
        }
    }

    fn static_encoder(&self, fields: Option<&Fields<'_>>) -> Option<Encoder> {
        let dim = self.whole(fields, "dim", 256, 8);
        let vocabulary = self.whole(fields, "vocabulary", 8000, 300);
        Some(Encoder::Static {
            dim: dim?,
            vocabulary: vocabulary?,
        })
    }

    fn transformer(&self, node: &Node) -> Option<Encoder> {
        if let Some(other) = node.get("static") {
            self.wrong(
                other,
                "`static` and `transformer` are two encoders: keep the one that is to be trained",
            );
            return None;
        }
        let known = [
            "transformer",
            "max_tokens",
            "precision",
            "dropout",
            "freeze",
            "lora",
        ];
        let fields = self.fields(node, "/model/encoder", &known)?;
        let own = Some(&fields);
        let folder = match fields.get("transformer") {
            Some(node) => self.text(node, "transformer").and_then(|_| relative(node)),
            None => {
                self.missing(&fields, "transformer", "transformer: models/MiniLM");
                None
            }
        };
        let max_tokens = match fields.get("max_tokens") {
            None => Some(None),
            Some(_) => self.whole(own, "max_tokens", 256, 8).map(Some),
        };
        let precision = self.word(
            own,
            "precision",
            Precision::F32,
            &[
                ("f32", Precision::F32),
                ("bf16", Precision::Bf16),
                ("int8", Precision::Int8),
            ],
        );
        let dropout = self.number(
            own,
            "dropout",
            0.1,
            &Bound::new("at least 0 and below 1", |x| (0.0..1.0).contains(&x)),
        );
        let freeze = self.whole(own, "freeze", 0, 0);
        let lora = match self.group(&fields, "lora", &["rank", "alpha"])? {
            None => Some(None),
            Some(lora) => {
                let rank = self.whole(Some(&lora), "rank", 8, 1);
                let above = Bound::new("above 0", |x| x > 0.0);
                let alpha = self.number(Some(&lora), "alpha", 16.0, &above);
                rank.zip(alpha)
                    .map(|(rank, alpha)| Some(Lora { rank, alpha }))
            }
        };
        Some(Encoder::Transformer(Transformer {
            folder: folder?,
            max_tokens: max_tokens?,
            precision: precision?,
            dropout: dropout?,
            freeze: freeze?,
            lora: lora?,
        }))
    }
}

const TRANSFORMER: &str = "`static`, or a group such as { transformer: models/MiniLM }";
