//! The project's source files, as git knows them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Attribute, Item, UseTree, visit::Visit};

use crate::{paths, shell};

/// A parsed Rust file, and its path from the root.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) file: syn::File,
}

/// The tracked and the new files, without the ignored ones, by their paths from the root.
pub(super) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]);
    let list = shell::output(git.current_dir(paths::root()))?;
    Ok(list.lines().filter(|path| absolute(path).is_file()).map(str::to_owned).collect())
}

/// All Rust files, parsed.
pub(super) fn rust() -> Result<Vec<Source>> {
    let paths = files()?.into_iter().filter(|path| path.ends_with(".rs"));
    paths.map(parse).collect()
}

fn parse(path: String) -> Result<Source> {
    let text = fs::read_to_string(absolute(&path)).with_context(|| format!("cannot read {path}"))?;
    let file = syn::parse_file(&text).with_context(|| format!("{path} is no Rust that can be parsed"))?;
    Ok(Source { path, text, file })
}

pub(super) fn absolute(path: &str) -> PathBuf {
    paths::root().join(path)
}

/// Whether an item is compiled for tests only.
pub(super) fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(is_cfg_test)
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<TokenStream>().is_ok_and(|tokens| tokens.to_string() == "test")
}

/// Every identifier in production code, with its line. Comments and strings are no identifiers.
pub(super) fn identifiers(file: &syn::File) -> Vec<(String, usize)> {
    use quote::ToTokens as _;
    let mut found = Vec::new();
    for item in file.items.iter().filter(|item| !is_test(item)) {
        collect(item.to_token_stream(), &mut found);
    }
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Ident(ident) => found.push((ident.to_string(), ident.span().start().line)),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Every imported path in production code, segment by segment, with its line.
pub(super) fn imports(file: &syn::File) -> Vec<(Vec<String>, usize)> {
    let mut imports = Imports(Vec::new());
    file.items.iter().filter(|item| !is_test(item)).for_each(|item| imports.visit_item(item));
    imports.0
}

struct Imports(Vec<(Vec<String>, usize)>);

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        flatten(&item.tree, &mut Vec::new(), &mut self.0);
    }
}

fn flatten(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<(Vec<String>, usize)>) {
    let mut end = |ident: &Ident| {
        let path = before.iter().cloned().chain([ident.to_string()]).collect();
        found.push((path, ident.span().start().line));
    };
    match tree {
        UseTree::Name(name) => end(&name.ident),
        UseTree::Rename(rename) => end(&rename.ident),
        UseTree::Glob(glob) => found.push((before.clone(), glob.star_token.spans[0].start().line)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, found)),
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, found);
            before.pop();
        }
    }
}
