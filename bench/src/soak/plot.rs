//! The samples over time, one above the other, each with the line through those that are judged.

use std::{fmt::Write as _, fs, path::Path};

use super::{judge::Found, trend::Trend};
use crate::{
    failure::{Because as _, Outcome},
    svg::{self, WIDTH},
};

/// What is drawn, and how many make one unit.
const PANELS: [(&str, &str, f64); 4] = [
    ("resident_bytes", "memory, MiB", 1_048_576.0),
    ("descriptors", "open descriptors", 1.0),
    ("tasks", "tasks", 1.0),
    ("connections", "connections", 1.0),
];

const LEFT: f64 = 48.0;
const HEIGHT: f64 = 90.0;
const GAP: f64 = 38.0;

/// Draws into `file`.
pub(super) fn draw(found: &Found<'_>, file: &Path) -> Outcome<()> {
    let span = found.course.seconds;
    let x = |seconds: f64| LEFT + (WIDTH - LEFT) * seconds / span;
    let (mut body, mut top) = (String::new(), 26.0);
    for (figure, name, unit) in PANELS {
        let points: Vec<(f64, f64)> =
            found.samples.iter().map(|sample| (sample.seconds, sample.figure(figure) / unit)).collect();
        let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max) * 1.1;
        top += GAP - 14.0;
        let y = |value: f64| top + HEIGHT * (1.0 - value / most.max(1.0));
        let _ = writeln!(body, r#"<text class="head" x="{LEFT}" y="{}">{name}</text>"#, top - 6.0);
        let warm_up = x(found.course.warm_up());
        let _ = writeln!(
            body,
            r#"<rect class="other" opacity="0.25" x="{LEFT}" y="{top}" width="{:.1}" height="{HEIGHT}"/>"#,
            warm_up - LEFT
        );
        for value in [0.0, most / 1.1] {
            let _ = writeln!(body, r#"<text x="0" y="{:.1}">{value:.0}</text>"#, y(value) + 4.0);
        }
        let trace: Vec<String> =
            points.iter().map(|(seconds, value)| format!("{:.1},{:.1}", x(*seconds), y(*value))).collect();
        let _ = writeln!(body, r#"<polyline points="{}"/>"#, trace.join(" "));
        if let Some(trend) = Trend::through(&found.judged(figure)) {
            let at = |seconds: f64| y((trend.origin + trend.slope * seconds / 3600.0) / unit);
            let (from, to) = (at(found.course.warm_up()), at(span));
            let _ = writeln!(
                body,
                r#"<line x1="{warm_up:.1}" x2="{WIDTH}" y1="{from:.1}" y2="{to:.1}"><title>{:+.2}/h</title></line>"#,
                trend.slope / unit
            );
        }
        top += HEIGHT + 14.0;
    }
    for quarter in 0..=4 {
        let seconds = span * f64::from(quarter) / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][quarter as usize];
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{:.1} min</text>"#,
            x(seconds),
            top + 4.0,
            seconds / 60.0
        );
    }
    let title = format!("{:.0} minutes of coming and going; grey: warming up, dashed: the trend", span / 60.0);
    fs::write(file, svg::frame(&title, &body, top + 12.0)).because(|| format!("cannot write {}", file.display()))
}
