//! A terminal in which the commands of a page run: a shell and a folder of its
//! own, and free ports in place of the usual ones.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::Duration,
};

use regex::{Captures, Regex};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command as Process},
    time::{sleep, timeout},
};

use crate::{block::Step, expectation::Learned, port::free_port, transcript::Command};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const NODE: &str = env!("CARGO_BIN_EXE_notifier");

/// How long a command may take. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what no event announces.
const LOOK: Duration = Duration::from_millis(10);

/// The ports that pages use: of nodes, of a second one, and of nats-server.
static USUAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:8080|9090|8081|9091|4222)\b").expect("an expression"));

/// In every terminal, before anything else. `make` is the one of the repository.
const BEGINNING: &str = r#"make() { command make --silent --no-print-directory --directory "$DOCS_REPOSITORY" "$@"; }"#;
/// All that it has begun ends with it, also when this process is killed.
const END: &str = "trap 'exec 2>/dev/null; kill -KILL $(jobs -p); wait; kill -KILL 0' EXIT";
const NATS: &str = r#""$DOCS_NATS_SERVER" --addr 127.0.0.1 --port 4222 --jetstream --store_dir ../nats &"#;

pub static NATS_SERVER: LazyLock<PathBuf> = LazyLock::new(|| tool("nats-server.sh"));

pub struct Shell {
    process: Child,
    input: ChildStdin,
    /// The exit code of each command.
    codes: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
    ports: Vec<(&'static str, u16)>,
    learned: Learned,
    count: usize,
}

impl Shell {
    /// With a nats-server that has JetStream.
    pub async fn begin() -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = ["8080", "9090", "8081", "9091", "4222"].map(|usual| (usual, free_port())).to_vec();
        let (home, programs) = (folder.path().join("home"), folder.path().join("bin"));
        fs::create_dir_all(home.join("target/debug")).expect("a folder");
        fs::create_dir(&programs).expect("a folder");
        stand_ins(&programs, &ports);
        symlink(programs.join("notifier"), home.join("target/debug/notifier")).expect("a link");

        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut process = Process::new("bash");
        process.args(["--norc", "--noprofile"]).current_dir(&home).env("PATH", path);
        let of_others = |name: &str| name.starts_with("NOTIFIER_") || name.starts_with("MAKE");
        for (name, _) in std::env::vars().filter(|(name, _)| of_others(name)) {
            process.env_remove(name);
        }
        for (name, value) in [
            ("DOCS_REPOSITORY", REPOSITORY),
            ("DOCS_NOTIFIER", NODE),
            // As the pages call it.
            ("NOTIFIER_NODE__NAME", "notifier-7c9d"),
            ("NOTIFIER_SERVER__LISTEN", "127.0.0.1:8080"),
            ("NOTIFIER_SERVER__INTERNAL_LISTEN", "127.0.0.1:9090"),
            ("NOTIFIER_BROKER__NATS__URLS", "nats://127.0.0.1:4222"),
        ] {
            process.env(name, moved(&ports, value));
        }
        process
            .env("CURL_HOME", &programs)
            .env("DOCS_NATS_SERVER", &*NATS_SERVER)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = process.spawn().expect("bash runs");
        let input = process.stdin.take().expect("piped");
        let codes = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut shell = Self { process, input, codes, folder, ports, learned: Learned::default(), count: 0 };
        shell.type_in(END).await;
        shell.type_in(BEGINNING).await;
        let nats = Command { line: 0, text: NATS.into(), says: "… Server is ready".into() };
        shell.run(&nats).await.map_err(|problem| format!("no nats-server: {problem}"))?;
        Ok(shell)
    }

