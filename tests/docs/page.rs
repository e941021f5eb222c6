//! A page of Markdown, taken apart: what stands in it, and in which line. Free of I/O.

use std::{mem, ops::Range};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Something that a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins, from 1.
    pub line: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The anchor of a heading.
    Heading(String),
    /// A block of code with all that stands behind its fence; without a fence, none.
    Block { info: Option<String>, text: String },
    /// What stands between `<!--` and `-->`.
    Comment(String),
    /// Something `in backticks`.
    Code(String),
    /// Where a link or an image leads.
    Link(String),
    /// Any other text.
    Prose(String),
    /// A row of a table, below its header.
    Row { header: Vec<String>, cells: Vec<String> },
}

/// Everything in a page, in its order.
pub fn parts(markdown: &str) -> Vec<Part> {
    let mut reader = Reader { markdown, parts: Vec::new(), anchors: Vec::new(), text: String::new() };
    let mut block = None;
    let (mut header, mut cells) = (Vec::new(), Vec::new());
    for (event, place) in Parser::new_ext(markdown, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                block = Some(match kind {
                    CodeBlockKind::Fenced(info) => Some(info.to_string()),
                    CodeBlockKind::Indented => None,
                });
                reader.text.clear();
            }
            Event::End(TagEnd::CodeBlock) => {
                let what = What::Block { info: block.take().flatten(), text: mem::take(&mut reader.text) };
                reader.found(&place, what);
            }
            Event::Text(text) => {
                reader.text.push_str(&text);
                if block.is_none() {
                    reader.found(&place, What::Prose(text.to_string()));
                }
            }
            Event::Code(code) => {
                reader.text.push_str(&code);
                reader.found(&place, What::Code(code.to_string()));
            }
            Event::SoftBreak | Event::HardBreak => reader.text.push(' '),
            Event::Start(Tag::HtmlBlock | Tag::Heading { .. } | Tag::TableCell) => reader.text.clear(),
            Event::Html(html) | Event::InlineHtml(html) => reader.text.push_str(&html),
            Event::End(TagEnd::HtmlBlock) => reader.comment(&place),
            Event::End(TagEnd::Heading(_)) => reader.heading(&place),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                reader.found(&place, What::Link(dest_url.to_string()));
            }
            Event::End(TagEnd::TableCell) => cells.push(mem::take(&mut reader.text)),
            Event::End(TagEnd::TableHead) => header = mem::take(&mut cells),
            Event::End(TagEnd::TableRow) => {
                reader.found(&place, What::Row { header: header.clone(), cells: mem::take(&mut cells) });
            }
            _ => {}
        }
    }
    reader.parts
}

struct Reader<'m> {
    markdown: &'m str,
    parts: Vec<Part>,
    anchors: Vec<String>,
    /// The text of what is being read.
    text: String,
}

impl Reader<'_> {
    fn found(&mut self, place: &Range<usize>, what: What) {
        let line = self.markdown[..place.start].matches('\n').count() + 1;
        self.parts.push(Part { line, what });
    }

    fn comment(&mut self, place: &Range<usize>) {
        let text = mem::take(&mut self.text);
        let inner = text.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
        if let Some(inner) = inner {
            self.found(place, What::Comment(inner.to_owned()));
        }
    }

    /// Names it as GitHub does.
    fn heading(&mut self, place: &Range<usize>) {
        let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let name: String = self.text.to_lowercase().chars().filter(|c| kept(*c)).collect();
        let name = name.replace(' ', "-");
        let before = self.anchors.iter().filter(|anchor| **anchor == name).count();
        self.anchors.push(name.clone());
        let name = if before == 0 { name } else { format!("{name}-{before}") };
        self.found(place, What::Heading(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let page = "# A `b` c, d!\n\nSee [it](x.md#y), `z`.\n\n<!-- run\n$ a\n-->\n\n```sh no-run: why\nb\n```\n\n\
                    | code | n |\n|---|---|\n| `q` | 1 |\n\n## A\n## A\n\n    indented\n";
        let found: Vec<_> = parts(page).into_iter().filter(|part| !matches!(part.what, What::Prose(_))).collect();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected = [
            (1, What::Code("b".into())),
            (1, What::Heading("a-b-c-d".into())),
            (3, What::Link("x.md#y".into())),
            (3, What::Code("z".into())),
            (5, What::Comment(" run\n$ a\n".into())),
            (9, What::Block { info: Some("sh no-run: why".into()), text: "b\n".into() }),
            (15, What::Code("q".into())),
            (15, What::Row { header: texts(&["code", "n"]), cells: texts(&["q", "1"]) }),
            (17, What::Heading("a".into())),
            (18, What::Heading("a-1".into())),
            (20, What::Block { info: None, text: "indented\n".into() }),
        ];
        assert_eq!(found, expected.map(|(line, what)| Part { line, what }));
    }
}
