//! Packs the operation catalog: `../catalog/**.toml` → `$OUT_DIR/packed.rs`.
//!
//! The catalog is data for people to review; the classifier wants sorted tables without a parser. What is wrong in
//! the data (a reason missing, an entry twice, an unknown level) stops the build with all findings at once.
//! That each example is judged as its entry says is a test of the crate: a build script cannot run the classifier.
#![allow(clippy::disallowed_methods, reason = "a build script is told its folders by environment variables")]

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use serde::Deserialize;

fn main() {
    let catalog = Path::new("../catalog");
    println!("cargo::rerun-if-changed={}", catalog.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut findings = Vec::new();
    let mut packed = String::new();
    pack_lexicon(&load(catalog, "lexicon.toml", &mut findings), &mut packed, &mut findings);
    pack_routes(&load(catalog, "inference.toml", &mut findings), &mut packed, &mut findings);
    pack_volatile(&load(catalog, "volatile.toml", &mut findings), &mut packed, &mut findings);
    pack_hosts(&load(catalog, "aws/hosts.toml", &mut findings), &mut packed, &mut findings);
    let entries: Vec<EntryFile> =
        ["aws/common.toml", "aws/ec2.toml"].map(|name| load(catalog, name, &mut findings)).into();
    pack_entries(&entries, &mut packed, &mut findings);
    assert!(findings.is_empty(), "the catalog has mistakes:\n  {}", findings.join("\n  "));
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("packed.rs"), packed).expect("OUT_DIR is writable");
}

