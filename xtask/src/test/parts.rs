//! The long tests, in named parts that can be run one by one and resumed.
//!
//! There is no list to forget: each `tests/tests/long_NAME.rs` is the part NAME, described by the first sentence of
//! its module documentation, which may say "about N minutes"; the fuzz targets together are the part `fuzz`.
//! Results are remembered for the tree they were got on; any change of a tracked or new file begins anew.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{fuzz, programs, tally::Tally};
use crate::{paths, shell};

/// One part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) about: String,
    minutes: u64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The ignored tests of this test program.
    Program(String),
    Fuzz,
}

impl Part {
    /// Runs the part, for at most so many minutes.
    pub(super) fn run(&self, limit: u64) -> Result<Tally> {
        match &self.kind {
            Kind::Fuzz => fuzz::run(limit),
            Kind::Program(name) => {
                super::prepare()?;
                let programs = programs::build()?;
                let program = programs.iter().find(|program| program.name == *name);
                let tally = programs::as_root(
                    program.with_context(|| format!("cargo built no {name}"))?,
                    limit,
                    true,
                )?;
                if tally == Tally::default() {
                    bail!("{name} has no test marked `#[ignore]`: the part would show nothing");
                }
                Ok(tally)
            }
        }
    }
}

/// All parts, in the order of their names.
pub(super) fn all() -> Result<Vec<Part>> {
    let mut parts = programs_below(&paths::root().join("tests/tests"))?;
    if fuzz::exists() {
        let about = "every fuzz target in turn; about 20 minutes".to_owned();
        parts.push(Part { name: "fuzz".to_owned(), about, minutes: 20, kind: Kind::Fuzz });
    }
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(parts)
}

/// The parts that were asked for: one by name, today's, or all.
pub(super) fn choose<'a>(
    parts: &'a [Part],
    name: Option<&str>,
    rotate: bool,
    limit: u64,
) -> Result<Vec<&'a Part>> {
    if let Some(name) = name {
        let known = || parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(", ");
        let part = parts.iter().find(|part| part.name == name);
        return Ok(vec![part.with_context(|| format!("there is no part `{name}`; there are: {}", known()))?]);
    }
    if !rotate {
        return Ok(parts.iter().collect());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(turn(parts, now.as_secs() / SECONDS_A_DAY, limit).into_iter().collect())
}

/// Whose turn it is on a day, among the parts that fit; all but the fitting ones are named, none is forgotten.
fn turn(parts: &[Part], day: u64, limit: u64) -> Option<&Part> {
    let (fitting, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.minutes <= limit);
    for part in others {
        shell::say(&format!(
            "{} takes about {} minutes, more than {limit}: run it by name",
            part.name, part.minutes
        ));
    }
    let count = u64::try_from(fitting.len()).ok().filter(|count| *count > 0)?;
    fitting.get(usize::try_from(day % count).ok()?).copied()
}

fn programs_below(folder: &Path) -> Result<Vec<Part>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(name) =
            stem.strip_prefix("long_").filter(|_| path.extension().is_some_and(|end| end == "rs"))
        {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let doc: Vec<&str> =
                text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
            let doc = doc.join(" ");
            let about = doc.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
            let name = name.replace('_', "-");
            parts.push(Part { name, minutes: minutes(&doc), about, kind: Kind::Program(stem) });
        }
    }
    Ok(parts)
}

/// "… about 12 minutes …". A part that does not say is taken for half an hour.
fn minutes(doc: &str) -> u64 {
    let said = doc.split("about ").skip(1).find_map(|rest| rest.split_once(" minute")?.0.parse().ok());
    said.unwrap_or(30)
}

/// What was run on this tree already.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    tree: String,
    results: BTreeMap<String, Tally>,
}

