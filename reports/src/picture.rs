//! The space of embeddings in the plane, through the epochs: what there is, as paths of points that are alike, so that a
//! page can colour them by role, source, stage, topic or domain without a script.

use std::collections::BTreeMap;

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::better::named;
use crate::charts::round;
use crate::figure::{Figure, count, epoch_of, number, one, rows, text};
use crate::words::{Name, Said};

/// The section of the picture.
#[derive(Serialize)]
pub struct Picture {
    pub picture: Figure<Shown>,
}

#[derive(Serialize)]
pub struct Shown {
    /// umap, tsne, pca
    pub method: String,
    /// Points of a picture, and how many there are in all.
    pub points: u64,
    pub all: u64,
    pub trustworthiness: Option<f64>,
    /// Of a picture; it is 300 wide.
    pub height: f64,
    pub pictures: Vec<OfEpoch>,
    /// What points can be coloured by.
    pub colourings: Vec<Colouring>,
}

#[derive(Serialize)]
pub struct OfEpoch {
    pub epoch: u32,
    pub model: Name,
    pub last: bool,
    pub groups: Vec<Group>,
}

/// Points that are alike in everything, as one path in a picture 300 wide.
#[derive(Serialize)]
pub struct Group {
    pub class: String,
    pub d: String,
}

#[derive(Serialize)]
pub struct Colouring {
    /// role, source, stage, topic, domain
    pub by: &'static str,
    pub values: Vec<Coloured>,
}

#[derive(Serialize)]
pub struct Coloured {
    /// Of the palette.
    pub class: String,
    pub name: Name,
    pub n: u64,
    /// Its sign, for roles.
    pub d: Option<String>,
}

/// Pictures, and points of each, that are shown.
const MOST: usize = 8;
const POINTS: u64 = 2000;

/// Kinds of colour; the last is for everything else.
const COLOURS: usize = 8;

impl Picture {
    pub(crate) fn of(store: &Store) -> Result<Self, Error> {
        Ok(Self {
            picture: picture(store)?,
        })
    }
}

/// What is known of a point.
struct Point {
    role: &'static str,
    of: [String; 4],
}

fn picture(store: &Store) -> Result<Figure<Shown>, Error> {
    let all = one(
        store,
        "SELECT count(*) AS n FROM (SELECT DISTINCT kind, item FROM projection)",
    )?
    .unwrap_or_default() as u64;
    // The same things in every picture: every so-manieth of them.
    let every = all.div_ceil(POINTS).max(1);
    let sql = format!(
        "WITH things AS (SELECT kind, item, row_number() OVER (ORDER BY kind, item) AS place FROM (SELECT DISTINCT kind, item FROM projection))
SELECT p.model, p.method, p.kind, p.item, p.x, p.y FROM projection p JOIN things t ON t.kind = p.kind AND t.item = p.item
WHERE t.place % {every} = 0 ORDER BY p.tick, p.kind, p.item"
    );
    if all == 0 {
        return Ok(Figure::empty("picture", sql, Said::of("why.no-picture")));
    }
    let known = known(store)?;
    let mut by_epoch: BTreeMap<u32, Vec<(String, f64, f64)>> = BTreeMap::new();
    let mut method = String::new();
    for row in rows(store, &sql)? {
        if let Some(epoch) = epoch_of(text(&row, "model")) {
            text(&row, "method").clone_into(&mut method);
            let key = format!("{} {}", text(&row, "kind"), text(&row, "item"));
            by_epoch
                .entry(epoch)
                .or_default()
                .push((key, number(&row, "x"), number(&row, "y")));
        }
    }
    let epochs: Vec<u32> = by_epoch.keys().copied().collect();
    let shown = MOST.min(epochs.len());
    let kept: Vec<u32> = (0..shown)
        .map(|place| epochs[place * (epochs.len() - 1) / (shown - 1).max(1)])
        .collect();
    by_epoch.retain(|epoch, _| kept.contains(epoch));
    // One frame for all: what moves, moved.
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for (_, x, y) in by_epoch.values().flatten() {
        low = [low[0].min(*x), low[1].min(*y)];
        high = [high[0].max(*x), high[1].max(*y)];
    }
    let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
    let (across, down) = (high[0] - low[0], high[1] - low[1]);
    let half = (across.max(down) / 2.0).max(1e-9);
    let height = round((142.0 * down / half + 16.0).clamp(120.0, 300.0));
    let at = |x: f64, y: f64| {
        (
            round(150.0 + 142.0 * (x - middle[0]) / half),
            round(height / 2.0 - 142.0 * (y - middle[1]) / half),
        )
    };
    let colours = colours(&by_epoch, &known);
    let last = kept.last().copied();
    let pictures: Vec<OfEpoch> = by_epoch
        .iter()
        .map(|(epoch, points)| {
            let mut groups: BTreeMap<String, String> = BTreeMap::new();
            for (key, x, y) in points {
                let (role, class) = class_of(key, &known, &colours);
                let (x, y) = at(*x, *y);
                groups.entry(class).or_default().push_str(&mark(role, x, y));
            }
            OfEpoch {
                epoch: *epoch,
                model: named(&if *epoch == 0 {
                    "initial".to_owned()
                } else {
                    format!("epoch-{epoch}")
                }),
                last: Some(*epoch) == last,
                groups: groups
                    .into_iter()
                    .map(|(class, d)| Group { class, d })
                    .collect(),
            }
        })
        .collect();
    let shown = Shown {
        method,
        height,
        points: by_epoch
            .values()
            .map(|points| points.len() as u64)
            .max()
            .unwrap_or_default(),
        all,
        trustworthiness: one(
            store,
            "SELECT value FROM metric WHERE step = -1 AND name = 'picture/trustworthiness' ORDER BY tick DESC LIMIT 1",
        )?,
        colourings: legends(&by_epoch, &known, &colours),
        pictures,
    };
    Ok(Figure::new("picture", sql, shown))
}

