//! Reads the Prometheus text format as it arrives, in pieces of any size. Holds one unfinished line
//! and nothing else, so the memory used does not depend on the page: values go to a [`Sink`], which
//! says which names it wants. Never fails: lines it cannot read are counted.

use std::borrow::Cow;
use std::io::BufRead;

/// Longest line that is read, in bytes; a longer one is skipped and counted.
pub const LINE_LIMIT: usize = 16 * 1024;

/// Most labels of one series; a line with more counts as malformed.
const MAX_LABELS: usize = 64;

/// Takes the values of a page.
pub trait Sink {
    /// Whether the values of the series `name` are wanted. Asked for every line that has a name.
    fn wants(&mut self, name: &str) -> bool;

    /// One value of a wanted series.
    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64);
}

/// The labels of one series.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Labels<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Labels<'_> {
    /// The value of the label `name`; empty where there is none, as Prometheus has it.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// What became of the lines of a page.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LineCounts {
    /// Values given to the sink.
    pub samples: u64,
    /// Lines of series that the sink does not want.
    pub unwanted: u64,
    /// Lines that are no series: a bad name, or a wanted name with the rest unreadable.
    pub malformed: u64,
    /// Lines longer than [`LINE_LIMIT`].
    pub too_long: u64,
}

/// See the module's description.
#[derive(Debug)]
pub struct Parser<S> {
    sink: S,
    partial: Vec<u8>,
    skipping: bool,
    counts: LineCounts,
}

impl<S: Sink> Parser<S> {
    /// A parser at the beginning of a page.
    pub fn new(sink: S) -> Self {
        Self { sink, partial: Vec::new(), skipping: false, counts: LineCounts::default() }
    }

    /// Reads the next piece of the page.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let (line, ended, rest) = split_line(chunk);
            chunk = rest;
            if ended {
                self.end_line(line);
            } else {
                self.keep(line);
            }
        }
    }

    /// Reads a last line that has no line end, and returns the sink and the counts.
    pub fn finish(mut self) -> (S, LineCounts) {
        if !self.partial.is_empty() {
            self.end_line(&[]);
        }
        (self.sink, self.counts)
    }

    /// How many bytes the parser holds on to at the moment.
    pub fn buffer_capacity(&self) -> usize {
        self.partial.capacity()
    }

    fn end_line(&mut self, tail: &[u8]) {
        if self.skipping {
            self.skipping = false;
            return;
        }
        if self.partial.len() + tail.len() > LINE_LIMIT {
            self.partial.clear();
            self.counts.too_long += 1;
            return;
        }
        if self.partial.is_empty() {
            read_line(tail, &mut self.sink, &mut self.counts);
            return;
        }
        self.partial.extend_from_slice(tail);
        read_line(&self.partial, &mut self.sink, &mut self.counts);
        self.partial.clear();
    }

    fn keep(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.partial.len() + part.len() > LINE_LIMIT {
            self.partial.clear();
            self.skipping = true;
            self.counts.too_long += 1;
            return;
        }
        if self.partial.capacity() == 0 {
            // Grown once to its full size, so that it never holds more than the limit.
            self.partial.reserve_exact(LINE_LIMIT);
        }
        self.partial.extend_from_slice(part);
    }
}

/// The bytes up to the first line end, whether there was one, and what follows it.
fn split_line(chunk: &[u8]) -> (&[u8], bool, &[u8]) {
    let mut rest = chunk;
    // Reading from a slice cannot fail; the standard library's search is vectorised.
    let taken = rest.skip_until(b'\n').unwrap_or(chunk.len()).min(chunk.len());
    let line = &chunk[..taken];
    match line.strip_suffix(b"\n") {
        Some(line) => (line, true, &chunk[taken..]),
        None => (line, false, &chunk[taken..]),
    }
}

