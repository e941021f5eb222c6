//! What a run has found, as it is written to a file and read back.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Because as _, Outcome},
    swarm::Faults,
};

/// Above this, in percent of a core, strangers have spoilt a cell.
pub const STRANGERS: f64 = 20.0;

/// A whole run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Results {
    /// Version of this form.
    pub format: u32,
    /// When it began, seconds since 1970.
    pub begun: u64,
    /// Where it ran and how, for people.
    pub machine: BTreeMap<String, String>,
    /// Everything that was measured.
    pub cells: Vec<Cell>,
}

/// One scenario with one target, once.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Cell {
    /// Which repetition, from 1.
    pub run: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The target's name.
    pub target: String,
    /// The figures by name.
    pub figures: BTreeMap<String, f64>,
    /// Events and connections that were harmed.
    pub faults: Faults,
    /// The most CPU that strangers used in one of the measurements, percent of a core.
    pub strangers: f64,
    /// Why there is nothing: it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why there is nothing: it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Results {
    /// Reads a file.
    pub fn read(file: &Path) -> Outcome<Self> {
        let cannot = || format!("cannot read the results {}", file.display());
        serde_json::from_str(&fs::read_to_string(file).because(cannot)?).because(cannot)
    }

    /// Writes a file, and the folder it stands in.
    pub fn write(&self, file: &Path) -> Outcome<()> {
        let cannot = || format!("cannot write the results {}", file.display());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).because(cannot)?;
        }
        let text = serde_json::to_string_pretty(self).because(cannot)?;
        fs::write(file, text + "\n").because(cannot)
    }

    /// Whether everything went as it must.
    pub fn sound(&self) -> bool {
        self.cells.iter().all(|cell| cell.failed.is_none() && cell.faults.none())
    }
}
