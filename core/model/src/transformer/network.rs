//! What a transformer is made of: its shape, and which tensor is which. From the `config.json` and the tensor names of
//! Hugging Face's models.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kernels::Activation;
use crate::parameters::Parameter;

/// The families that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT (Devlin et al. 2019).
    Bert,
    /// RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT with other positions.
    Roberta,
    /// MPNet (Song et al. 2020): BERT with a bias by distance.
    MpNet,
    /// DistilBERT (Sanh et al. 2019): BERT without token types.
    DistilBert,
    /// ModernBERT (Warner et al. 2024): normalised before, rotary positions, gated feed-forward, local attention.
    ModernBert,
}

/// The numbers of `config.json`.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub family: Family,
    pub hidden: usize,
    pub heads: usize,
    pub layers: usize,
    pub inner: usize,
    pub vocabulary: usize,
    /// Tokens that a text may have at most.
    pub longest: usize,
    /// Of the first token.
    pub first_position: usize,
    pub epsilon: f32,
    pub activation: Activation,
    /// MPNet's number of buckets.
    pub buckets: usize,
    /// ModernBERT's: every n-th layer sees all tokens; the others so many to each side.
    pub global_every: usize,
    pub side: usize,
    pub global_theta: f64,
    pub local_theta: f64,
}

impl Shape {
    pub fn head(&self) -> usize {
        self.hidden / self.heads
    }

    /// How far layer `layer` sees to each side, if not everywhere.
    pub fn window(&self, layer: usize) -> Option<usize> {
        (self.family == Family::ModernBert && !layer.is_multiple_of(self.global_every))
            .then_some(self.side)
    }

    pub fn read(config: &Value) -> Result<Self, String> {
        let model = config["model_type"].as_str().unwrap_or_default();
        let family = match model {
            "bert" => Family::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Family::Roberta,
            "mpnet" => Family::MpNet,
            "distilbert" => Family::DistilBert,
            "modernbert" => Family::ModernBert,
            other => {
                return Err(format!(
                    "the architecture `{other}` is not supported: bert, roberta, xlm-roberta, camembert, mpnet, distilbert \
                     and modernbert are"
                ));
            }
        };
        let whole = |names: &[&str]| {
            let found = names.iter().find_map(|name| config[*name].as_u64());
            found
                .map(|value| value as usize)
                .ok_or_else(|| format!("config.json has no `{}`", names[0]))
        };
        let text = |names: &[&str]| names.iter().find_map(|name| config[*name].as_str());
        if text(&["position_embedding_type"]).is_some_and(|kind| kind != "absolute") {
            return Err(
                "position_embedding_type other than `absolute` is not supported".to_owned(),
            );
        }
        if config["is_decoder"].as_bool() == Some(true) {
            return Err("decoders are not supported: attention must look both ways".to_owned());
        }
        let activation = match text(&["hidden_act", "activation", "hidden_activation"])
            .unwrap_or("gelu")
        {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => {
                return Err(format!(
                    "the activation `{other}` is not supported: gelu, gelu_new, gelu_pytorch_tanh and relu are"
                ));
            }
        };
        let padding = config["pad_token_id"].as_u64().unwrap_or(1) as usize;
        let positions = whole(&["max_position_embeddings"])?;
        let first_position = match family {
            Family::Roberta | Family::MpNet => padding + 1,
            _ => 0,
        };
        let theta = |key: &str, kind: &str, default: f64| {
            let nested = &config["rope_parameters"][kind]["rope_theta"];
            config[key]
                .as_f64()
                .or_else(|| nested.as_f64())
                .unwrap_or(default)
        };
        let shape = Self {
            family,
            hidden: whole(&["hidden_size", "dim"])?,
            heads: whole(&["num_attention_heads", "n_heads"])?,
            layers: whole(&["num_hidden_layers", "n_layers"])?,
            inner: whole(&["intermediate_size", "hidden_dim"])?,
            vocabulary: whole(&["vocab_size"])?,
            longest: positions.saturating_sub(first_position).min(8192),
            first_position,
            epsilon: match family {
                Family::DistilBert => 1e-12,
                Family::ModernBert => config["norm_eps"].as_f64().unwrap_or(1e-5) as f32,
                _ => config["layer_norm_eps"].as_f64().unwrap_or(1e-12) as f32,
            },
            activation,
            buckets: config["relative_attention_num_buckets"]
                .as_u64()
                .unwrap_or(32) as usize,
            global_every: config["global_attn_every_n_layers"]
                .as_u64()
                .unwrap_or(3)
                .max(1) as usize,
            side: config["local_attention"].as_u64().unwrap_or(128) as usize / 2,
            global_theta: theta("global_rope_theta", "full_attention", 160_000.0),
            local_theta: theta("local_rope_theta", "sliding_attention", 10_000.0),
        };
        if shape.heads == 0 || shape.hidden == 0 || !shape.hidden.is_multiple_of(shape.heads) {
            return Err(format!(
                "{} dimensions cannot be parted among {} heads",
                shape.hidden, shape.heads
            ));
        }
        if shape.longest == 0 {
            return Err("max_position_embeddings leaves no room for a token".to_owned());
        }
        Ok(shape)
    }
}