fn load<T: for<'de> Deserialize<'de> + Default>(dir: &Path, name: &str, findings: &mut Vec<String>) -> T {
    let text = fs::read_to_string(dir.join(name));
    let parsed = text.map_err(|e| e.to_string()).and_then(|t| toml::from_str(&t).map_err(|e| e.to_string()));
    parsed.unwrap_or_else(|error| {
        findings.push(format!("{name}: {error}"));
        T::default()
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LexiconFile {
    group: Vec<Group>,
    innocent: Innocent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    kind: Kind,
    any_method: bool,
    compound: bool,
    words: Vec<String>,
    reason: String,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Destroys,
    Spends,
    Interrupts,
    Edits,
    Reads,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Innocent {
    words: Vec<String>,
    reason: String,
}

/// The kernel's fast path compares the first four letters of the words that count in any request line.
const SHORTEST_ANY_METHOD: usize = 4;

fn pack_lexicon(file: &LexiconFile, out: &mut String, findings: &mut Vec<String>) {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for group in &file.group {
        check_reason(&group.reason, &format!("lexicon.toml: group of {:?}", group.words.first()), findings);
        for word in &group.words {
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_lowercase()) {
                findings.push(format!("lexicon.toml: {word:?} is not a word of letters a to z"));
            }
            if !seen.insert(word) {
                findings.push(format!("lexicon.toml: {word:?} stands there twice"));
            }
            if group.any_method && word.len() < SHORTEST_ANY_METHOD {
                findings.push(format!("lexicon.toml: {word:?} is too short to count for any method"));
            }
            rows.push((word, group));
        }
    }
    rows.sort_by_key(|(word, _)| *word);
    out.push_str("pub(crate) static WORDS: &[Word] = &[\n");
    for (word, group) in &rows {
        let (any, compound) = (group.any_method, group.compound);
        writeln!(
            out,
            "Word {{ text: {word:?}, kind: Kind::{:?}, any_method: {any}, compound: {compound}, reason: {:?} }},",
            group.kind, group.reason
        )
        .expect("writing to a string");
    }
    out.push_str("];\n");
    let any = |(_, group): &&(&String, &Group)| group.any_method && group.kind == Kind::Destroys;
    writeln!(
        out,
        "pub(crate) static DESTROYING: &[&str] = &{:?};",
        names(rows.iter().filter(any).map(|r| r.0))
    )
    .expect("writing to a string");
    let compound = |(_, group): &&(&String, &Group)| group.compound;
    writeln!(
        out,
        "pub(crate) static COMPOUNDS: &[&str] = &{:?};",
        names(rows.iter().filter(compound).map(|r| r.0))
    )
    .expect("writing to a string");
    check_reason(&file.innocent.reason, "lexicon.toml: innocent", findings);
    let mut innocent = file.innocent.words.clone();
    innocent.sort();
    writeln!(out, "pub(crate) static INNOCENT: &[&str] = &{innocent:?};").expect("writing to a string");
}

fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    all.collect()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    route: Vec<Route>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    host: String,
    method: String,
    paths: Vec<String>,
    reason: String,
}

fn pack_routes(file: &RouteFile, out: &mut String, findings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    out.push_str("pub(crate) static ROUTES: &[PackedRoute] = &[\n");
    for route in &file.route {
        check_reason(&route.reason, &format!("inference.toml: {}", route.host), findings);
        for path in &route.paths {
            if !path.starts_with('/') || path.contains(['?', '%', '#', ' ']) {
                findings.push(format!("inference.toml: {path:?} is not a plain path"));
            }
            if !seen.insert((&route.host, &route.method, path)) {
                findings.push(format!("inference.toml: {} {path} stands there twice", route.host));
            }
            writeln!(
                out,
                "PackedRoute {{ host: {:?}, any_label: {:?}, method: {:?}, path: {path:?} }},",
                route.host,
                route.host.split_once('*'),
                route.method
            )
            .expect("writing to a string");
        }
    }
    out.push_str("];\n");
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct VolatileFile {
    field: Vec<VolatileField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolatileField {
    r#in: Place,
    provider: Provider,
    names: Vec<String>,
    reason: String,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Place {
    Header,
    Query,
    Form,
    Json,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Provider {
    Any,
    Aws,
}

fn pack_volatile(file: &VolatileFile, out: &mut String, findings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    out.push_str("pub(crate) static VOLATILE: &[Volatile] = &[\n");
    for field in &file.field {
        check_reason(&field.reason, &format!("volatile.toml: {:?}", field.names), findings);
        for name in &field.names {
            if field.r#in == Place::Header && name.bytes().any(|b| b.is_ascii_uppercase()) {
                findings.push(format!("volatile.toml: header {name:?} is not in lower case"));
            }
            if !seen.insert((field.r#in, name)) {
                findings.push(format!("volatile.toml: {name:?} stands there twice"));
            }
            let aws_only = field.provider == Provider::Aws;
            writeln!(
                out,
                "Volatile {{ place: Place::{:?}, aws_only: {aws_only}, name: {name:?}, reason: {:?} }},",
                field.r#in, field.reason
            )
            .expect("writing to a string");
        }
    }
    out.push_str("];\n");
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HostFile {
    suffix: Vec<Suffix>,
    passed_on: Vec<PassedOn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suffix {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassedOn {
    label: String,
    #[serde(default)]
    under: bool,
    reason: String,
}

fn pack_hosts(file: &HostFile, out: &mut String, findings: &mut Vec<String>) {
    for suffix in &file.suffix {
        check_reason(&suffix.reason, &format!("aws/hosts.toml: {}", suffix.name), findings);
    }
    let suffixes: Vec<String> = file.suffix.iter().map(|s| format!(".{}", s.name)).collect();
    writeln!(out, "pub(crate) static AWS_SUFFIXES: &[&str] = &{suffixes:?};").expect("writing to a string");
    let rows: Vec<(&str, bool)> = file.passed_on.iter().map(|p| (p.label.as_str(), p.under)).collect();
    for row in &file.passed_on {
        check_reason(&row.reason, &format!("aws/hosts.toml: {}", row.label), findings);
    }
    writeln!(out, "pub(crate) static AWS_PASSED_ON: &[(&str, bool)] = &{rows:?};")
        .expect("writing to a string");
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    entry: Vec<Entry>,
    no_dry_run: Option<NoDryRun>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoDryRun {
    service: String,
    operations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    operation: String,
    harm: Harm,
    #[serde(default)]
    flags: Vec<String>,
    count: Option<String>,
    count_value: Option<String>,
    #[serde(default)]
    when: Vec<When>,
    reason: String,
    examples: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    parameter: String,
    equals: Option<String>,
    harm: Harm,
    #[serde(default)]
    flags: Vec<String>,
    reason: String,
    example: String,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the words of harm-levels")]
enum Harm {
    ReadOnly,
    LowHarm,
    MediumHarm,
    Irreversible,
}

fn pack_entries(files: &[EntryFile], out: &mut String, findings: &mut Vec<String>) {
    let mut entries: Vec<&Entry> = files.iter().flat_map(|f| &f.entry).collect();
    entries.sort_by_key(|e| (&e.service, &e.operation));
    for pair in entries.windows(2) {
        if let [a, b] = pair
            && (&a.service, &a.operation) == (&b.service, &b.operation)
        {
            findings.push(format!("aws: {} {} stands there twice", a.service, a.operation));
        }
    }
    let is_prefix = |(_, entry): &(usize, &&Entry)| entry.operation.ends_with('*');
    let prefixes: Vec<usize> = entries.iter().enumerate().filter(is_prefix).map(|(at, _)| at).collect();
    writeln!(out, "pub(crate) static PREFIXES: &[usize] = &{prefixes:?};").expect("writing to a string");
    out.push_str("pub(crate) static ENTRIES: &[Entry] = &[\n");
    for entry in entries {
        check_entry(entry, findings);
        pack_entry(entry, out);
    }
    out.push_str("];\n");
    let mut dry: Vec<(&str, &str)> = Vec::new();
    for file in files.iter().filter_map(|f| f.no_dry_run.as_ref()) {
        dry.extend(file.operations.iter().map(|o| (file.service.as_str(), o.as_str())));
    }
    dry.sort_unstable();
    writeln!(out, "pub(crate) static NO_DRY_RUN: &[(&str, &str)] = &{dry:?};").expect("writing to a string");
}

fn check_entry(entry: &Entry, findings: &mut Vec<String>) {
    let name = format!("aws: {} {}", entry.service, entry.operation);
    check_reason(&entry.reason, &name, findings);
    if entry.examples.is_empty() {
        findings.push(format!("{name}: no example"));
    }
    if entry.operation.trim_end_matches('*').contains('*') {
        findings.push(format!("{name}: a star may only stand at the end"));
    }
    for when in &entry.when {
        check_reason(&when.reason, &name, findings);
        if when.harm < entry.harm {
            findings.push(format!("{name}: {} would lower the level", when.parameter));
        }
        if when.example.is_empty() {
            findings.push(format!("{name}: {} has no example", when.parameter));
        }
    }
}

fn pack_entry(entry: &Entry, out: &mut String) {
    let worst = entry.when.iter().map(|w| w.harm).fold(entry.harm, Harm::max);
    write!(
        out,
        "Entry {{ service: {:?}, operation: {:?}, harm: Harm::{:?}, unseen_body: Harm::{worst:?}, flags: &{}, \
         count: {:?}, count_value: {:?}, reason: {:?}, examples: &{:?}, when: &[",
        entry.service,
        entry.operation,
        entry.harm,
        flags(&entry.flags),
        entry.count,
        entry.count_value,
        entry.reason,
        entry.examples,
    )
    .expect("writing to a string");
    for when in &entry.when {
        write!(
            out,
            "When {{ parameter: {:?}, equals: {:?}, harm: Harm::{:?}, flags: &{}, reason: {:?}, example: {:?} }}, ",
            when.parameter,
            when.equals,
            when.harm,
            flags(&when.flags),
            when.reason,
            when.example
        )
        .expect("writing to a string");
    }
    out.push_str("] },\n");
}

/// `["guard_removal"]` → `[Flag::GuardRemoval]`; the compiler refuses a flag that does not exist.
fn flags(names: &[String]) -> String {
    let variants: Vec<String> = names.iter().map(|name| format!("Flag::{}", camel(name))).collect();
    format!("[{}]", variants.join(", "))
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        })
        .map(Option::unwrap_or_default)
        .collect()
}

fn check_reason(reason: &str, what: &str, findings: &mut Vec<String>) {
    if reason.trim().is_empty() {
        findings.push(format!("{what}: no reason"));
    }
}