fn read_line<S: Sink>(line: &[u8], sink: &mut S, counts: &mut LineCounts) {
    let line = line.trim_ascii();
    if line.is_empty() || line[0] == b'#' {
        return;
    }
    let (name, rest) = line.split_at(name_length(line));
    let (Ok(name), Some(b' ' | b'\t' | b'{')) = (str::from_utf8(name), rest.first()) else {
        counts.malformed += 1;
        return;
    };
    if name.is_empty() {
        counts.malformed += 1;
    } else if !sink.wants(name) {
        counts.unwanted += 1;
    } else if let Some((labels, value)) = str::from_utf8(rest).ok().and_then(read_rest) {
        counts.samples += 1;
        sink.sample(name, &labels, value);
    } else {
        counts.malformed += 1;
    }
}

/// The length of the metric name at the start of a line: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn name_length(line: &[u8]) -> usize {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    if line[0].is_ascii_digit() {
        return 0;
    }
    line.iter().position(|byte| !is_name(byte)).unwrap_or(line.len())
}

/// Labels and value: what follows the name.
fn read_rest(rest: &str) -> Option<(Labels<'_>, f64)> {
    let (labels, rest) = match rest.trim_start_matches([' ', '\t']).strip_prefix('{') {
        Some(inside) => read_labels(inside)?,
        None => (Labels::default(), rest),
    };
    // OpenMetrics allows an exemplar after the value.
    let rest = rest.split_once(" # ").map_or(rest, |(before, _)| before);
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse::<f64>().ok()?;
    if let Some(timestamp) = words.next() {
        timestamp.parse::<f64>().ok()?;
    }
    words.next().is_none().then_some((labels, value))
}