/// A linear layer: one matrix, or several side by side.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub parts: Vec<Part>,
    /// Outputs.
    pub n: usize,
    /// Inputs.
    pub k: usize,
}

/// Rows of a linear layer: places among the parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub weight: usize,
    pub bias: Option<usize>,
    pub rows: usize,
}

/// A layer norm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub gain: usize,
    pub bias: Option<usize>,
}

/// The four products of a layer, in the order of the way there, and its norms.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub linears: [Linear; 4],
    /// After attention, or before it; ModernBERT's first layer has none.
    pub attention_norm: Option<Norm>,
    pub inner_norm: Norm,
}

pub(super) const QKV: usize = 0;
pub(super) const OUT: usize = 1;
pub(super) const UP: usize = 2;
pub(super) const DOWN: usize = 3;

/// Which tensor is which.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub words: usize,
    pub positions: Option<usize>,
    pub types: Option<usize>,
    pub embedding_norm: Norm,
    pub relative: Option<usize>,
    pub layers: Vec<Layer>,
    pub last_norm: Option<Norm>,
}

/// Finds tensors by name, and says what is missing or odd.
struct Finder<'a> {
    prefix: String,
    places: BTreeMap<&'a str, usize>,
    parameters: &'a [Parameter],
}

impl Finder<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<usize, String> {
        let full = format!("{}{name}", self.prefix);
        let Some(&place) = self.places.get(full.as_str()) else {
            return Err(format!("the tensor `{full}` is missing"));
        };
        let found = &self.parameters[place].shape;
        if found != shape {
            return Err(format!(
                "the tensor `{full}` has the shape {found:?}, not {shape:?}"
            ));
        }
        Ok(place)
    }

    fn maybe(&self, name: &str, shape: &[usize]) -> Result<Option<usize>, String> {
        if self
            .places
            .contains_key(format!("{}{name}", self.prefix).as_str())
        {
            self.tensor(name, shape).map(Some)
        } else {
            Ok(None)
        }
    }

    fn norm(&self, name: &str, hidden: usize, biased: bool) -> Result<Norm, String> {
        let bias = format!("{name}.bias");
        Ok(Norm {
            gain: self.tensor(&format!("{name}.weight"), &[hidden])?,
            bias: if biased {
                Some(self.tensor(&bias, &[hidden])?)
            } else {
                self.maybe(&bias, &[hidden])?
            },
        })
    }

    fn linear(&self, names: &[&str], n: usize, k: usize, biased: bool) -> Result<Linear, String> {
        let rows = n / names.len();
        let parts = names.iter().map(|name| {
            let bias = format!("{name}.bias");
            Ok(Part {
                weight: self.tensor(&format!("{name}.weight"), &[rows, k])?,
                bias: if biased {
                    Some(self.tensor(&bias, &[rows])?)
                } else {
                    self.maybe(&bias, &[rows])?
                },
                rows,
            })
        });
        Ok(Linear {
            parts: parts.collect::<Result<_, String>>()?,
            n,
            k,
        })
    }
}

