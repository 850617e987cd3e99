//! What charts are drawn from: lines and bars in the coordinates of their picture.

use serde::Serialize;

/// Lines of a chart, in its coordinates (0..100 across, 0..100 down).
#[derive(Serialize)]
pub(crate) struct Lines {
    pub title: String,
    pub lines: Vec<Line>,
    pub low: f64,
    pub high: f64,
    pub first: String,
    pub last: String,
}

#[derive(Serialize)]
pub(crate) struct Line {
    pub name: String,
    pub points: String,
    pub last: f64,
}

/// A chart of lines over shared axes. At most 200 points a line are drawn: means of equal stretches.
pub(crate) fn chart(title: String, lines: Vec<(String, Vec<(f64, f64)>)>, unit: &str) -> Lines {
    let (mut low, mut high) = extent(&lines, |point| point.1);
    if !(low.is_finite() && high.is_finite()) {
        (low, high) = (0.0, 1.0);
    }
    let slack = ((high - low) * 0.06).max(1e-6);
    // What is never negative gets no axis below zero.
    (low, high) = (
        if low >= 0.0 {
            (low - slack).max(0.0)
        } else {
            low - slack
        },
        high + slack,
    );
    over(title, lines, unit, (low, high))
}

/// A chart whose axis goes from 0 to 1, and further only where a value does.
pub(crate) fn chart_of_shares(
    title: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    unit: &str,
) -> Lines {
    let (low, high) = extent(&lines, |point| point.1);
    over(title, lines, unit, (low.min(0.0), high.max(1.0)))
}

/// The least and the largest.
fn extent(lines: &[(String, Vec<(f64, f64)>)], of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let points = lines.iter().flat_map(|(_, points)| points).map(of);
    points.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| {
        (low.min(one), high.max(one))
    })
}

fn over(
    title: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    unit: &str,
    (low, high): (f64, f64),
) -> Lines {
    let (left, right) = extent(&lines, |point| point.0);
    let across = |x: f64| 100.0 * (x - left) / (right - left).max(1e-9);
    let down = |y: f64| 100.0 * (high - y) / (high - low);
    Lines {
        title,
        lines: lines
            .iter()
            .map(|(name, points)| {
                let stretch = points.len().div_ceil(200).max(1);
                let drawn: Vec<String> = points
                    .chunks(stretch)
                    .map(|chunk| {
                        let n = chunk.len() as f64;
                        let (x, y) = chunk
                            .iter()
                            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
                        format!("{:.2},{:.2}", across(x / n), down(y / n))
                    })
                    .collect();
                Line {
                    name: name.clone(),
                    points: drawn.join(" "),
                    last: points.last().map_or(0.0, |point| point.1),
                }
            })
            .collect(),
        low,
        high,
        first: format!("{unit} {left}"),
        last: format!("{unit} {right}"),
    }
}

/// Shares of the values by bin.
pub(crate) fn histogram(values: &[f64], low: f64, high: f64, bins: usize) -> Vec<f64> {
    let mut counts = vec![0usize; bins];
    for value in values {
        let place = ((value - low) / (high - low) * bins as f64).floor();
        counts[(place.max(0.0) as usize).min(bins - 1)] += 1;
    }
    counts
        .into_iter()
        .map(|n| n as f64 / values.len().max(1) as f64)
        .collect()
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
