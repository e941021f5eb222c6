//! Figures of several runs as tables for people: medians, their spread, and ratios to a floor of the same run.

use std::fmt::Write as _;

use crate::{
    results::{Cell, Results, STRANGERS},
    scenario::{self, Column, Unit},
};

/// The middle, the least and the most of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle; the mean of the two in the middle where their number is even.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of `values`, unless there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, least, most })
    }
}

/// The runs' values of a figure.
pub fn figure(results: &Results, scenario: &str, target: &str, figure: &str) -> Option<Spread> {
    let values = cells(results, scenario, target).filter_map(|cell| cell.figures.get(figure).copied());
    Spread::of(values.collect())
}

/// The runs' ratios of a figure to the same figure of `base` in the same run.
pub fn ratio(results: &Results, scenario: &str, target: &str, figure: &str, base: &str) -> Option<Spread> {
    let values = cells(results, scenario, target).filter_map(|cell| {
        let value = cell.figures.get(figure)?;
        let floor = cells(results, scenario, base).find(|other| other.run == cell.run)?;
        Some(value / floor.figures.get(figure)?)
    });
    Spread::of(values.filter(|ratio| ratio.is_finite()).collect())
}

fn cells<'a>(results: &'a Results, scenario: &str, target: &str) -> impl Iterator<Item = &'a Cell> {
    results.cells.iter().filter(move |cell| cell.scenario == scenario && cell.target == target)
}

/// The targets of a scenario in the order in which they ran.
pub fn targets<'a>(results: &'a Results, scenario: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for cell in results.cells.iter().filter(|cell| cell.scenario == scenario) {
        if !names.contains(&&*cell.target) {
            names.push(&cell.target);
        }
    }
    names
}

/// The whole report as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for (key, value) in &results.machine {
        let _ = writeln!(text, "- {key}: {value}");
    }
    text += "\nMedian [least-most] of the runs; `x` is the ratio to the floor of the same run, to `floor16` where \
             events wait.\n";
    for scenario in scenario::ALL {
        let names = targets(results, scenario.name);
        if names.is_empty() {
            continue;
        }
        for (title, columns) in scenario.tables {
            table(&mut text, results, scenario.name, title, columns, &names);
        }
        remarks(&mut text, results, scenario.name);
    }
    text
}

fn table(text: &mut String, results: &Results, scenario: &str, title: &str, columns: &[Column], names: &[&str]) {
    let shown = |name: &str| columns.iter().any(|column| figure(results, scenario, name, column.figure).is_some());
    let rows: Vec<Vec<String>> = names
        .iter()
        .filter(|name| shown(name))
        .map(|name| {
            let cells = columns.iter().map(|column| cell(results, scenario, name, column));
            std::iter::once((*name).to_owned()).chain(cells).collect()
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let head: Vec<String> = std::iter::once("target".to_owned()).chain(columns.iter().map(heading)).collect();
    text.push_str(&grid(title, &head, &rows));
}

/// A table with its title, as Markdown; every row is as long as the head.
pub fn grid(title: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let width =
        |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([head[at].len(), 3]).max().unwrap_or(3);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = format!("\n### {title}\n\n");
    for row in [head, &rule].into_iter().chain(rows.iter().map(Vec::as_slice)) {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        let _ = writeln!(text, "|{}", padded.collect::<String>());
    }
    text
}

fn heading(column: &Column) -> String {
    let unit = match column.unit {
        Unit::Micros => ", us",
        Unit::Millis => ", ms",
        Unit::Seconds => ", s",
        Unit::Bytes => ", B",
        Unit::Rate | Unit::Count | Unit::Share => "",
    };
    format!("{}{unit}", column.title)
}

fn cell(results: &Results, scenario: &str, target: &str, column: &Column) -> String {
    let Some(Spread { median, least, most }) = figure(results, scenario, target, column.figure) else {
        return "-".into();
    };
    let mut text = number(median);
    if number(least) != number(most) {
        let _ = write!(text, " [{}-{}]", number(least), number(most));
    }
    if let Some(base) = column.base.name()
        && base != target
        && let Some(ratio) = ratio(results, scenario, target, column.figure, base)
    {
        let _ = write!(text, " x{:.2}", ratio.median);
    }
    text
}

/// Three digits that matter, `k` and `M` for thousands and millions.
pub fn number(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{suffix}")
}

/// What a reader must know of a scenario's cells.
fn remarks(text: &mut String, results: &Results, scenario: &str) {
    let mut lines = Vec::new();
    for cell in results.cells.iter().filter(|cell| cell.scenario == scenario) {
        let Cell { run, target, faults, .. } = cell;
        if let Some(reason) = &cell.skipped {
            lines.push(format!("{target}: not measured, {reason}."));
        }
        if let Some(reason) = &cell.failed {
            lines.push(format!("**{target}, run {run}: failed: {reason}.**"));
        }
        if !faults.none() {
            lines.push(format!(
                "**{target}, run {run}: {} lost, {} duplicated, {} reordered, {} strayed events; {} connections ended.**",
                faults.lost, faults.duplicated, faults.reordered, faults.strayed, faults.closed
            ));
        }
        if cell.strangers > STRANGERS {
            lines.push(format!("{target}, run {run}: strangers used {:.0} % of a core.", cell.strangers));
        }
    }
    let mut seen = Vec::new();
    for line in lines {
        if !seen.contains(&line) {
            let separator = if seen.is_empty() { "\n" } else { "" };
            let _ = writeln!(text, "{separator}- {line}");
            seen.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cell(run: u32, target: &str, value: f64) -> Cell {
        let figures = BTreeMap::from([("us".to_owned(), value)]);
        Cell { run, scenario: "connect".into(), target: target.into(), figures, ..Cell::default() }
    }

    #[test]
    fn ratios_are_taken_within_a_run_and_then_their_median() {
        let cells =
            vec![cell(1, "floor", 1.0), cell(1, "notifier", 2.0), cell(2, "floor", 10.0), cell(2, "notifier", 11.0)];
        let results = Results { cells, ..Results::default() };
        let ratio = ratio(&results, "connect", "notifier", "us", "floor").expect("a ratio");
        assert_eq!(ratio, Spread { median: 1.55, least: 1.1, most: 2.0 });
        let text = markdown(&results);
        assert!(text.contains("| notifier | 6.50 [2.00-11.0] x1.55 |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown: Vec<String> = [0.0, 0.333, 5.45, 64.0, 7_600.0, 225_400.0, 2_830_000.0].map(number).into();
        assert_eq!(shown, ["0", "0.33", "5.45", "64.0", "7600", "225k", "2.83M"]);
    }
}
