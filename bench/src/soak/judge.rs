//! What an hour has shown, as text for people, and whether it is as it must be.

use std::{fmt::Write as _, sync::Arc};

use super::{Course, house::House, sample::Sample, trend::Trend};
use crate::{failure::Outcome, operator::Metrics, table};

/// What must not grow, its unit for people, and how many make one.
const STEADY: [(&str, &str, f64); 3] =
    [("resident_bytes", "memory, MiB", 1_048_576.0), ("descriptors", "descriptors", 1.0), ("tasks", "tasks", 1.0)];

/// Growth per hour at most, as a share of the mean: at this pace what is there would double in two days. An hour cannot
/// tell less from chance.
const BOUND: f64 = 0.02;

/// What has to be nothing when everybody has left.
const NOTHING: [&str; 6] = ["connections", "subscriptions", "outbox_bytes", "requests_waiting", "pending", "lagging"];

/// What has to be as it was before anybody came.
const AS_BEFORE: [&str; 3] = ["topics", "descriptors", "tasks"];

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) course: &'a Course,
    pub(super) before: Sample,
    pub(super) after: Sample,
    pub(super) samples: Vec<Sample>,
    /// Seconds of each outage of NATS, from its end to the node's new connection.
    pub(super) outages: Vec<f64>,
    pub(super) metrics: Metrics,
    pub(super) house: Arc<House>,
}

/// What is not as it has to be when everybody has left: what, how much there is, how much there should be.
pub(super) fn left(before: &Sample, after: &Sample) -> Vec<(&'static str, f64, f64)> {
    let nothing = NOTHING.map(|name| (name, after.figure(name), 0.0));
    let as_before = AS_BEFORE.map(|name| (name, after.figure(name), before.figure(name)));
    nothing.into_iter().chain(as_before).filter(|(_, is, due)| is != due).collect()
}

/// Two sides of the node's own books that have to be equal when all is quiet.
#[derive(Debug)]
pub(super) struct Balance {
    law: &'static str,
    left: f64,
    right: f64,
    /// The right side, as the sum that it is.
    told: String,
}

impl Balance {
    pub(super) fn holds(&self) -> bool {
        self.left == self.right
    }
}

/// All of them.
pub(super) fn balances(metrics: &Metrics) -> Outcome<[Balance; 4]> {
    let value = |series: &str| metrics.value(series);
    let (deliveries, undelivered) = (value("notifier_deliveries_total")?, metrics.sum("notifier_undelivered_total"));
    let (opened, closed) =
        (value("notifier_connections_opened_total")?, metrics.sum("notifier_connections_closed_total"));
    let (healed, reported) = (value("notifier_gaps_healed_total")?, value("notifier_gaps_reported_total")?);
    let pending = value("notifier_pending")?;
    let sides = |law, left, right, told| Balance { law, left, right, told };
    Ok([
        sides(
            "owed = deliveries + undelivered + pending",
            value("notifier_owed_total")?,
            deliveries + undelivered + pending,
            format!("{deliveries} + {undelivered} + {pending}"),
        ),
        sides(
            "connections = opened - closed",
            value("notifier_connections")?,
            opened - closed,
            format!("{opened} - {closed}"),
        ),
        sides(
            "gaps detected = healed + reported",
            value("notifier_gaps_detected_total")?,
            healed + reported,
            format!("{healed} + {reported}"),
        ),
        sides("panics = 0", value("notifier_panics_total")?, 0.0, "0".into()),
    ])
}

