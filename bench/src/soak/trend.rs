//! A line through samples, by Theil and Sen: the median of the slopes between all pairs. A few samples that stand out,
//! as those of an outage do, move it little, where they would tilt the line of least squares.

use crate::table::Spread;

/// 97.5 % of the normal distribution lie below this many standard deviations.
const Z: f64 = 1.96;

/// A line through samples of something over hours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trend {
    pub(super) mean: f64,
    /// Growth per hour.
    pub(super) slope: f64,
    /// Between these the slope lies, with 95 % confidence for samples that are independent of each other.
    pub(super) range: (f64, f64),
    /// The value at the beginning of time.
    pub(super) origin: f64,
    /// From the 5th to the 95th percentile of what samples are off the line.
    pub(super) noise: f64,
    /// Hours between the first and the last sample.
    pub(super) hours: f64,
}

impl Trend {
    /// Through points of hours and values; at least three of them.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let pairs = points.iter().enumerate().flat_map(|(at, from)| points[at + 1..].iter().map(move |to| (from, to)));
        let slopes = sorted(pairs.map(|(from, to)| (to.1 - from.1) / (to.0 - from.0)));
        if points.len() < 3 {
            return None;
        }
        let slope = Spread::of(slopes.clone())?.median;
        // Sen's interval: as many pairs off the middle as Kendall's statistic is by chance.
        let off = Z * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let share = off / slopes.len() as f64 / 2.0;
        let range = (quantile(&slopes, 0.5 - share), quantile(&slopes, 0.5 + share));
        let origin = Spread::of(points.iter().map(|(hour, value)| value - slope * hour).collect())?.median;
        let off_line = sorted(points.iter().map(|(hour, value)| value - origin - slope * hour));
        let noise = quantile(&off_line, 0.95) - quantile(&off_line, 0.05);
        let mean = points.iter().map(|(_, value)| value).sum::<f64>() / count;
        let hours = points.last()?.0 - points.first()?.0;
        Some(Self { mean, slope, range, origin, noise, hours })
    }

    /// Growth per hour as a share of the mean.
    pub(super) fn growth(&self) -> f64 {
        if self.mean == 0.0 { 0.0 } else { self.slope / self.mean }
    }

    /// Whether what has grown is less than how far samples are off the line anyhow.
    pub(super) fn is_within_noise(&self) -> bool {
        self.slope * self.hours <= self.noise
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    sorted[place.round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 samples over 50 minutes, `rise` per hour, off by up to 1 in a way that repeats itself.
    fn samples(rise: f64) -> Vec<(f64, f64)> {
        let sample = |at: u32| {
            let hour = f64::from(at) / 360.0;
            (hour, 100.0 + rise * hour + f64::from(at * 7 % 11) / 5.0 - 1.0)
        };
        (0..300).map(sample).collect()
    }

    #[test]
    fn what_is_flat_is_told_from_what_grows() {
        let flat = Trend::through(&samples(0.0)).expect("a line");
        assert!(flat.slope.abs() < 0.1 && flat.is_within_noise(), "{flat:?}");
        assert!(flat.range.0 <= 0.0 && flat.range.1 >= 0.0, "{flat:?}");
        let leak = Trend::through(&samples(5.0)).expect("a line");
        assert!((leak.slope - 5.0).abs() < 0.1 && !leak.is_within_noise(), "{leak:?}");
        assert!(leak.range.0 > 4.0 && leak.range.1 < 6.0, "{leak:?}");
        assert!((leak.growth() - 0.05).abs() < 0.005, "{leak:?}");
    }

    #[test]
    fn what_stands_out_does_not_tilt_the_line() {
        let mut points = samples(0.0);
        points.iter_mut().rev().take(20).for_each(|point| point.1 += 500.0);
        assert!(Trend::through(&points).expect("a line").slope.abs() < 1.0);
    }

    #[test]
    fn two_points_are_no_trend() {
        assert!(Trend::through(&[(0.0, 1.0), (1.0, 2.0)]).is_none());
    }
}
