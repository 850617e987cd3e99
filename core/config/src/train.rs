//! Reads `train:`: losses, ratio, bands, schedule.

use std::collections::BTreeMap;
use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Kind as Problem};
use orchestrator_plugin_host::{Kind, Truncation, service};

use crate::curriculum::Bands;
use crate::experiment::{AfterWarmup, Encoder, LossStep, Samples, Train};
use crate::node::Data;
use crate::reader::{Bound, Fields, Reader};

impl Reader<'_> {
    pub(crate) fn train(
        &self,
        top: &Fields<'_>,
        epochs_of_rounds: usize,
        models: &BTreeMap<String, PathBuf>,
        encoder: Option<&Encoder>,
        samples: Option<&Samples>,
    ) -> Option<Train> {
        let Some(node) = top.get("train") else {
            self.missing(
                top,
                "train",
                "train: { losses: [{ mnrl: {} }], schedule: [{ epochs: 3 }] }",
            );
            return None;
        };
        let fields = self.fields(
            node,
            "/train",
            &[
                "batch",
                "learning_rate",
                "weight_decay",
                "warmup",
                "after_warmup",
                "accumulate",
                "clip",
                "early_stopping",
                "checkpoint_every",
                "losses",
                "teacher",
                "matryoshka",
                "mini_batch",
                "ratio",
                "bands",
                "schedule",
                "adapt",
            ],
        )?;
        let own = Some(&fields);
        let batch = self.whole(own, "batch", 32, 1);
        let is_transformer = matches!(encoder, Some(Encoder::Transformer(_)));
        let learning_rate = self.number(
            own,
            "learning_rate",
            if is_transformer { 2e-5 } else { 0.01 },
            &Bound::new("above 0 and at most 10", |x| x > 0.0 && x <= 10.0),
        );
        let weight_decay = self.number(
            own,
            "weight_decay",
            0.0,
            &Bound::new("at least 0", |x| x >= 0.0),
        );
        let warmup = self.number(
            own,
            "warmup",
            0.1,
            &Bound::new("from 0 to 1", |x| (0.0..=1.0).contains(&x)),
        );
        let after_warmup = self.word(
            own,
            "after_warmup",
            AfterWarmup::Linear,
            &[
                ("linear", AfterWarmup::Linear),
                ("cosine", AfterWarmup::Cosine),
                ("constant", AfterWarmup::Constant),
            ],
        );
        let accumulate = self.whole(own, "accumulate", 1, 1);
        // As Hugging Face's trainer does for what it trains.
        let clip = self.clip(&fields, is_transformer.then_some(1.0));
        let early_stopping = match self.group(&fields, "early_stopping", &["patience"])? {
            None => Some(None),
            Some(group) if group.get("patience").is_none() => {
                self.missing(&group, "patience", "patience: 2, in epochs");
                None
            }
            Some(group) => self.whole(Some(&group), "patience", 1, 1).map(Some),
        };
        let checkpoint_every = self.whole(own, "checkpoint_every", 50, 1);
        let losses = self.losses(&fields);
        let teacher = self.teacher(&fields, models);
        self.check_teacher(&fields, losses.as_deref(), teacher.as_ref());
        let matryoshka = self.matryoshka(&fields, encoder);
        let mini_batch = match fields.get("mini_batch") {
            None => Some(None),
            Some(_) => self.whole(own, "mini_batch", 1, 1).map(Some),
        };
        let schedule = self.schedule(&fields, samples, losses.as_deref());
        let epochs = schedule.as_deref().map_or(1, crate::schedule::most_epochs);
        let ratio = self.group(&fields, "ratio", &["negatives_per_positive"])?;
        let ratio = match ratio
            .as_ref()
            .and_then(|ratio| ratio.get("negatives_per_positive"))
        {
            Some(node) => self.ratio(node, epochs + epochs_of_rounds),
            None => "3".parse().ok(),
        };
        let bands = match fields.get("bands") {
            None => Some(Bands::Terciles),
            Some(node) => self.bands(node),
        };
        let adapt = self.adapt(&fields, samples, losses.as_deref(), epochs_of_rounds > 0);
        Some(Train {
            batch: batch?,
            learning_rate: learning_rate?,
            weight_decay: weight_decay?,
            warmup: warmup?,
            after_warmup: after_warmup?,
            accumulate: accumulate?,
            clip: clip?,
            early_stopping: early_stopping?,
            checkpoint_every: checkpoint_every?,
            losses: losses?,
            teacher: teacher?,
            matryoshka: matryoshka?,
            mini_batch: mini_batch?,
            negatives_per_positive: ratio?,
            bands: bands?,
            schedule: schedule?,
            adapt: adapt?,
        })
    }

    /// A number, or `off`.
    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    fn clip(&self, fields: &Fields<'_>, default: Option<f64>) -> Option<Option<f64>> {
        match fields.get("clip").map(|node| &node.data) {
            None => Some(default),
            Some(Data::Bool(false)) => Some(None),
            Some(Data::Text(word)) if word == "off" => Some(None),
            Some(_) => {
                let above = Bound::new("above 0, or `off`", |x| x > 0.0);
                self.number(Some(fields), "clip", 1.0, &above).map(Some)
            }
        }
    }

    /// A loss that looks at the teacher's embeddings needs one that has them.
    fn check_teacher(
        &self,
        fields: &Fields<'_>,
        losses: Option<&[LossStep]>,
        teacher: Option<&Option<String>>,
    ) {
        let lacks = match teacher {
            Some(None) => "the experiment has no `train.teacher`",
            Some(Some(name)) if name == "bm25" => "bm25 has no embeddings",
            _ => return,
        };
        for loss in losses.unwrap_or_default() {
            let asks = self
                .plugin(Kind::Loss, &loss.step.plugin)
                .is_some_and(|plugin| plugin.services.iter().any(|one| one == service::TEACHER));
            if asks {
                let node = fields.get("losses").unwrap_or(fields.node);
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!(
                            "`{}` is guided by a second model, and {lacks}",
                            loss.step.name
                        ),
                    )
                    .at(node.place.location())
                    .help("for example teacher: initial, or a model named under `models:`"),
                );
            }
        }
    }

    /// `[256, 128]`, or `[{ dim: 256, weight: 1 }, …]`
    fn matryoshka(
        &self,
        fields: &Fields<'_>,
        encoder: Option<&Encoder>,
    ) -> Option<Vec<Truncation>> {
        self.items(fields, "matryoshka")?
            .iter()
            .enumerate()
            .map(|(place, item)| {
                let truncation = match item.data {
                    Data::Integer(dim) if dim > 0 => Truncation {
                        dim: usize::try_from(dim).ok()?,
                        weight: 1.0,
                    },
                    _ => {
                        let path = format!("/train/matryoshka/{place}");
                        let group = self.fields(item, &path, &["dim", "weight"])?;
                        let above = Bound::new("above 0", |x| x > 0.0);
                        Truncation {
                            dim: self.whole(Some(&group), "dim", 0, 1)?,
                            weight: self.number(Some(&group), "weight", 1.0, &above)?,
                        }
                    }
                };
                let Some(dim) = encoder.and_then(Encoder::dim) else {
                    return Some(truncation);
                };
                if truncation.dim == 0 || truncation.dim > dim {
                    self.wrong(
                        item,
                        format!(
                            "`dim` must be from 1 to {dim}, the encoder's, not {}",
                            truncation.dim
                        ),
                    );
                    return None;
                }
                Some(truncation)
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn losses(&self, fields: &Fields<'_>) -> Option<Vec<LossStep>> {
        let losses = self.steps(fields, "losses", Kind::Loss, &["weight"], |own, step| {
            let weight = self.number(
                Some(own),
                "weight",
                1.0,
                &Bound::new("at least 0", |x| x >= 0.0),
            );
            Some(LossStep {
                step: step?,
                weight: weight?,
            })
        })?;
        if losses.is_empty() {
            self.missing(fields, "losses", "losses: [{ mnrl: {} }]");
            return None;
        }
        if losses.iter().map(|loss| loss.weight).sum::<f64>() <= 0.0 {
            let node = fields.get("losses").unwrap_or(fields.node);
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    "the weights of the losses sum to zero: nothing would be trained",
                )
                .at(node.place.location())
                .help("give at least one loss a weight above 0"),
            );
            return None;
        }
        Some(losses)
    }
}
