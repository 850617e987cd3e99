//! `orchestrator explain`: what a name means, and which view is shown how.

mod text;

use std::path::Path;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind, nearest};
use orchestrator_engine::Error;
use orchestrator_reports::explain::{self, Explanation, List, Thing};
use orchestrator_store::explaining::{Depth, Named};
use orchestrator_store::{SampleId, Store};
use serde_json::json;

use crate::args::{Explain, ThingKind};
use crate::commands::internal;
use crate::report::templates_of;
use crate::show;
use crate::terminal::Terminal;

/// So many hex digits at least name a sample by the beginning of its id.
const SHORTEST_PREFIX: usize = 4;
/// Samples that are listed where a beginning means several.
const LISTED: usize = 8;
/// Ids that are looked through for one that was meant.
const LOOKED_THROUGH: usize = 200_000;

pub fn run(asked: &Explain, json: bool) -> Result<(), Diagnostics> {
    let path = asked.run.join("store.db");
    if !path.is_file() {
        return Err(Error::NotARun(asked.run.clone(), "store.db").into_diagnostics());
    }
    let store = Store::open_to_read(&path).map_err(of_store)?;
    let explanation = explained(&store, asked)?;
    if let Some(file) = &asked.html {
        page(&explanation, asked, file)?;
        show::out(&if json {
            format!("{}\n", json!({ "page": file }))
        } else {
            format!("{}\n", file.display())
        });
    } else if json {
        let value = serde_json::to_value(&explanation)
            .map_err(|error| internal("cannot write the explanation", &error))?;
        show::out(&format!("{value}\n"));
    } else {
        show::out(&text::text(
            &explanation,
            &asked.run,
            Terminal::of_output(),
            asked.full,
        ));
    }
    Ok(())
}

fn of_store(error: orchestrator_store::Error) -> Diagnostics {
    Diagnostic::new(Kind::Data, error.to_string())
        .help(error.help())
        .into()
}

fn of_report(error: &orchestrator_reports::Error) -> Diagnostics {
    Diagnostic::new(Kind::Data, error.to_string())
        .help(error.help())
        .into()
}

fn page(explanation: &Explanation, asked: &Explain, file: &Path) -> Result<(), Diagnostics> {
    let folder = std::path::absolute(&asked.run).unwrap_or_else(|_| asked.run.clone());
    templates_of(&asked.run, None)
        .and_then(|templates| explain::write(explanation, &folder, asked.full, file, &templates))
        .map_err(|error| of_report(&error))
}

fn explained(store: &Store, asked: &Explain) -> Result<Explanation, Diagnostics> {
    let depth = if asked.full {
        Depth::FULL
    } else {
        Depth::SHORT
    };
    let listed = match (asked.worst, asked.suspects) {
        (Some(rows), _) => Some((List::Worst, rows)),
        (None, Some(rows)) => Some((List::Suspects, rows)),
        (None, None) => None,
    };
    if let Some((list, rows)) = listed {
        let depth = Depth {
            rows: rows as usize,
            ..depth
        };
        return explain::list(store, list, depth).map_err(|error| of_report(&error));
    }
    let typed = asked.thing.as_deref().unwrap_or_default();
    let thing = find(store, typed, asked)?;
    explain::life(store, thing, depth)
        .map_err(|error| of_report(&error))?
        .ok_or_else(|| unknown(store, typed, asked))
}

/// What a name means. A whole id goes before the beginning of one: where ids are numbers, every short one begins some sample's.
fn find(store: &Store, typed: &str, asked: &Explain) -> Result<Thing, Diagnostics> {
    let wanted = |one: &Named| {
        asked.kind.is_none_or(|kind| kind.name() == one.kind)
            && (asked.split.is_none() || one.split == asked.split)
    };
    let exact: Vec<Named> = store
        .named(typed)
        .map_err(of_store)?
        .into_iter()
        .filter(wanted)
        .collect();
    match exact.as_slice() {
        [] => {}
        [one] => return thing(one).ok_or_else(|| unknown(store, typed, asked)),
        several => return Err(ambiguous(typed, several)),
    }
    let may_be_sample =
        asked.split.is_none() && asked.kind.is_none_or(|kind| kind == ThingKind::Sample);
    if may_be_sample && is_prefix(typed) {
        let samples = store.samples_named(typed, LISTED + 1).map_err(of_store)?;
        match samples.as_slice() {
            [] => {}
            [one] => {
                return sample(one)
                    .map(Thing::Sample)
                    .ok_or_else(|| unknown(store, typed, asked));
            }
            several => {
                let mut told = Diagnostic::new(
                    Kind::Experiment,
                    format!("`{typed}` begins the ids of several samples"),
                );
                for one in &several[..several.len().min(LISTED)] {
                    told = told.note(one.clone());
                }
                if several.len() > LISTED {
                    told = told.note("and more");
                }
                return Err(told.help("give more of its digits").into());
            }
        }
    }
    Err(unknown(store, typed, asked))
}