    /// Does what a page says.
    pub async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Write { name, text } => {
                let place = self.folder.path().join("home").join(name);
                fs::write(place, self.here(text)).map_err(|problem| format!("{name}: {problem}"))
            }
            Step::Run(command) => self.run(command).await.map_err(|why| format!("line {}: {why}", command.line)),
        }
    }

    /// Waits until nothing writes into its folder any more.
    pub async fn end(mut self) {
        self.type_in("exit").await;
        let _ = timeout(PATIENCE, self.process.wait()).await;
    }

    async fn run(&mut self, command: &Command) -> Result<(), String> {
        self.count += 1;
        let script = self.folder.path().join(format!("{}.sh", self.count));
        let output = self.folder.path().join(format!("{}.out", self.count));
        let text = self.here(&command.text);
        fs::write(&script, &text).expect("room");
        let stays = command.stays() && !command.is_sent_away();
        let away = if stays { "&" } else { "" };
        self.type_in(&format!("{{ . {0:?}; }} >{1:?} 2>&1 </dev/null {away}\necho $?", script, output)).await;
        let code = timeout(PATIENCE, self.codes.next_line()).await;
        let said = || fs::read_to_string(&output).unwrap_or_default();
        let code = match code {
            Err(_) => return Err(format!("`{text}` does not end; it has said:\n{}", said())),
            Ok(code) => code.ok().flatten().ok_or("the shell has ended")?,
        };
        let shown = moved(&self.ports, &command.says);
        if stays || command.is_sent_away() {
            return self.settled(command, &shown, &output).await.map_err(|why| format!("`{text}` {why}\n{}", said()));
        }
        let said = said();
        if shown.is_empty() && code != "0" {
            return Err(format!("`{text}` ends with code {code}:\n{said}"));
        }
        if !shown.is_empty() && !self.learned.agree(&shown, &said, true) {
            let shown = self.learned.apply(&shown);
            return Err(format!("`{text}` is shown to say\n{shown}\nand says, with code {code},\n{said}"));
        }
        Ok(())
    }

    /// Waits until what runs on has said what is shown, is ready, or has said anything.
    async fn settled(&mut self, command: &Command, shown: &str, output: &Path) -> Result<(), String> {
        let serves = command.text.contains("notifier serve");
        let internal = self.here(command.flag("--internal-listen").unwrap_or("127.0.0.1:9090"));
        let waiting = async {
            loop {
                let said = fs::read_to_string(output).unwrap_or_default();
                if said.lines().any(|line| line.starts_with("notifier: ")) {
                    return Err("has ended:".to_owned());
                }
                let done = if !shown.is_empty() {
                    self.learned.agree(shown, &said, false)
                } else if serves {
                    is_ready(&internal).await
                } else {
                    !said.is_empty()
                };
                if done {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        };
        let settled = timeout(PATIENCE, waiting).await;
        let shown = self.learned.apply(shown);
        settled.unwrap_or_else(|_| Err(format!("has not said\n{shown}\nor is not ready; it has said:")))
    }

    /// A text of the page as it reads here.
    fn here(&self, text: &str) -> String {
        self.learned.apply(&moved(&self.ports, text))
    }

    async fn type_in(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("the shell reads");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = self.process.id() {
            let _ = std::process::Command::new("kill").args(["-s", "KILL", "--", &format!("-{group}")]).status();
        }
    }
}

/// Puts the programs of the pages into a folder, with the ports that are free here.
fn stand_ins(folder: &Path, ports: &[(&str, u16)]) {
    for entry in fs::read_dir(Path::new(REPOSITORY).join("tests/docs/bin")).expect("programs") {
        let entry = entry.expect("a program");
        let (place, text) = (folder.join(entry.file_name()), fs::read_to_string(entry.path()).expect("a script"));
        fs::write(&place, moved(ports, &text)).expect("room");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }
}

async fn is_ready(internal: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(internal).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: docs\r\nConnection: close\r\n\r\n").await?;
        BufReader::new(stream).lines().next_line().await
    };
    asked.await.is_ok_and(|status| status.is_some_and(|status| status.contains(" 200 ")))
}

/// A text with the ports that are free here.
fn moved(ports: &[(&str, u16)], text: &str) -> String {
    let free = |found: &Captures| {
        let port = ports.iter().find(|(usual, _)| *usual == &found[0]);
        port.map_or_else(|| found[0].to_owned(), |(_, port)| port.to_string())
    };
    USUAL.replace_all(text, free).into_owned()
}

/// A tool of the tests: where it is, says the script that fetches it.
pub fn tool(script: &str) -> PathBuf {
    let script = Path::new(REPOSITORY).join("scripts").join(script);
    let output = std::process::Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "a tool is not to be had");
    String::from_utf8(output.stdout).expect("a path").trim().into()
}
