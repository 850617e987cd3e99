//! Charts, placed: axes with ticks, lines with their bands, histograms, bars, points, all as paths in the coordinates of
//! their picture. Templates only draw them.

use serde::Serialize;

use crate::words::{Name, formatted};

/// A chart in the coordinates of its picture.
#[derive(Serialize)]
pub struct Plot {
    pub title: Name,
    pub width: f64,
    pub height: f64,
    /// The sides of the area within the axes.
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x: Axis,
    pub y: Axis,
    pub layers: Vec<Layer>,
    pub legend: Vec<Key>,
    pub note: Option<Name>,
    #[serde(skip)]
    from: [f64; 4],
}

/// An axis: its unit, its ticks, where zero is if it lies within.
#[derive(Serialize)]
pub struct Axis {
    pub unit: Name,
    pub ticks: Vec<Tick>,
    pub zero: Option<f64>,
}

/// A tick: its value, its place in the picture, its label.
#[derive(Serialize, Clone)]
pub struct Tick {
    pub value: f64,
    pub at: f64,
    pub label: String,
}

/// A path with the classes it is painted by.
#[derive(Serialize)]
pub struct Layer {
    pub class: String,
    pub d: String,
}

/// An entry of the legend, drawn like what it stands for, with the last value of a line.
#[derive(Serialize)]
pub struct Key {
    pub name: Name,
    pub class: String,
    pub d: &'static str,
    pub last: Option<f64>,
    pub digits: usize,
}

/// A line with its interval.
pub(crate) struct Series {
    pub name: Name,
    /// Of the palette: `s0` to `s7`, `pos`, `neg`.
    pub class: String,
    pub points: Vec<(f64, f64)>,
    /// (x, low, high)
    pub band: Vec<(f64, f64, f64)>,
}

impl Series {
    pub(crate) fn new(name: Name, place: usize, points: Vec<(f64, f64)>) -> Self {
        Self {
            name,
            class: format!("s{}", place % 8),
            points,
            band: Vec::new(),
        }
    }

    pub(crate) fn with_band(mut self, band: Vec<(f64, f64, f64)>) -> Self {
        self.band = band;
        self
    }

    pub(crate) fn class(mut self, class: &str) -> Self {
        class.clone_into(&mut self.class);
        self
    }
}

const DASH: &str = "M1 6H25";
const BOX: &str = "M1 1H25V11H1z";

/// Points of a line that are drawn: more are means of equal stretches.
const MOST: usize = 240;

impl Plot {
    /// An empty chart over x from `from[0]` to `from[1]` and y from `from[2]` to `from[3]`.
    pub(crate) fn over(title: Name, (x, y): (Name, Name), from: [f64; 4]) -> Self {
        let mut plot = Self {
            title,
            width: 440.0,
            height: 242.0,
            left: 44.0,
            right: 430.0,
            top: 26.0,
            bottom: 202.0,
            x: Axis {
                unit: x,
                ticks: Vec::new(),
                zero: None,
            },
            y: Axis {
                unit: y,
                ticks: Vec::new(),
                zero: None,
            },
            layers: Vec::new(),
            legend: Vec::new(),
            note: None,
            from,
        };
        plot.place_ticks();
        plot
    }

    fn place_ticks(&mut self) {
        let [left, right, low, high] = self.from;
        self.x.ticks = ticks(left, right, 6);
        self.y.ticks = ticks(low, high, 5);
        for tick in &mut self.x.ticks {
            tick.at =
                round(self.left + (self.right - self.left) * (tick.value - left) / (right - left));
        }
        for tick in &mut self.y.ticks {
            tick.at =
                round(self.bottom - (self.bottom - self.top) * (tick.value - low) / (high - low));
        }
        let within = |low: f64, high: f64| low < 0.0 && high > 0.0;
        self.x.zero = within(left, right).then(|| round(self.across(0.0)));
        self.y.zero = within(low, high).then(|| round(self.down(0.0)));
    }

    pub(crate) fn note(mut self, note: Name) -> Self {
        self.note = Some(note);
        self
    }

    pub(crate) fn across(&self, x: f64) -> f64 {
        let [left, right, ..] = self.from;
        self.left + (self.right - self.left) * ((x - left) / (right - left)).clamp(0.0, 1.0)
    }

