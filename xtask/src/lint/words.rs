//! What names one machine or its paths has no place in the project: it works for nobody else.

use std::fs;

use anyhow::Result;

use super::sources;

pub(super) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for path in sources::files()? {
        // Binary files and links into nowhere have no words.
        let Ok(text) = fs::read_to_string(sources::absolute(&path)) else { continue };
        findings.extend(findings_in(&path, &text));
    }
    super::report(&findings)
}

fn findings_in(path: &str, text: &str) -> Vec<String> {
    let line_findings = text.lines().enumerate().filter_map(|(number, line)| {
        let word = FOLDERS.iter().find(|folder| names(line, folder))?;
        Some(format!("{path}:{}: a path of one machine, below {}", number + 1, word.concat()))
    });
    line_findings.collect()
}

/// Whether a line has an absolute path below the folder: nothing that could continue a relative path stands before.
fn names(line: &str, folder: &[&str; 2]) -> bool {
    let folder = folder.concat();
    line.match_indices(&folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|start| start.chars().next_back());
        let after = line.get(at + folder.len()..).and_then(|rest| rest.chars().next());
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}$*~".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || c == '.')
    })
}

/// In two pieces, so that this file passes its own check.
const FOLDERS: [[&str; 2]; 4] = [["/wo", "rk/"], ["/ro", "ot/"], ["/Us", "ers/"], ["/tmp", "/t/"]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found_and_others_are_not() {
        for folder in FOLDERS {
            let line = format!("see `{}x/y`", folder.concat());
            assert_eq!(findings_in("a", &line).len(), 1, "{line}");
            let relative = format!("see a{}x", folder.concat());
            assert!(findings_in("a", &relative).is_empty(), "{relative}");
        }
        assert!(findings_in("a", "/workshop/x /rooted /home/agent/x").is_empty());
    }
}