/// Reads `a="b",c="d"}` and returns what follows the brace.
fn read_labels(mut text: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Labels::default();
    loop {
        text = text.trim_start_matches([' ', '\t']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once('=')?;
        let inside = rest.trim_start_matches([' ', '\t']).strip_prefix('"')?;
        let (value, rest) = read_quoted(inside)?;
        if labels.0.len() == MAX_LABELS {
            return None;
        }
        labels.0.push((name.trim_end(), value));
        text = rest.trim_start_matches([' ', '\t']);
        match text.strip_prefix(',') {
            Some(rest) => text = rest,
            None if text.starts_with('}') => {}
            None => return None,
        }
    }
}

/// Reads a label value up to its closing quote, with `\\`, `\"` and `\n` undone.
fn read_quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = String::from(&text[..end]);
    let mut characters = text[end..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // Prometheus keeps a backslash that escapes nothing.
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq)]
    struct All(Vec<Read>);

    /// Name, labels and value.
    type Read = (String, Vec<(String, String)>, String);

    impl Sink for All {
        fn wants(&mut self, name: &str) -> bool {
            !name.starts_with("unwanted")
        }

        fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
            let labels = labels.0.iter().map(|(k, v)| ((*k).to_owned(), v.to_string())).collect();
            self.0.push((name.to_owned(), labels, value.to_string()));
        }
    }

    struct Nothing;

    impl Sink for Nothing {
        fn wants(&mut self, _name: &str) -> bool {
            false
        }

        fn sample(&mut self, _name: &str, _labels: &Labels<'_>, _value: f64) {}
    }

    fn read(page: &str) -> (All, LineCounts) {
        let mut parser = Parser::new(All::default());
        parser.feed(page.as_bytes());
        parser.finish()
    }

    fn values(page: &str) -> Vec<(String, String)> {
        read(page).0.0.into_iter().map(|(name, _, value)| (name, value)).collect()
    }

    #[test]
    fn values_of_every_spelling_are_read() {
        for (line, expected) in [
            ("a 1", "1"),
            ("a 3.4914304e+08", "349143040"),
            ("a +Inf", "inf"),
            ("a -Inf", "-inf"),
            ("a NaN", "NaN"),
            ("a\t-0.5", "-0.5"),
            ("a 1 1767225600000", "1"),
            ("a 1 # {trace_id=\"x\"} 0.5", "1"),
            ("a{} 7\r", "7"),
            ("  a { x = \"y\" , } 7", "7"),
        ] {
            assert_eq!(values(line), [("a".to_owned(), expected.to_owned())], "{line}");
        }
    }

    #[test]
    fn escapes_in_labels_are_undone() {
        let (all, _) = read(r#"a{p="C:\\d",q="say \"hi\"",r="two\nlines",s="\x",t="},{"} 1"#);
        let labels: Vec<_> = all.0[0].1.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(labels, [r"C:\d", "say \"hi\"", "two\nlines", r"\x", "},{"]);
    }

    #[test]
    fn garbage_is_counted_and_the_rest_is_read() {
        let page = "a 1\n<html>\n9x 1\na{b=\"c} 1\na{b} 1\na\na x\na 1 y\na 1 2 3\nunwanted{ 1\n\
                    # HELP a b\n\n\u{feff}a 1\na 2";
        let (all, counts) = read(page);
        assert_eq!(all.0.len(), 2);
        assert_eq!(counts, LineCounts { samples: 2, unwanted: 1, malformed: 9, too_long: 0 });
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_and_counted_however_it_is_cut() {
        let page = format!("a 1\na{{b=\"{}\"}} 2\na 3\n", "x".repeat(LINE_LIMIT));
        for piece in [1, 7, 1000, LINE_LIMIT, page.len()] {
            let mut parser = Parser::new(All::default());
            page.as_bytes().chunks(piece).for_each(|chunk| parser.feed(chunk));
            let (all, counts) = parser.finish();
            assert_eq!(all.0.len(), 2, "pieces of {piece}");
            assert_eq!(counts.too_long, 1, "pieces of {piece}");
        }
    }

    #[test]
    fn a_page_without_end_needs_one_line_of_memory() {
        const MIB: usize = 1024 * 1024;
        let mut lines = Vec::new();
        for number in 0_u32.. {
            lines.extend(format!("unwanted{{collection=\"c{number}\"}} {number}\n").into_bytes());
            if number % 8 == 0 {
                lines.extend(std::iter::repeat_n(b'x', 3 * LINE_LIMIT));
                lines.push(b'\n');
            }
            if lines.len() > MIB {
                break;
            }
        }
        // Cut anywhere, so that a line is always unfinished between two pieces.
        lines.truncate(MIB - 13);
        let mut parser = Parser::new(Nothing);
        let mut peak = 0;
        for _ in 0..1024 {
            parser.feed(&lines);
            peak = peak.max(parser.buffer_capacity());
        }
        assert!(peak > 0 && peak <= LINE_LIMIT, "{peak}");
        let (_, counts) = parser.finish();
        assert!(counts.too_long > 1024 && counts.unwanted > 1024, "{counts:?}");
    }

    #[test]
    fn a_line_that_never_ends_needs_one_line_of_memory() {
        let mut parser = Parser::new(All::default());
        let part = vec![b'a'; 64 * 1024];
        for _ in 0..1024 {
            parser.feed(&part);
            assert!(parser.buffer_capacity() <= LINE_LIMIT);
        }
        assert_eq!(parser.finish().1.too_long, 1);
    }

    proptest! {
        #[test]
        fn how_the_page_is_cut_into_pieces_does_not_matter(
            page in "([ab]\\{x=\"[a-c\\\\\\\\\"]{0,4}\"\\} [0-9]{1,3}\r?\n|#[a-z]*\n|[^\n]{0,9}\n){0,9}",
            piece in 1_usize..20,
        ) {
            let mut parser = Parser::new(All::default());
            page.as_bytes().chunks(piece).for_each(|chunk| parser.feed(chunk));
            prop_assert_eq!(parser.finish(), read(&page));
        }

        #[test]
        fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = Parser::new(All::default());
            parser.feed(&page);
            parser.finish();
        }
    }
}