    pub(crate) fn down(&self, y: f64) -> f64 {
        let [.., low, high] = self.from;
        self.bottom - (self.bottom - self.top) * ((y - low) / (high - low)).clamp(0.0, 1.0)
    }

    pub(crate) fn layer(&mut self, class: impl Into<String>, d: String) {
        if !d.is_empty() {
            self.layers.push(Layer {
                class: class.into(),
                d,
            });
        }
    }

    pub(crate) fn key(&mut self, name: Name, class: impl Into<String>, d: &'static str) {
        self.legend.push(Key {
            name,
            class: class.into(),
            d,
            last: None,
            digits: 3,
        });
    }

    /// Draws a line, its band below it, and names it.
    pub(crate) fn line(&mut self, series: &Series, named: bool) {
        let class = &series.class;
        if !series.band.is_empty() {
            let there = series.band.iter().map(|(x, low, _)| (*x, *low));
            let back = series.band.iter().rev().map(|(x, _, high)| (*x, *high));
            let outline: Vec<_> = there.chain(back).collect();
            let d = format!("{}z", self.path(&outline));
            self.layer(format!("band {class}"), d);
        }
        let stretch = series.points.len().div_ceil(MOST).max(1);
        let drawn: Vec<(f64, f64)> = series
            .points
            .chunks(stretch)
            .map(|chunk| {
                let n = chunk.len() as f64;
                let sum = chunk
                    .iter()
                    .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                (sum.0 / n, sum.1 / n)
            })
            .collect();
        let d = self.path(&drawn);
        self.layer(format!("line {class}"), d);
        if drawn.len() <= 24 {
            let dots = drawn
                .iter()
                .map(|(x, y)| format!("M{} {}h0", round(self.across(*x)), round(self.down(*y))));
            let d = dots.collect();
            self.layer(format!("dot {class}"), d);
        }
        if named {
            self.legend.push(Key {
                name: series.name.clone(),
                class: format!("line {class}"),
                d: DASH,
                last: series.points.last().map(|point| point.1),
                digits: digits(self.from[3] - self.from[2]),
            });
        }
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut d = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            d.push_str(&format!(
                "{letter}{} {}",
                round(self.across(*x)),
                round(self.down(*y))
            ));
        }
        d
    }

    /// Draws a histogram as an area of steps: `shares` of equal bins from `low` to `high` of the x axis.
    pub(crate) fn steps(
        &mut self,
        name: Name,
        class: &str,
        shares: &[f64],
        (low, high): (f64, f64),
    ) {
        let width = (high - low) / shares.len().max(1) as f64;
        let mut d = format!("M{} {}", round(self.across(low)), round(self.bottom));
        for (place, share) in shares.iter().enumerate() {
            let right = low + width * (place + 1) as f64;
            d.push_str(&format!(
                "V{}H{}",
                round(self.down(*share)),
                round(self.across(right))
            ));
        }
        d.push_str(&format!("V{}", round(self.bottom)));
        self.layer(format!("area {class}"), d);
        self.key(name, format!("area {class}"), BOX);
    }

    /// Draws points.
    pub(crate) fn points(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let d = points
            .map(|(x, y)| format!("M{} {}h0", round(self.across(x)), round(self.down(y))))
            .collect();
        self.layer(class, d);
    }
}

/// Lines over shared axes, y as far as they go; `within` is what y shows at least.
pub(crate) fn lines(
    title: Name,
    x: Name,
    y: Name,
    within: Option<(f64, f64)>,
    series: &[Series],
) -> Plot {
    let xs = series
        .iter()
        .flat_map(|one| one.points.iter().map(|point| point.0));
    let ys = series.iter().flat_map(|one| {
        let of_points = one.points.iter().map(|point| point.1);
        of_points.chain(one.band.iter().flat_map(|(_, low, high)| [*low, *high]))
    });
    let (left, right) = extent(xs);
    let (mut low, mut high) = extent(ys);
    if let Some((least, most)) = within {
        (low, high) = (low.min(least), high.max(most));
    } else {
        let slack = ((high - low) * 0.06).max(1e-6);
        // What is never negative gets no axis below zero.
        low = if low >= 0.0 {
            (low - slack).max(0.0)
        } else {
            low - slack
        };
        high += slack;
    }
    let mut plot = Plot::over(title, (x, y), [left, right, low, high]);
    // Epochs and steps are whole.
    let mut xs = series.iter().flat_map(|one| &one.points);
    if xs.all(|(x, _)| x.fract() == 0.0) {
        plot.x.ticks.retain(|tick| tick.value.fract() == 0.0);
        for tick in &mut plot.x.ticks {
            tick.label = formatted(tick.value, "0");
        }
    }
    for one in series {
        plot.line(one, true);
    }
    if let [_] = series {
        // Alone, it is what the title says.
        for layer in &mut plot.layers {
            layer.class.push_str(" alone");
        }
        for key in &mut plot.legend {
            key.class.push_str(" alone");
        }
    }
    plot
}