impl Found<'_> {
    /// The samples of a figure that are judged: hours and values.
    pub(super) fn judged(&self, figure: &str) -> Vec<(f64, f64)> {
        let warm = self.samples.iter().filter(|sample| sample.seconds >= self.course.warm_up());
        warm.map(|sample| (sample.seconds / 3600.0, sample.figure(figure))).collect()
    }

    /// The report, and whether everything is as it must be.
    pub(super) fn judge(&self) -> Outcome<(String, bool)> {
        let mut text = self.summary()?;
        let steady = self.steadiness(&mut text);
        let gone = self.leftovers(&mut text);
        let balanced = self.balances(&mut text)?;
        let faultless = self.faults(&mut text);
        let sound = steady && gone && balanced && faultless;
        let _ = writeln!(text, "\n{}", if sound { "Everything is as it must be." } else { "**Not as it must be.**" });
        Ok((text, sound))
    }

    fn summary(&self) -> Outcome<String> {
        let Course { seconds, clients, seed, .. } = self.course;
        let counter = |series: &str| self.metrics.value(series).map(table::number);
        let cpu = (self.after.figure("cpu_seconds") - self.before.figure("cpu_seconds")) / self.after.seconds;
        let standing = self.judged("connections");
        let mean = standing.iter().map(|(_, count)| count).sum::<f64>() / standing.len().max(1) as f64;
        let longest = self.outages.iter().copied().fold(0.0, f64::max);
        let outages = self.outages.len();
        Ok(format!(
            "{:.1} minutes, seed {seed}. {clients} clients, {mean:.0} of them connected on average, {} connections in \
             all; {} deliveries, {} replayed; NATS was away {outages} times, for {longest:.1} s at most. The node used \
             {:.0} % of a core.\n",
            seconds / 60.0,
            counter("notifier_connections_opened_total")?,
            counter("notifier_deliveries_total")?,
            counter("notifier_replayed_total")?,
            100.0 * cpu,
        ))
    }

    fn steadiness(&self, text: &mut String) -> bool {
        let mut sound = true;
        let judges = self.course.judges_growth();
        let mut rows = Vec::new();
        for (figure, name, unit) in STEADY {
            let Some(trend) = Trend::through(&self.judged(figure)) else { continue };
            let steady = trend.growth() < BOUND && trend.is_within_noise();
            sound &= steady || !judges;
            let verdict = match (judges, steady) {
                (false, _) => "not judged",
                (true, true) => "steady",
                (true, false) => "**grows**",
            };
            let (low, high) = trend.range;
            rows.push(vec![
                name.into(),
                format!("{:.1}", trend.mean / unit),
                format!("{:+.2} [{:+.2}, {:+.2}]", trend.slope / unit, low / unit, high / unit),
                format!("{:+.2} %", 100.0 * trend.growth()),
                format!("{:.2}", trend.slope * trend.hours / unit),
                format!("{:.2}", trend.noise / unit),
                verdict.into(),
            ]);
        }
        let head = ["", "mean", "per hour [95 %]", "of the mean", "in all", "noise", ""];
        let title = format!("Growth, after {:.1} minutes of warming up", self.course.warm_up() / 60.0);
        text.push_str(&table::grid(&title, &head.map(String::from), &rows));
        let _ = writeln!(
            text,
            "\nBounds: less than {:.0} % of the mean per hour, and in all less than the noise (5th to 95th percentile \
             about the line).",
            100.0 * BOUND
        );
        sound
    }

    fn leftovers(&self, text: &mut String) -> bool {
        let left = left(&self.before, &self.after);
        let rows: Vec<Vec<String>> = NOTHING
            .into_iter()
            .chain(AS_BEFORE)
            .map(|name| {
                let verdict = if left.iter().any(|(wrong, ..)| *wrong == name) { "**left**" } else { "as it was" };
                let [before, after] = [&self.before, &self.after].map(|sample| sample.figure(name).to_string());
                vec![name.into(), before, after, verdict.into()]
            })
            .collect();
        let head = ["", "before anybody came", "when all had left", ""].map(String::from);
        text.push_str(&table::grid("What is left", &head, &rows));
        left.is_empty()
    }

    fn balances(&self, text: &mut String) -> Outcome<bool> {
        let balances = balances(&self.metrics)?;
        let rows: Vec<Vec<String>> = balances
            .iter()
            .map(|balance| {
                let Balance { law, left, right, .. } = balance;
                let verdict = if balance.holds() { "exact".into() } else { format!("**off by {}**", left - right) };
                vec![(*law).into(), left.to_string(), balance.told.clone(), verdict]
            })
            .collect();
        text.push_str(&table::grid("The balance", &["", "left", "right", ""].map(String::from), &rows));
        Ok(balances.iter().all(Balance::holds))
    }

    fn faults(&self, text: &mut String) -> bool {
        let counts = self.house.book.counts();
        let rows: Vec<Vec<String>> =
            counts.iter().map(|(what, count)| vec![(*what).into(), count.to_string()]).collect();
        text.push_str(&table::grid("What clients saw", &["".into(), "times".into()], &rows));
        let verdict = self.house.book.verdict();
        if verdict.is_sound() {
            text.push_str(
                "\nNothing lost, nothing twice, nothing out of order; no close and no refusal without a cause.\n",
            );
        }
        for (kind, finding) in verdict.findings() {
            let first = finding.cases.first().map_or("", String::as_str);
            let _ = writeln!(text, "\n- **{kind}: {} times**, first: {first}", finding.count);
        }
        verdict.is_sound()
    }
}