impl Network {
    pub fn find(shape: &Shape, parameters: &[Parameter]) -> Result<Self, String> {
        let places: BTreeMap<&str, usize> = parameters
            .iter()
            .enumerate()
            .map(|(place, one)| (one.name.as_str(), place))
            .collect();
        let modern = shape.family == Family::ModernBert;
        let first = if modern {
            "embeddings.tok_embeddings.weight"
        } else {
            "embeddings.word_embeddings.weight"
        };
        let Some(prefix) = places.keys().find_map(|name| name.strip_suffix(first)) else {
            return Err(format!("the tensor `{first}` is missing"));
        };
        let finder = Finder {
            prefix: prefix.to_owned(),
            places,
            parameters,
        };
        let (hidden, inner) = (shape.hidden, shape.inner);
        let words = finder.tensor(first, &[shape.vocabulary, hidden])?;
        if modern {
            return Self::modern(shape, &finder, words);
        }
        let positions = shape.longest_position();
        let mut layers = Vec::new();
        for number in 0..shape.layers {
            let (root, names) = match shape.family {
                Family::DistilBert => (
                    format!("transformer.layer.{number}."),
                    [
                        "attention.q_lin",
                        "attention.k_lin",
                        "attention.v_lin",
                        "attention.out_lin",
                        "ffn.lin1",
                        "ffn.lin2",
                        "sa_layer_norm",
                        "output_layer_norm",
                    ],
                ),
                Family::MpNet => (
                    format!("encoder.layer.{number}."),
                    [
                        "attention.attn.q",
                        "attention.attn.k",
                        "attention.attn.v",
                        "attention.attn.o",
                        "intermediate.dense",
                        "output.dense",
                        "attention.LayerNorm",
                        "output.LayerNorm",
                    ],
                ),
                _ => (
                    format!("encoder.layer.{number}."),
                    [
                        "attention.self.query",
                        "attention.self.key",
                        "attention.self.value",
                        "attention.output.dense",
                        "intermediate.dense",
                        "output.dense",
                        "attention.output.LayerNorm",
                        "output.LayerNorm",
                    ],
                ),
            };
            let names = names.map(|name| format!("{root}{name}"));
            layers.push(Layer {
                linears: [
                    finder.linear(&[&names[0], &names[1], &names[2]], 3 * hidden, hidden, true)?,
                    finder.linear(&[&names[3]], hidden, hidden, true)?,
                    finder.linear(&[&names[4]], inner, hidden, true)?,
                    finder.linear(&[&names[5]], hidden, inner, true)?,
                ],
                attention_norm: Some(finder.norm(&names[6], hidden, true)?),
                inner_norm: finder.norm(&names[7], hidden, true)?,
            });
        }
        let types = match shape.family {
            Family::Bert | Family::Roberta => {
                let name = "embeddings.token_type_embeddings.weight";
                let full = format!("{}{name}", finder.prefix);
                let rows = finder
                    .places
                    .get(full.as_str())
                    .map_or(1, |place| parameters[*place].shape[0]);
                Some(finder.tensor(name, &[rows, hidden])?)
            }
            _ => None,
        };
        let relative = match shape.family {
            Family::MpNet => Some(finder.tensor(
                "encoder.relative_attention_bias.weight",
                &[shape.buckets, shape.heads],
            )?),
            _ => None,
        };
        Ok(Self {
            words,
            positions: Some(finder.tensor(
                "embeddings.position_embeddings.weight",
                &[positions, hidden],
            )?),
            types,
            embedding_norm: finder.norm("embeddings.LayerNorm", hidden, true)?,
            relative,
            layers,
            last_norm: None,
        })
    }

    fn modern(shape: &Shape, finder: &Finder<'_>, words: usize) -> Result<Self, String> {
        let (hidden, inner) = (shape.hidden, shape.inner);
        let mut layers = Vec::new();
        for number in 0..shape.layers {
            let name = |name: &str| format!("layers.{number}.{name}");
            layers.push(Layer {
                linears: [
                    finder.linear(&[&name("attn.Wqkv")], 3 * hidden, hidden, false)?,
                    finder.linear(&[&name("attn.Wo")], hidden, hidden, false)?,
                    finder.linear(&[&name("mlp.Wi")], 2 * inner, hidden, false)?,
                    finder.linear(&[&name("mlp.Wo")], hidden, inner, false)?,
                ],
                attention_norm: if number == 0 {
                    None
                } else {
                    Some(finder.norm(&name("attn_norm"), hidden, false)?)
                },
                inner_norm: finder.norm(&name("mlp_norm"), hidden, false)?,
            });
        }
        Ok(Self {
            words,
            positions: None,
            types: None,
            embedding_norm: finder.norm("embeddings.norm", hidden, false)?,
            relative: None,
            layers,
            last_norm: Some(finder.norm("final_norm", hidden, false)?),
        })
    }

    /// The parameters that the network uses.
    pub fn used(&self) -> Vec<usize> {
        let mut used = self.embeddings();
        used.extend(
            self.last_norm
                .iter()
                .flat_map(|norm| [Some(norm.gain), norm.bias])
                .flatten(),
        );
        used.extend(self.layers.iter().flat_map(|layer| self.of_layer(layer)));
        used.sort_unstable();
        used
    }

    /// The parameters below the first layer.
    pub fn embeddings(&self) -> Vec<usize> {
        let norm = self.embedding_norm;
        let all = [
            Some(self.words),
            self.positions,
            self.types,
            self.relative,
            Some(norm.gain),
            norm.bias,
        ];
        all.into_iter().flatten().collect()
    }

    /// The parameters of one layer.
    pub fn of_layer(&self, layer: &Layer) -> Vec<usize> {
        let norms = layer.attention_norm.iter().chain([&layer.inner_norm]);
        let of_norms = norms.flat_map(|norm| [Some(norm.gain), norm.bias]);
        let parts = layer.linears.iter().flat_map(|linear| &linear.parts);
        let of_parts = parts.flat_map(|part| [Some(part.weight), part.bias]);
        of_norms.chain(of_parts).flatten().collect()
    }
}

impl Shape {
    /// Rows of the table of positions.
    fn longest_position(&self) -> usize {
        self.longest + self.first_position
    }
}
