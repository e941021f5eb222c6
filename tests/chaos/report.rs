//! What happened, for people.

use std::{collections::BTreeMap, fmt, time::Instant};

use super::schedule::Fault;

/// Whether a fault has hit, and how one knows.
pub type Outcome = Result<String, String>;

/// The faults of a run with their proofs.
pub struct Diary {
    begun: Instant,
    entries: Vec<(f64, Fault, Outcome)>,
}

impl Diary {
    pub fn new() -> Self {
        Self { begun: Instant::now(), entries: Vec::new() }
    }

    pub fn write(&mut self, fault: Fault, outcome: Outcome) {
        let at = self.begun.elapsed().as_secs_f64();
        println!("{at:7.2} s  {fault:?}: {}", shown(&outcome));
        self.entries.push((at, fault, outcome));
    }

    /// Hits and misses by kind.
    pub fn tally(&self) -> BTreeMap<Fault, (u32, u32)> {
        let mut tally = BTreeMap::new();
        for (_, fault, outcome) in &self.entries {
            let (hits, misses): &mut (u32, u32) = tally.entry(*fault).or_default();
            *(if outcome.is_ok() { hits } else { misses }) += 1;
        }
        tally
    }

    /// Kinds that were tried and never hit: a run that proves less than it says.
    pub fn never_hit(&self) -> Vec<Fault> {
        self.tally().into_iter().filter(|(_, (hits, _))| *hits == 0).map(|(fault, _)| fault).collect()
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(proof) => proof.clone(),
        Err(why) => format!("MISSED: {why}"),
    }
}

/// A table of two columns.
#[derive(Default)]
pub struct Table(Vec<(String, String)>);

impl Table {
    pub fn row(&mut self, what: impl Into<String>, figure: impl fmt::Display) {
        self.0.push((what.into(), figure.to_string()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
        self.0.iter().try_for_each(|(what, figure)| writeln!(f, "  {what:width$}  {figure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_only_missed_is_named() {
        let mut diary = Diary::new();
        diary.write(Fault::StepDown, Err("it led on".into()));
        diary.write(Fault::KillNode, Err("nobody was on it".into()));
        diary.write(Fault::KillNode, Ok("n0 killed".into()));
        assert_eq!(diary.tally()[&Fault::KillNode], (1, 1));
        assert_eq!(diary.never_hit(), [Fault::StepDown]);
    }
}
