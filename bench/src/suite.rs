//! A whole run: for each repetition each scenario, for each scenario all targets one after the other, so that ratios
//! are from the same minutes.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    clock,
    failure::Outcome,
    results::{Cell, Results, STRANGERS},
    rig::Ground,
    scenario::{Bench, Scenario, Sizes},
    target::Target,
};

/// What to run.
#[derive(Debug)]
pub struct Suite {
    /// The machine.
    pub ground: Ground,
    /// How much of everything.
    pub sizes: Sizes,
    /// The servers.
    pub targets: Vec<Target>,
    /// What is done with them.
    pub scenarios: Vec<Scenario>,
    /// How often.
    pub runs: u32,
    /// Where the results go; written after each cell, so that an interrupted run is not lost.
    pub out: PathBuf,
}

impl Suite {
    /// Runs.
    pub fn run(&self, machine: BTreeMap<String, String>) -> Outcome<Results> {
        let begun = clock::unix();
        let mut results = Results { format: 1, begun, machine, cells: Vec::new() };
        for run in 1..=self.runs {
            for scenario in &self.scenarios {
                let extra = scenario.references();
                for target in self.targets.iter().chain(&extra) {
                    let cell = self.cell(run, scenario, target);
                    report(&cell);
                    results.cells.push(cell);
                    results.write(&self.out)?;
                }
            }
        }
        Ok(results)
    }

    fn cell(&self, run: u32, scenario: &Scenario, target: &Target) -> Cell {
        let mut cell = Cell { run, scenario: scenario.name.into(), target: target.name.clone(), ..Cell::default() };
        if let Some(reason) = (scenario.misfit)(target) {
            cell.skipped = Some(reason.into());
            return cell;
        }
        let mut bench = Bench { ground: &self.ground, sizes: self.sizes, target, cell: &mut cell };
        if let Err(failure) = (scenario.run)(&mut bench) {
            cell.failed = Some(failure.to_string());
        }
        cell
    }
}

/// One line as the run goes on.
fn report(cell: &Cell) {
    let Cell { run, scenario, target, faults, .. } = cell;
    let mut line = format!("run {run}  {scenario:<10} {target:<15} ");
    if let Some(reason) = &cell.skipped {
        line += &format!("skipped: {reason}");
    } else if let Some(reason) = &cell.failed {
        line += &format!("FAILED: {reason}");
    } else {
        line += &format!("{} figures, strangers {:.0} %", cell.figures.len(), cell.strangers);
    }
    if cell.strangers > STRANGERS {
        line += " (TOO BUSY)";
    }
    if !faults.none() {
        line += &format!(
            "  WRONG: {} lost, {} duplicated, {} reordered, {} strayed, {} connections ended",
            faults.lost, faults.duplicated, faults.reordered, faults.strayed, faults.closed
        );
    }
    eprintln!("{line}");
}
