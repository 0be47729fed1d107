//! Size budgets: no function above 100 lines, no file above 500 production lines. Small things can be read at once.
//!
//! Tables (constants and statics) do not count, nor do tests, comments and blank lines. Files below `tests/` are
//! tests. Clippy asks for a reason above 60 lines; this bound has no exception.

use anyhow::Result;
use syn::{
    Block, Item, Signature,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::sources::{self, Source};

const FUNCTION_LINES: usize = 100;
const FILE_LINES: usize = 500;

pub(super) fn check() -> Result<()> {
    let sources = sources::rust()?;
    super::report(&sources.iter().flat_map(findings).collect::<Vec<_>>())
}

fn findings(source: &Source) -> Vec<String> {
    let mut functions = Functions { path: &source.path, findings: Vec::new() };
    functions.visit_file(&source.file);
    let mut findings = functions.findings;
    let lines = production_lines(source);
    if lines > FILE_LINES && !is_test_file(&source.path) {
        findings.push(format!("{}: {lines} production lines, above {FILE_LINES}: split it", source.path));
    }
    findings
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

fn production_lines(source: &Source) -> usize {
    let mut counted: Vec<bool> = source.text.lines().map(is_code).collect();
    let skipped = source
        .file
        .items
        .iter()
        .filter(|item| sources::is_test(item) || matches!(item, Item::Const(_) | Item::Static(_)));
    for item in skipped {
        let span = item.span();
        for line in counted.iter_mut().take(span.end().line).skip(span.start().line.saturating_sub(1)) {
            *line = false;
        }
    }
    counted.into_iter().filter(|counts| *counts).count()
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

struct Functions<'a> {
    path: &'a str,
    findings: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &Signature, block: &Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES {
            let (path, name) = (self.path, &signature.ident);
            self.findings
                .push(format!("{path}:{first}: {name} has {lines} lines, above {FUNCTION_LINES}: split it"));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: String) -> Source {
        let file = syn::parse_file(&text).unwrap();
        Source { path: path.to_owned(), text, file }
    }

    #[test]
    fn a_function_at_the_bound_passes_and_one_line_more_does_not() {
        let function = |lines: usize| format!("impl X {{\nfn f() {{\n{}}}\n}}\n", "g();\n".repeat(lines - 2));
        assert!(findings(&source("a.rs", function(100))).is_empty());
        let found = findings(&source("a.rs", function(101)));
        assert_eq!(found, ["a.rs:2: f has 101 lines, above 100: split it"]);
    }

    #[test]
    fn production_lines_leave_out_tables_tests_comments_and_blanks() {
        let table = format!("const T: [u8; 600] = [\n{}];\n", "0,\n".repeat(600));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "use a::b;\n".repeat(600));
        let code = "// comment\n\nuse a::b;\n".repeat(500);
        assert!(findings(&source("a.rs", format!("{table}{code}{tests}"))).is_empty());
        let more = format!("{code}use a::c;\n");
        assert_eq!(findings(&source("a.rs", more.clone())).len(), 1);
        assert!(findings(&source("tests/tests/a.rs", more)).is_empty());
    }
}
