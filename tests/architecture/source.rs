//! One source file without its comments, its texts and its tests.

use super::paths::{self, Mention};

/// A parsed file.
pub struct Source {
    /// Its path relative to `src`.
    pub name: String,
    /// Whether the first line is a `//!` comment.
    pub opens_with_documentation: bool,
    /// Lines that are not part of tests.
    pub code_lines: usize,
    /// The code; comments, texts and tests are blanked, line breaks are kept.
    code: String,
    /// The names of modules declared as `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

impl Source {
    /// Takes `text` apart.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut code = blank_comments_and_texts(text);
        let mut test_modules = Vec::new();
        let mut test_lines = 0;
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = end_of_item(&code, start);
            let item = &code[start..end];
            if let Some((_, rest)) = item.split_once("mod ")
                && let Some(module) = rest.strip_suffix(';')
            {
                test_modules.push(module.trim().to_owned());
            }
            test_lines += item.lines().count();
            let blank: String = item.chars().map(blanked).collect();
            code.replace_range(start..end, &blank);
        }
        Self {
            name: name.to_owned(),
            opens_with_documentation: text.starts_with("//!"),
            code_lines: text.lines().count().saturating_sub(test_lines),
            code,
            test_modules,
        }
    }

    /// The lines, counted from one, on which the code has these words.
    pub fn lines_with(&self, words: &str) -> Vec<usize> {
        let lines = self.code.lines().enumerate();
        lines.filter(|(_, line)| line.contains(words)).map(|(number, _)| number + 1).collect()
    }

    /// The first folder or file below `src`.
    pub fn layer(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The files, without `.rs`, of the modules that only tests include.
    pub fn test_module_files(&self) -> Vec<String> {
        let folder = match self.name.strip_suffix(".rs") {
            Some("lib" | "main") | None => String::new(),
            Some(stem) => format!("{stem}/"),
        };
        self.test_modules.iter().map(|module| format!("{folder}{module}")).collect()
    }

    /// Every path of this crate or another one that the code mentions.
    pub fn mentions(&self) -> Vec<Mention> {
        let stem = self.name.strip_suffix(".rs").unwrap_or(&self.name);
        let module: Vec<String> = match stem {
            "lib" | "main" => Vec::new(),
            stem => stem.split('/').map(str::to_owned).collect(),
        };
        paths::mentions(&self.code, &module)
    }
}

fn blanked(character: char) -> char {
    if character == '\n' { '\n' } else { ' ' }
}

/// Where the item that follows the attribute at `start` ends: behind its `;` or its block.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code[start..].char_indices() {
        let end = start + offset + character.len_utf8();
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return end,
            '}' => depth -= 1,
            ';' if depth == 0 => return end,
            _ => {}
        }
    }
    code.len()
}

fn blank_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back();
        let length = uninteresting(rest, before).unwrap_or(0);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            // One sign stays, so that what stood on both sides does not grow together.
            code.extend(rest[..length].chars().map(blanked));
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the comment, text or character literal that `rest` begins with, if it does.
fn uninteresting(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with('r') && (!in_word || before == Some('b')) {
        return raw_text(rest);
    }
    if rest.starts_with('\'') {
        return character_literal(rest);
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while position < rest.len() {
        let here = &rest[position..];
        if here.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return offset + 1;
        }
    }
    rest.len()
}

fn raw_text(rest: &str) -> Option<usize> {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let opening = 1 + hashes;
    if !rest[opening..].starts_with('"') {
        return None;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let length = rest[opening + 1..].find(&closing).map(|at| opening + 1 + at + closing.len());
    Some(length.unwrap_or(rest.len()))
}

/// `'x'` and `'\''`, but not the lifetime `'a`.
fn character_literal(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        return Some(quoted(rest, '\''));
    }
    let (offset, second) = characters.next()?;
    (second == '\'').then_some(offset + 1)
}
