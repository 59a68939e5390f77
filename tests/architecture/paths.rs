//! The paths that code mentions, made absolute: `use` trees are unfolded, imported names, `self`
//! and `super` are resolved.

use std::collections::{BTreeMap, BTreeSet};

/// First segments that are no crates: types of the language and names of tools in attributes.
const NO_CRATES: &[&str] = &[
    "bool", "char", "clippy", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "rustdoc",
    "rustfmt", "str", "u128", "u16", "u32", "u64", "u8", "usize",
];

/// A path of this crate (beginning with `crate`) or of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The line it stands on.
    pub line: usize,
    /// Its segments.
    pub path: Vec<String>,
}

/// Every path in `code`, which belongs to the module `module`. Names of local items and of the
/// prelude are left out.
pub fn mentions(code: &str, module: &[String]) -> Vec<Mention> {
    let tokens = tokens(code);
    let local = local_modules(&tokens);
    let mut imports: Vec<Import> = Vec::new();
    let mut plain: Vec<Mention> = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        let token = &tokens[position];
        if token.text == "use" {
            position = use_tree(&tokens, position + 1, &[], &mut imports);
        } else if token.text == "extern" && text(&tokens, position + 1) == "crate" {
            let path = vec![text(&tokens, position + 2).to_owned()];
            imports.push(Import { line: token.line, alias: path[0].clone(), path });
            position += 3;
        } else if is_name(&token.text) {
            let (path, next) = plain_path(&tokens, position);
            if path.len() > 1 {
                plain.push(Mention { line: token.line, path });
            }
            position = next;
        } else {
            position += 1;
        }
    }
    let scope = Scope::new(module, local, &imports);
    let used = imports.into_iter().map(|import| Mention { line: import.line, path: import.path });
    used.chain(plain).filter_map(|mention| scope.resolve(mention)).collect()
}

struct Token {
    line: usize,
    text: String,
}

struct Import {
    line: usize,
    alias: String,
    path: Vec<String>,
}

/// What the first segment of a path can mean in one file.
struct Scope {
    module: Vec<String>,
    local: BTreeSet<String>,
    imported: BTreeMap<String, Vec<String>>,
}

impl Scope {
    fn new(module: &[String], local: BTreeSet<String>, imports: &[Import]) -> Self {
        let mut scope = Self { module: module.to_vec(), local, imported: BTreeMap::new() };
        for import in imports {
            let mention = Mention { line: import.line, path: import.path.clone() };
            if let Some(resolved) = scope.resolve(mention) {
                scope.imported.insert(import.alias.clone(), resolved.path);
            }
        }
        scope
    }

    /// The absolute path; `None` for a local item or a name that is no crate.
    fn resolve(&self, mention: Mention) -> Option<Mention> {
        let first = mention.path[0].as_str();
        let path = match first {
            "crate" => mention.path,
            "self" | "super" => self.climb(&mention.path),
            _ if self.local.contains(first) || NO_CRATES.contains(&first) => return None,
            _ => match self.imported.get(first) {
                // An import of a name from itself (`use serde;`) stays as it is.
                Some(path) => [path.as_slice(), &mention.path[1..]].concat(),
                None if first.starts_with(char::is_lowercase) => mention.path,
                None => return None,
            },
        };
        Some(Mention { line: mention.line, path })
    }

    fn climb(&self, path: &[String]) -> Vec<String> {
        let mut module = self.module.clone();
        let mut rest = path;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "self" => {}
                "super" => {
                    module.pop();
                }
                _ => break,
            }
            rest = others;
        }
        [&["crate".to_owned()], module.as_slice(), rest].concat()
    }
}

/// Reads the tree behind `use` (or inside its braces) and returns the position behind it.
fn use_tree(tokens: &[Token], start: usize, prefix: &[String], out: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    let mut position = start;
    let mut alias = None;
    while position < tokens.len() {
        let token = &tokens[position];
        match token.text.as_str() {
            "{" => {
                position += 1;
                while text(tokens, position) != "}" && position < tokens.len() {
                    position = use_tree(tokens, position, &path, out);
                    if text(tokens, position) == "," {
                        position += 1;
                    }
                }
                return position + 1;
            }
            "as" => {
                alias = Some(text(tokens, position + 1).to_owned());
                position += 1;
            }
            ";" | "," | "}" => break,
            "::" => {}
            "self" if !prefix.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        position += 1;
    }
    if let (Some(last), Some(token)) = (path.last(), tokens.get(start)) {
        let alias = alias.unwrap_or_else(|| last.clone());
        out.push(Import { line: token.line, alias, path });
    }
    // A `;` ends the whole declaration; `,` and `}` belong to the group around it.
    if text(tokens, position) == ";" { position + 1 } else { position }
}

/// Reads `a::b::c` and returns it with the position behind it.
fn plain_path(tokens: &[Token], start: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[start].text.clone()];
    let mut position = start + 1;
    // What follows a dot is a field or a method, and what follows `mod` or `fn` is a new name.
    while text(tokens, position) == "::" && is_name(text(tokens, position + 1)) {
        path.push(tokens[position + 1].text.clone());
        position += 2;
    }
    (path, position)
}

/// The names of modules that this file declares.
fn local_modules(tokens: &[Token]) -> BTreeSet<String> {
    let declared = tokens.windows(2).filter(|pair| pair[0].text == "mod");
    declared.map(|pair| pair[1].text.clone()).collect()
}

fn text(tokens: &[Token], position: usize) -> &str {
    tokens.get(position).map_or("", |token| token.text.as_str())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if word(first) {
                rest.find(|c| !word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                tokens.push(Token { line: index + 1, text: rest[..length].to_owned() });
            }
            rest = &rest[length..];
        }
    }
    tokens
}