fn thing(named: &Named) -> Option<Thing> {
    Some(match named.kind {
        "sample" => Thing::Sample(sample(&named.id)?),
        "anchor" => Thing::Anchor(named.number),
        _ => Thing::Document(named.number),
    })
}

fn sample(id: &str) -> Option<SampleId> {
    u128::from_str_radix(id, 16).ok().map(SampleId)
}

fn is_prefix(typed: &str) -> bool {
    typed.len() >= SHORTEST_PREFIX && typed.bytes().all(|one| one.is_ascii_hexdigit())
}

fn ambiguous(typed: &str, several: &[Named]) -> Diagnostics {
    let mut kinds: Vec<&str> = several.iter().map(|one| one.kind).collect();
    kinds.dedup();
    let mut told = Diagnostic::new(
        Kind::Experiment,
        format!("`{typed}` is the id of several things"),
    );
    for one in several {
        told = told.note(match &one.split {
            Some(split) => format!("{} of {split}", one.kind),
            None => one.kind.to_owned(),
        });
    }
    told.help(if kinds.len() > 1 {
        format!("say which: --kind {}", kinds.join(" or --kind "))
    } else {
        "say which: --split NAME".to_owned()
    })
    .into()
}

/// Says what may have been meant.
fn unknown(store: &Store, typed: &str, asked: &Explain) -> Diagnostics {
    let what = match asked.kind {
        Some(kind) => kind.name().to_owned(),
        None => "sample, anchor or document".to_owned(),
    };
    let of_split = asked
        .split
        .as_ref()
        .map(|split| format!(" of the split `{split}`"))
        .unwrap_or_default();
    let told = Diagnostic::new(
        Kind::Experiment,
        format!("the run has no {what}{of_split} with the id `{typed}`"),
    );
    let meant = suggestions(store, typed, asked).unwrap_or_default();
    let told = if meant.is_empty()
        && asked.kind != Some(ThingKind::Anchor)
        && typed.len() < SHORTEST_PREFIX
    {
        told.note(format!(
            "a sample is named by {SHORTEST_PREFIX} digits of its id or more"
        ))
    } else {
        told
    };
    told.help(if meant.is_empty() {
        "ids stand in the report; `--worst 10` and `--suspects 10` list samples to begin with"
            .to_owned()
    } else {
        format!("did you mean {}?", meant.join(", or "))
    })
    .into()
}

fn suggestions(
    store: &Store,
    typed: &str,
    asked: &Explain,
) -> Result<Vec<String>, orchestrator_store::Error> {
    let mut meant = Vec::new();
    let wanted = |kind| asked.kind.is_none_or(|one| one == kind);
    let length = typed.chars().count();
    let lengths = (length.saturating_sub(2), length + 2);
    let ids = store.ids_of_length(lengths, LOOKED_THROUGH)?;
    for kind in [ThingKind::Anchor, ThingKind::Document] {
        let of_kind = ids
            .iter()
            .filter(|(name, _)| *name == kind.name())
            .map(|(_, id)| id.as_str());
        if wanted(kind)
            && let Some(id) = nearest(typed, of_kind)
        {
            meant.push(format!("the {} `{id}`", kind.name()));
        }
    }
    // A digit that was mistyped late: the samples that begin as it does.
    if wanted(ThingKind::Sample) && is_prefix(typed) {
        let longest = (SHORTEST_PREFIX..typed.len()).rev();
        for length in longest {
            let found = store.samples_named(&typed[..length], 1)?;
            if let Some(id) = found.first() {
                meant.push(format!("the sample `{id}`"));
                break;
            }
        }
    }
    Ok(meant)
}
