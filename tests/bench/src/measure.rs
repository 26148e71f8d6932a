//! Small sums over measurements, and what the kernel knows of this process.

/// The value below which `part` of a sorted list lies (nearest rank); 0 for an empty list.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Sorted, for [`percentile`].
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// How often a second, for `count` things in `seconds`.
pub(crate) fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-9)
}

/// Mails a second by the times at which a server received them, from that at the place `from` (0 to 1) to that at `to`.
pub(crate) fn rate_between(received_ms: &[f64], from: f64, to: f64) -> f64 {
    let last = received_ms.len().saturating_sub(1);
    let place = |part: f64| ((last as f64 * part) as usize).min(last);
    let (first, last) = (place(from), place(to));
    match (received_ms.get(first), received_ms.get(last)) {
        (Some(began), Some(ended)) => rate(last - first, (ended - began) / 1_000.0),
        _ => 0.0,
    }
}

/// Processor time that this process used so far, user and system, in seconds.
pub(crate) fn own_cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // As in the harness: the 12th and 13th after the name, 100 ticks a second.
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// What the whole machine did up to a moment: tells how much others took of it since.
pub(crate) struct Machine {
    busy: f64,
    all: f64,
}

impl Machine {
    /// Now.
    pub(crate) fn look() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = first.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        let all: f64 = ticks.iter().sum();
        // The 4th and 5th are idle and waiting for a disk.
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: (all - idle) / 100.0, all: all / 100.0 })
    }

    /// The part of the machine, from 0 to 1, that was used since then, but for `ours` seconds.
    pub(crate) fn others(&self, ours: f64) -> anyhow::Result<f64> {
        let now = Self::look()?;
        Ok(((now.busy - self.busy - ours) / (now.all - self.all).max(0.01)).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|part| percentile(&hundred, part)), [50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn rates_are_of_the_window() {
        let times: Vec<f64> = (0..=1_000).map(f64::from).collect();
        assert!((rate_between(&times, 0.0, 1.0) - 1_000.0).abs() < 1e-6);
        assert!((rate_between(&times, 0.1, 0.9) - 1_000.0).abs() < 1e-6);
    }
}