/// The least and the largest, apart from each other.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|one| one.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| {
            (low.min(one), high.max(one))
        });
    if low > high {
        (0.0, 1.0)
    } else if high - low < 1e-9 {
        (low - 0.5, high + 0.5)
    } else {
        (low, high)
    }
}

/// Ticks at round numbers within the range, about as many as are asked for.
pub(crate) fn ticks(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let rough = (high - low) / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|one| one * power)
        .find(|one| *one >= rough - 1e-12)
        .unwrap_or(power * 10.0);
    let digits = if step >= 1.0 {
        0
    } else {
        (-step.log10().floor()) as usize
    };
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|n| {
            let value = n as f64 * step;
            Tick {
                value,
                at: 0.0,
                label: formatted(value, &digits.to_string()),
            }
        })
        .collect()
}

/// Digits that tell values of a range apart.
pub(crate) fn digits(range: f64) -> usize {
    (2.0 - range.max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize
}

/// To a tenth, without a needless zero.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A mean with its 95 % interval.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    /// Of so many.
    pub n: u64,
}

impl Interval {
    /// By the normal approximation, from the mean of values and of their squares; `None` of fewer than two values.
    pub(crate) fn of_moments(n: u64, mean: f64, mean_square: f64) -> Option<Self> {
        if n < 2 {
            return None;
        }
        let variance = (mean_square - mean * mean).max(0.0) * n as f64 / (n - 1) as f64;
        let half = 1.96 * (variance / n as f64).sqrt();
        Some(Self {
            mean,
            low: mean - half,
            high: mean + half,
            n,
        })
    }

    /// What it says of a difference.
    pub(crate) fn verdict(&self) -> &'static str {
        if self.low > 0.0 {
            "better"
        } else if self.high < 0.0 {
            "worse"
        } else {
            "open"
        }
    }
}

/// The scale that the intervals of a table share.
#[derive(Serialize)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub zero: bool,
    pub ticks: Vec<Tick>,
}

impl Scale {
    /// … of these intervals, with zero if they are differences.
    pub(crate) fn of<'i>(intervals: impl Iterator<Item = &'i Interval>, differences: bool) -> Self {
        let zero = differences.then_some(0.0);
        let values = intervals.flat_map(|one| [one.low, one.high]).chain(zero);
        let (low, high) = extent(values);
        let slack = (high - low) * 0.05;
        let (low, high) = (low - slack, high + slack);
        Self {
            low,
            high,
            zero: low < 0.0 && high > 0.0,
            ticks: ticks(low, high, 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_at_round_numbers() {
        for (low, high, most, expected) in [
            (0.0, 1.0, 5, "0.0 0.2 0.4 0.6 0.8 1.0"),
            (-0.13, 0.42, 4, "0.0 0.2 0.4"),
            (0.0, 7.0, 6, "0 2 4 6"),
            (0.0, 12_000.0, 4, "0 5,000 10,000"),
        ] {
            let labels: Vec<String> = ticks(low, high, most)
                .into_iter()
                .map(|one| one.label)
                .collect();
            assert_eq!(labels.join(" "), expected);
        }
    }

    #[test]
    fn an_interval_is_that_of_the_normal_approximation() {
        // scipy.stats.norm.interval(0.95, loc=mean, scale=sem) of [1, 2, 3, 4]
        let one = Interval::of_moments(4, 2.5, 7.5).expect("interval");
        assert!(
            (one.low - 1.2349).abs() < 1e-3 && (one.high - 3.7651).abs() < 1e-3,
            "{one:?}"
        );
        assert_eq!(Interval::of_moments(1, 1.0, 1.0), None);
    }
}
