//! What becomes of the blocks of a page: run, checked, or left alone with a
//! reason. Nothing is passed over in silence. Free of I/O.

use crate::{
    page::{Part, What},
    transcript::{self, Command},
};

/// A block of a page, by the first word behind its fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub line: usize,
    pub language: Language,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Settings of a node, or a part of them.
    Toml,
    /// Frames of the protocol, or other JSON.
    Json,
    /// A script for browsers, or for Node.
    Js,
    /// A script for Python.
    Python,
    /// Settings of nats-server.
    Conf,
    /// Rules of Prometheus.
    Yaml,
    /// Pictures, formulas, output: nothing to type.
    Text,
}

/// What the commands of a page do, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A file is written.
    Write {
        name: String,
        text: String,
    },
    Run(Command),
}

/// A page as its blocks see it.
#[derive(Debug, Default)]
pub struct Blocks {
    pub checked: Vec<Block>,
    /// Each begins with an empty folder and a new shell.
    pub sessions: Vec<Vec<Step>>,
    /// What is wrong with the marks.
    pub faults: Vec<String>,
}

/// Programs whose name begins a line only where it is meant to be typed.
const PROGRAMS: [&str; 11] =
    ["$", "cargo", "curl", "docker", "kubectl", "make", "nats", "node", "notifier", "python3", "target/debug/notifier"];

pub fn blocks(parts: &[Part]) -> Blocks {
    let mut blocks = Blocks::default();
    for part in parts {
        let outcome = match &part.what {
            What::Comment(text) => blocks.comment(text, part.line),
            What::Block { info: Some(info), text } => blocks.block(info, text, part.line),
            What::Block { info: None, .. } => Err("an indented block; put it between fences and say what it is".into()),
            _ => Ok(()),
        };
        if let Err(fault) = outcome {
            blocks.faults.push(format!("line {}: {fault}", part.line));
        }
    }
    blocks
}

impl Blocks {
    fn comment(&mut self, text: &str, line: usize) -> Result<(), String> {
        match text.trim().split_once('\n').unwrap_or((text.trim(), "")) {
            ("run", commands) => self.commands(transcript::console(commands, line + 1)?),
            ("fresh", "") => self.sessions.push(Vec::new()),
            ("metrics:begin" | "metrics:end", "") => {}
            (other, _) => return Err(format!("a comment `{other}`; only `run` and `fresh` are known")),
        }
        Ok(())
    }

    fn block(&mut self, info: &str, text: &str, line: usize) -> Result<(), String> {
        let (language, marks) = info.split_once(' ').unwrap_or((info, ""));
        let (language, file) = match (language, marks.trim()) {
            ("console" | "sh", marks) if marks.starts_with("no-run:") => {
                return match marks["no-run:".len()..].trim() {
                    "" => Err("`no-run:` needs a reason".into()),
                    _ => Ok(()),
                };
            }
            ("console", "") => {
                self.commands(transcript::console(text, line + 1)?);
                return Ok(());
            }
            ("sh", "") => {
                self.commands(transcript::sh(text, line + 1));
                return Ok(());
            }
            ("toml", file) => (Language::Toml, file),
            ("json", file) => (Language::Json, file),
            ("js", file) => (Language::Js, file),
            ("python", file) => (Language::Python, file),
            ("conf", file) => (Language::Conf, file),
            ("yaml", file) => (Language::Yaml, file),
            ("text", "") => (Language::Text, ""),
            ("", _) => return Err("a block of no language; what is no code is `text`".into()),
            _ => return Err(format!("nobody runs or checks a block that is marked `{info}`")),
        };
        let file = match file.strip_prefix("file=") {
            Some(name) if !name.is_empty() && !name.contains(['/', ' ']) => Some(name.to_owned()),
            None if file.is_empty() => None,
            _ => return Err(format!("`{file}` is no mark; write file=NAME")),
        };
        let to_type = |line: &str| line.split(' ').next().is_some_and(|word| PROGRAMS.contains(&word));
        if let (Language::Text, Some(command)) = (language, text.lines().find(|line| to_type(line))) {
            return Err(format!("`{command}` looks like a command; the block is `console` or `sh`, not `text`"));
        }
        if let Some(name) = file {
            self.steps().push(Step::Write { name, text: text.to_owned() });
        }
        self.checked.push(Block { line, language, text: text.to_owned() });
        Ok(())
    }

    fn commands(&mut self, commands: Vec<Command>) {
        self.steps().extend(commands.into_iter().map(Step::Run));
    }

    /// Those of the session that the page is in.
    fn steps(&mut self) -> &mut Vec<Step> {
        if self.sessions.is_empty() {
            self.sessions.push(Vec::new());
        }
        self.sessions.last_mut().expect("one at least")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::parts;

    #[test]
    fn blocks_are_run_checked_or_left_with_a_reason() {
        let page = "```toml file=a.toml\nb = 1\n```\n\n<!-- run\n$ c\n-->\n\n```console\n$ d\ne\n```\n\n<!-- fresh -->\n\n\
                    ```sh no-run: takes an hour\nf\n```\n\n```sh\ng\n```\n\n```text\nh\n```\n";
        let blocks = blocks(&parts(page));
        assert_eq!(blocks.faults, Vec::<String>::new());
        let texts: Vec<_> = blocks.checked.iter().map(|block| (block.line, block.language, &*block.text)).collect();
        assert_eq!(texts, [(1, Language::Toml, "b = 1\n"), (24, Language::Text, "h\n")]);
        let run = |line, text: &str, says: &str| Step::Run(Command { line, text: text.into(), says: says.into() });
        let write = Step::Write { name: "a.toml".into(), text: "b = 1\n".into() };
        assert_eq!(blocks.sessions, [vec![write, run(6, "c", ""), run(10, "d", "e\n")], vec![run(21, "g", "")]]);
    }

    #[test]
    fn what_nobody_would_look_at_is_a_fault() {
        let rows = [
            ("```\na\n```\n", "of no language"),
            ("```rust\na\n```\n", "`rust`"),
            ("```sh no-run:\na\n```\n", "needs a reason"),
            ("```console norun\n$ a\n```\n", "`console norun`"),
            ("```console\na\n```\n", "begins with `$ `"),
            ("```toml flie=a\n```\n", "`flie=a` is no mark"),
            ("```text\n$ a\n```\n", "looks like a command"),
            ("```text\nmake a\n```\n", "looks like a command"),
            ("    indented\n", "between fences"),
            ("<!-- rum\n$ a\n-->\n", "a comment `rum`"),
        ];
        for (page, part) in rows {
            let faults = blocks(&parts(page)).faults;
            assert!(faults.len() == 1 && faults[0].contains(part) && faults[0].contains("line "), "{page} {faults:?}");
        }
    }
}
