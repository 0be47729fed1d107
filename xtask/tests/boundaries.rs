//! The boundaries between the crates hold, and are seen when they do not.
//!
//! Part of plain `cargo test`: who adds a dependency to a pure crate learns of it before anything else.

use xtask::lint::boundaries;

#[test]
fn the_boundaries_hold_in_this_workspace() {
    boundaries::check().unwrap();
}

#[test]
fn an_acting_dependency_of_a_pure_crate_is_found_through_others() {
    let found = findings("normal");
    assert_eq!(found, ["agent-guard-core depends on tokio, directly or not: it must stay pure"]);
}

#[test]
fn dependencies_of_tests_and_build_scripts_are_free() {
    assert!(findings("dev").is_empty());
}

#[test]
fn only_the_daemon_may_depend_on_aya() {
    let metadata = metadata(
        r#"{"id":"ctl","deps":[{"pkg":"aya","dep_kinds":[{"kind":null}]}]},
           {"id":"daemon","deps":[{"pkg":"aya","dep_kinds":[{"kind":null}]}]}"#,
    );
    let found = boundaries::dependency_findings(&metadata).unwrap();
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(finding.starts_with("agentguardctl depends on aya"), "{finding}");
}

#[test]
fn a_workspace_without_the_pure_crates_is_an_error() {
    let empty = r#"{"packages":[],"workspace_members":[],"resolve":{"nodes":[]}}"#;
    assert!(boundaries::dependency_findings(empty).is_err());
}

/// The findings when core uses `between`, which uses tokio.
fn findings(how: &str) -> Vec<String> {
    let kind = if how == "dev" { r#""dev""# } else { "null" };
    let nodes = format!(
        r#"{{"id":"core","deps":[{{"pkg":"between","dep_kinds":[{{"kind":{kind}}}]}}]}},
           {{"id":"between","deps":[{{"pkg":"tokio","dep_kinds":[{{"kind":null}}]}}]}}"#
    );
    boundaries::dependency_findings(&metadata(&nodes)).unwrap()
}

fn metadata(nodes: &str) -> String {
    let packages = [
        ("core", "agent-guard-core"),
        ("decode", "agent-guard-decode"),
        ("ctl", "agentguardctl"),
        ("daemon", "agent-guard-daemon"),
        ("between", "between"),
        ("tokio", "tokio"),
        ("aya", "aya"),
    ];
    let packages = packages.map(|(id, name)| format!(r#"{{"id":"{id}","name":"{name}"}}"#)).join(",");
    let members = r#""core","decode","ctl","daemon""#;
    format!(r#"{{"packages":[{packages}],"workspace_members":[{members}],"resolve":{{"nodes":[{nodes}]}}}}"#)
}