/// Role, source, stage, topic and domain of everything in the picture.
fn known(store: &Store) -> Result<BTreeMap<String, Point>, Error> {
    let mut known = BTreeMap::new();
    let text_of = |row: &crate::figure::Row, name: &str| text(row, name).to_owned();
    // Samples: their first source, and the stage of the epoch that used them first.
    for row in rows(
        store,
        "WITH things AS (SELECT DISTINCT item FROM projection WHERE kind = 'sample')
SELECT s.id, s.role, (SELECT p.source FROM provenance p WHERE p.sample = s.id ORDER BY p.tick, p.source LIMIT 1) AS source,
       (SELECT k.detail FROM use u JOIN tick k ON k.number = u.tick WHERE u.sample = s.id ORDER BY u.step LIMIT 1) AS stage,
       (SELECT o.terms FROM topical l JOIN topic o ON o.number = l.topic WHERE l.kind = 'document' AND l.item = s.document) AS terms,
       (SELECT CASE WHEN json_valid(d.metadata) THEN json_extract(d.metadata, '$.domain') END FROM document d WHERE d.number = s.document) AS domain
FROM things t JOIN sample s ON s.id = t.item",
    )? {
        let stage = text(&row, "stage").rsplit(", ").next().unwrap_or_default().to_owned();
        let role = if text(&row, "role") == "positive" { "positive" } else { "negative" };
        let point = Point {
            role,
            of: [text_of(&row, "source"), stage, topic(text(&row, "terms")), text_of(&row, "domain")],
        };
        known.insert(format!("sample {}", text(&row, "id")), point);
    }
    for row in rows(
        store,
        "WITH things AS (SELECT DISTINCT kind, item FROM projection WHERE kind IN ('anchor', 'document')),
     judged AS MATERIALIZED (SELECT DISTINCT j.document FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = 'validation')
SELECT t.kind, t.item, (SELECT o.terms FROM topical l JOIN topic o ON o.number = l.topic WHERE l.kind = t.kind AND l.item = CAST(t.item AS INTEGER)) AS terms,
       t.kind = 'document' AND CAST(t.item AS INTEGER) IN (SELECT document FROM judged) AS judged,
       CASE t.kind WHEN 'document'
         THEN (SELECT CASE WHEN json_valid(d.metadata) THEN json_extract(d.metadata, '$.domain') END FROM document d WHERE d.number = CAST(t.item AS INTEGER))
         ELSE (SELECT CASE WHEN json_valid(a.metadata) THEN json_extract(a.metadata, '$.domain') END FROM anchor a WHERE a.number = CAST(t.item AS INTEGER)) END AS domain
FROM things t",
    )? {
        let role = match (text(&row, "kind"), count(&row, "judged")) {
            ("anchor", _) => "anchor",
            (_, 0) => "document",
            _ => "judged",
        };
        let point = Point {
            role,
            of: [String::new(), String::new(), topic(text(&row, "terms")), text_of(&row, "domain")],
        };
        known.insert(format!("{} {}", text(&row, "kind"), text(&row, "item")), point);
    }
    Ok(known)
}

/// A topic by its first terms.
fn topic(terms: &str) -> String {
    let terms: Vec<String> = serde_json::from_str(terms).unwrap_or_default();
    terms.into_iter().take(3).collect::<Vec<_>>().join(", ")
}