impl Memory {
    /// What is remembered for the tree as it is now; nothing when it changed, or when `fresh`.
    pub(super) fn load(fresh: bool) -> Result<Self> {
        let tree = tree()?;
        let text = fs::read_to_string(paths::target().join(MEMORY)).unwrap_or_default();
        let known: Self = serde_json::from_str(&text).unwrap_or_default();
        if fresh || known.tree != tree { Ok(Self { tree, results: BTreeMap::new() }) } else { Ok(known) }
    }

    /// The result of a part that passed.
    pub(super) fn passed(&self, part: &Part) -> Option<Tally> {
        self.results.get(&part.name).copied().filter(|tally| tally.failed == 0)
    }

    /// Remembers a result at once, so that an interruption loses only the part that ran.
    pub(super) fn remember(&mut self, part: &Part, tally: Tally) -> Result<()> {
        self.results.insert(part.name.clone(), tally);
        let file = paths::target().join(MEMORY);
        fs::create_dir_all(file.parent().unwrap_or(&file)).context("cannot make target/xtask")?;
        let partial = file.with_extension("new");
        fs::write(&partial, serde_json::to_vec_pretty(self)?).context("cannot write below target/xtask")?;
        fs::rename(&partial, &file).with_context(|| format!("cannot write {}", file.display()))
    }

    /// A line of `--list`.
    pub(super) fn describe(&self, part: &Part) -> String {
        let known = match self.results.get(&part.name) {
            None => "not run on this tree".to_owned(),
            Some(tally) => format!("{} passed, {} failed on this tree", tally.passed, tally.failed),
        };
        format!("{:<20} {}  [{known}]", part.name, part.about)
    }
}

/// A name for the state of all files that git knows or would add.
fn tree() -> Result<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        shell::output(command.args(["-c", "safe.directory=*"]).args(arguments).current_dir(paths::root()))
    };
    let head = git(&["rev-parse", "HEAD"])?;
    let mut hasher = DefaultHasher::new();
    git(&["diff", "HEAD", "--binary"])?.hash(&mut hasher);
    for file in git(&["ls-files", "--others", "--exclude-standard"])?.lines() {
        file.hash(&mut hasher);
        fs::read(paths::root().join(file)).unwrap_or_default().hash(&mut hasher);
    }
    Ok(format!("{}+{:016x}", head.trim(), hasher.finish()))
}

const MEMORY: &str = "xtask/parts.json";
const SECONDS_A_DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, minutes: u64) -> Part {
        Part { name: name.to_owned(), about: String::new(), minutes, kind: Kind::Fuzz }
    }

    #[test]
    fn every_part_that_fits_has_its_turn() {
        let parts = [part("a", 10), part("b", 50), part("c", 20)];
        let turns: Vec<_> =
            (0..4).filter_map(|day| turn(&parts, day, 30)).map(|part| part.name.as_str()).collect();
        assert_eq!(turns, ["a", "c", "a", "c"]);
        assert!(turn(&parts, 0, 5).is_none());
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        let error = choose(&[part("a", 1), part("b", 1)], Some("c"), false, 60).unwrap_err().to_string();
        assert!(error.contains("`c`") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn long_test_programs_are_parts_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("long_buffer_flip.rs", "//! Flips buffers. All about\n//! races, about 12 minutes.\nuse a;\n");
        write("hold.rs", "//! Holds.\n");
        write("long_notes.txt", "");
        let found = programs_below(folder.path()).unwrap();
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (only.name.as_str(), only.about.as_str(), only.minutes),
            ("buffer-flip", "Flips buffers", 12)
        );
    }

    #[test]
    fn a_failed_part_is_run_again() {
        let results = [
            ("a".to_owned(), Tally { passed: 3, failed: 1 }),
            ("b".to_owned(), Tally { passed: 2, failed: 0 }),
        ];
        let memory = Memory { tree: String::new(), results: results.into() };
        assert_eq!(memory.passed(&part("a", 1)), None);
        assert_eq!(memory.passed(&part("b", 1)), Some(Tally { passed: 2, failed: 0 }));
    }
}
