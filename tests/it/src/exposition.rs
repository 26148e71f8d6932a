//! Metrics as a program shows them, read for tests: strictly enough that what is wrong in form is told.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use crate::{PATIENCE, Process, http, until};

/// What was shown.
#[derive(Debug, Clone)]
pub struct Exposition {
    /// All of it.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

/// Where a process answers probes, by its log.
///
/// # Errors
/// If it does not say in time.
pub async fn probe_of(process: &Process) -> anyhow::Result<String> {
    let base = until("the probes to be answered", PATIENCE, || async {
        let log = process.log();
        let at = log.split("probe.listen=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(at.map(|at| format!("http://{at}")))
    });
    base.await.with_context(|| process.log())
}

impl Exposition {
    /// Asks a program for its metrics.
    ///
    /// # Errors
    /// If there is no answer, or one that is no OpenMetrics text.
    pub async fn of(probe: &str) -> anyhow::Result<Self> {
        let answer = http("GET", &format!("{probe}/metrics"), "text/plain", "").await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.status);
        Self::read(answer.body)
    }

    fn read(text: String) -> anyhow::Result<Self> {
        anyhow::ensure!(text.ends_with("# EOF\n"), "no end");
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // An exemplar stands behind.
            let sample = line.split(" # ").next().unwrap_or(line);
            let (series, value) = sample.rsplit_once(' ').with_context(|| line.to_owned())?;
            let value = value.parse().with_context(|| line.to_owned())?;
            anyhow::ensure!(samples.insert(series.to_owned(), value).is_none(), "twice: {series}");
        }
        Ok(Self { text, samples })
    }

    /// One sample: name and labels as they are shown.
    ///
    /// # Errors
    /// If it is not there.
    pub fn get(&self, series: &str) -> anyhow::Result<f64> {
        let near = || {
            self.samples
                .keys()
                .filter(|key| key.starts_with(series.split('{').next().unwrap_or("")))
                .collect::<Vec<_>>()
        };
        self.samples.get(series).copied().with_context(|| format!("no {series}; there are {:?}", near()))
    }

    /// The sum over all labels.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let is_of =
            |series: &str| series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        self.samples.iter().filter(|(series, _)| is_of(series)).map(|(_, value)| value).sum()
    }

    /// All series.
    #[must_use]
    pub fn series(&self) -> BTreeSet<String> {
        self.samples.keys().cloned().collect()
    }
}
