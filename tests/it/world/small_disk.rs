//! A disk of a few megabytes that most of is taken: a file system in memory, in
//! a mount namespace of its own, which ends with it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A mounted one, held by a process.
pub struct SmallDisk {
    holder: Child,
    filler: PathBuf,
}

impl SmallDisk {
    /// Mounts 24 MiB, of which 8 are free. Nothing where that is not allowed.
    pub fn mount(at: &Path) -> Option<Self> {
        let script = "mount -t tmpfs -o size=24m none \"$1\" && head -c 16m /dev/zero >\"$1/filler\" && echo mounted \
            && exec sleep infinity";
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(at)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare (util-linux) runs");
        let mut said = String::new();
        let heard = BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut said);
        if heard.is_ok() && said.trim() == "mounted" {
            return Some(Self { holder, filler: at.join("filler") });
        }
        eprintln!("skipped: only root may mount a small disk");
        let _ = holder.wait();
        None
    }

    /// A program that sees the disk.
    pub fn within(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string(), "--"]).arg(program);
        command
    }

    /// Frees what was taken.
    pub fn make_room(&self) {
        let seen = PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.filler.display()));
        fs::remove_file(seen).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
