//! Ratios to the floor as bars, one file per table. The page's own colours are used where it has a dark mode.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    failure::{Because as _, Outcome},
    results::Results,
    scenario::{self, Column, Unit},
    table,
};

/// Units of all pictures from side to side.
pub(crate) const WIDTH: f64 = 720.0;
const NAME: f64 = 130.0;
const VALUE: f64 = 150.0;
const BAR: f64 = 14.0;
const ROW: f64 = 20.0;
const GAP: f64 = 34.0;

/// A target's bar: name, ratio, and the value behind it.
type Bar<'a> = (&'a str, f64, f64);

/// Writes a plot of each table that compares anything into `folder`.
pub fn draw(results: &Results, folder: &Path) -> Outcome<()> {
    let cannot = || format!("cannot write plots to {}", folder.display());
    fs::create_dir_all(folder).because(cannot)?;
    for scenario in scenario::ALL {
        for (at, (title, columns)) in scenario.tables.iter().enumerate() {
            if let Some(text) = plot(results, scenario.name, title, columns) {
                fs::write(folder.join(format!("{}-{}.svg", scenario.name, at + 1)), text).because(cannot)?;
            }
        }
    }
    Ok(())
}

fn plot(results: &Results, scenario: &str, title: &str, columns: &[Column]) -> Option<String> {
    let mut body = String::new();
    let mut y = 30.0;
    for column in columns {
        let Some(base) = column.base.name() else { continue };
        let bars: Vec<Bar<'_>> = table::targets(results, scenario)
            .into_iter()
            .filter_map(|target| {
                let ratio = table::ratio(results, scenario, target, column.figure, base)?.median;
                Some((target, ratio, table::figure(results, scenario, target, column.figure)?.median))
            })
            .collect();
        if bars.len() < 2 {
            continue;
        }
        y += GAP - ROW;
        let better = if column.unit == Unit::Rate { "more is better" } else { "less is better" };
        let _ = writeln!(body, r#"<text class="head" x="0" y="{y}">{}, x {base} ({better})</text>"#, column.title);
        y += 8.0;
        bar_rows(&mut body, &mut y, &bars, column.unit);
    }
    (!body.is_empty()).then(|| frame(title, &body, y + 12.0))
}

fn bar_rows(body: &mut String, y: &mut f64, bars: &[Bar<'_>], unit: Unit) {
    let most = bars.iter().map(|(_, ratio, _)| *ratio).fold(1.0, f64::max);
    // Beyond ten times the floor bars are cut, or the others could not be told apart.
    let scale = (WIDTH - NAME - VALUE) / most.min(10.0);
    for (name, ratio, value) in bars {
        let width = (ratio.min(10.0) * scale).max(1.0);
        let class = if name.starts_with("notifier") { "own" } else { "other" };
        let text = y_text(*y);
        let _ = writeln!(body, r#"<text x="0" y="{text}">{name}</text>"#);
        let _ =
            writeln!(body, r#"<rect class="{class}" x="{NAME}" y="{y}" width="{width:.1}" height="{BAR}" rx="2"/>"#);
        let cut = if *ratio > 10.0 { "→ " } else { "" };
        let unit = match unit {
            Unit::Micros => " us",
            Unit::Millis => " ms",
            Unit::Seconds => " s",
            Unit::Rate => "/s",
            Unit::Bytes => " B",
            Unit::Count | Unit::Share => "",
        };
        let x = NAME + width + 6.0;
        let label = format!("{cut}x{ratio:.2} ({}{unit})", table::number(*value));
        let _ = writeln!(body, r#"<text x="{x:.1}" y="{text}">{label}</text>"#);
        *y += ROW;
    }
    let x = NAME + scale;
    let top = *y - ROW * bars.len() as f64 - 3.0;
    let _ = writeln!(body, r#"<line x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{}"/>"#, *y - 3.0);
    *y += ROW;
}

fn y_text(y: f64) -> f64 {
    y + BAR - 3.0
}

/// A picture with its title; all is as wide as [`WIDTH`].
pub(crate) fn frame(title: &str, body: &str, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">
<style>
text {{ font: 12px system-ui, sans-serif; fill: #1f2328 }}
.title {{ font-size: 15px; font-weight: 600 }}
.head {{ font-weight: 600 }}
.own {{ fill: #0969da }}
.other {{ fill: #afb8c1 }}
line {{ stroke: #1f2328; stroke-dasharray: 3 3 }}
polyline {{ fill: none; stroke: #0969da }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.own {{ fill: #4493f8 }}
.other {{ fill: #57606a }}
line {{ stroke: #e6edf3 }}
polyline {{ stroke: #4493f8 }}
}}
</style>
<text class="title" x="0" y="16">{title}</text>
{body}</svg>
"#
    )
}