const BY: [&str; 5] = ["role", "source", "stage", "topic", "domain"];
const ROLES: [&str; 5] = ["anchor", "positive", "negative", "judged", "document"];

/// For each colouring but the role's, its values with their colours: the most frequent have their own.
fn colours(
    by_epoch: &BTreeMap<u32, Vec<(String, f64, f64)>>,
    known: &BTreeMap<String, Point>,
) -> [Vec<String>; 4] {
    [0, 1, 2, 3].map(|by| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, ..) in by_epoch.values().flatten() {
            if let Some(value) = known
                .get(key)
                .map(|point| point.of[by].as_str())
                .filter(|value| !value.is_empty())
            {
                *counts.entry(value).or_default() += 1;
            }
        }
        let mut values: Vec<(&str, u64)> = counts.into_iter().collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        values
            .into_iter()
            .take(COLOURS - 1)
            .map(|(value, _)| value.to_owned())
            .collect()
    })
}

/// The class of a point: `r` for its role, `a` for its source, `b` stage, `t` topic, `m` domain, each with a colour; the last
/// is everything else.
fn class_of(
    key: &str,
    known: &BTreeMap<String, Point>,
    colours: &[Vec<String>; 4],
) -> (&'static str, String) {
    let Some(point) = known.get(key) else {
        return ("document", "r4 a7 b7 t7 m7".to_owned());
    };
    let mut class = format!(
        "r{}",
        ROLES
            .iter()
            .position(|role| *role == point.role)
            .unwrap_or(4)
    );
    for ((letter, values), value) in ["a", "b", "t", "m"].iter().zip(colours).zip(&point.of) {
        let colour = values
            .iter()
            .position(|one| one == value)
            .unwrap_or(COLOURS - 1);
        class.push_str(&format!(" {letter}{colour}"));
    }
    (point.role, class)
}

fn legends(
    by_epoch: &BTreeMap<u32, Vec<(String, f64, f64)>>,
    known: &BTreeMap<String, Point>,
    colours: &[Vec<String>; 4],
) -> Vec<Colouring> {
    let last = by_epoch.values().next_back();
    let points = || last.into_iter().flatten().map(|(key, ..)| known.get(key));
    let mut all = Vec::new();
    for (place, by) in BY.into_iter().enumerate() {
        let mut values: Vec<Coloured> = if place == 0 {
            let roles = ROLES.iter().enumerate();
            roles
                .map(|(colour, role)| Coloured {
                    class: format!("r{colour}"),
                    name: Name::word(match *role {
                        "anchor" => "sign.anchor",
                        "positive" => "sign.positive",
                        "negative" => "sign.negative",
                        "judged" => "sign.judged",
                        _ => "sign.document",
                    }),
                    n: points()
                        .filter(|point| point.map_or("document", |point| point.role) == *role)
                        .count() as u64,
                    d: Some(mark(role, 6.0, 6.0)),
                })
                .collect()
        } else {
            let letter = ["a", "b", "t", "m"][place - 1];
            let of = |value: &str| {
                points()
                    .filter(|point| point.is_some_and(|point| point.of[place - 1] == value))
                    .count() as u64
            };
            let mut values: Vec<Coloured> = colours[place - 1]
                .iter()
                .enumerate()
                .map(|(colour, value)| Coloured {
                    class: format!("{letter}{colour}"),
                    name: Name::Data(value.clone()),
                    n: of(value),
                    d: None,
                })
                .collect();
            let named: u64 = values.iter().map(|value| value.n).sum();
            let rest = points().count() as u64 - named;
            if values.is_empty() {
                continue;
            }
            if rest > 0 {
                values.push(Coloured {
                    class: format!("{letter}7"),
                    name: Name::word("sign.rest"),
                    n: rest,
                    d: None,
                });
            }
            values
        };
        values.retain(|value| value.n > 0);
        if !values.is_empty() {
            all.push(Colouring { by, values });
        }
    }
    all
}

/// An anchor is a dot, a positive a triangle, a negative a cross, a document judged relevant a diamond, another one a ring.
fn mark(role: &str, x: f64, y: f64) -> String {
    let up = round(y - 2.8);
    match role {
        "anchor" => format!("M{} {y}a2 2 0 1 1 4 0a2 2 0 1 1-4 0z", round(x - 2.0)),
        "positive" => format!("M{x} {up}l2.6 4.6h-5.2z"),
        "negative" => format!("M{} {}l4 4m0-4l-4 4", round(x - 2.0), round(y - 2.0)),
        "judged" => format!("M{x} {up}l2.6 2.6l-2.6 2.6l-2.6-2.6z"),
        _ => format!("M{} {}h3v3h-3z", round(x - 1.5), round(y - 1.5)),
    }
}
