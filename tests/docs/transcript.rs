//! Commands, and what they are shown to say. Free of I/O.

/// One command of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where it stands, from 1.
    pub line: usize,
    /// As it would be typed, several lines where it goes on.
    pub text: String,
    /// What it is shown to say; nothing where the page does not show it.
    pub says: String,
}

impl Command {
    /// Whether a reader would leave it running and go on in another terminal.
    pub fn stays(&self) -> bool {
        let mut words = self.text.split_whitespace();
        let program = words.next().unwrap_or_default();
        let stays: &[&str] = match program {
            "make" => &["demo"],
            "curl" => &["-N"],
            // Readers that a page has written before.
            "node" => &["watch.mjs"],
            "python3" => &["watch.py"],
            _ if program.rsplit('/').next() == Some("notifier") => &["serve", "dev", "sub"],
            _ => &[],
        };
        words.next().is_some_and(|verb| stays.contains(&verb))
    }

    /// Whether the shell puts it into the background.
    pub fn is_sent_away(&self) -> bool {
        self.text.trim_end().ends_with('&')
    }

    /// The value that a flag has in it.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.text.split_whitespace().skip_while(|word| *word != name).nth(1)
    }
}

/// A `console` block: commands behind `$ `, and below each what it says.
pub fn console(text: &str, first_line: usize) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    let mut lines = (first_line..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Command { line: number, text: whole(command, &mut lines), says: String::new() });
        } else if let Some(command) = commands.last_mut() {
            command.says.push_str(line);
            command.says.push('\n');
        } else {
            return Err(format!("line {number}: a `console` block begins with `$ ` and a command; or is this `text`?"));
        }
    }
    Ok(commands)
}

/// An `sh` block: commands, of which the page shows no output.
pub fn sh(text: &str, first_line: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut lines = (first_line..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if !line.trim().is_empty() && !line.starts_with('#') {
            commands.push(Command { line: number, text: whole(line, &mut lines), says: String::new() });
        }
    }
    commands
}

/// A command with the lines on which it goes on: behind a `\`, or up to the end of `<<END`.
fn whole<'t>(first: &str, lines: &mut impl Iterator<Item = (usize, &'t str)>) -> String {
    let mut command = first.to_owned();
    let end = first.split_once("<<").and_then(|(_, rest)| rest.split_whitespace().next());
    let document = end.map(|end| end.trim_matches(['\'', '"']).to_owned());
    while document.is_some() || command.ends_with('\\') {
        let Some((_, line)) = lines.next() else { break };
        command = format!("{command}\n{line}");
        if document.as_deref() == Some(line) {
            break;
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: usize, text: &str, says: &str) -> Command {
        Command { line, text: text.into(), says: says.into() }
    }

    #[test]
    fn commands_go_on_and_say_something() {
        let text = "$ a \\\n  b\nsaid\nmore\n$ cat > f <<END\n$ c\nEND\n$ d &\n";
        let expected = [
            command(7, "a \\\n  b", "said\nmore\n"),
            command(11, "cat > f <<END\n$ c\nEND", ""),
            command(14, "d &", ""),
        ];
        assert_eq!(console(text, 7).expect("commands"), expected);
        assert!(console("said\n$ a\n", 1).expect_err("no command").contains("line 1"));
        assert_eq!(sh("# why\na\n\nb \\\nc\n", 1), [command(2, "a", ""), command(4, "b \\\nc", "")]);
    }

    #[test]
    fn nodes_and_subscribers_stay() {
        for stays in
            ["notifier serve --anonymous", "target/debug/notifier sub a", "make demo", "notifier dev", "curl -N a"]
        {
            assert!(command(1, stays, "").stays(), "{stays}");
        }
        for ends in ["notifier pub a b", "make test", "curl a", "subscribe"] {
            assert!(!command(1, ends, "").stays(), "{ends}");
        }
        assert_eq!(command(1, "notifier serve --listen a:1 &", "").flag("--listen"), Some("a:1"));
    }
}
