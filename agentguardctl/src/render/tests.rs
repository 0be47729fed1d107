use agent_guard_api::{
    Flag, Harm, HoldState, HoldView, Magnitude, ProcessView,
    audit::{AUDIT_VERSION, AuditKind, AuditRequest},
    hold::ApprovalView,
    status::{AgentStatus, Counters, ProbedFile, SessionStatus, Status},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::output;

/// Not to be shown to a person: controls (ESC and C1 among them), bidi, zero-width and other invisible characters.
fn is_dangerous(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn check(page: &str) -> Result<(), TestCaseError> {
    let bad: Vec<char> = page.chars().filter(|character| is_dangerous(*character)).collect();
    prop_assert!(bad.is_empty(), "{bad:?} in {page:?}");
    prop_assert!(page.ends_with('\n'));
    Ok(())
}

fn check_json<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) -> Result<(), TestCaseError> {
    let json = output::json(value).expect("json");
    prop_assert!(json.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{json:?}");
    prop_assert_eq!(&serde_json::from_str::<T>(&json).expect("valid"), value);
    Ok(())
}

/// Anything, with a preference for what does harm.
fn words() -> impl Strategy<Value = String> {
    let evil = select(vec![
        "\u{1b}[2J",
        "\n",
        "\r",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{feff}",
        "\u{9b}31m",
        "\u{7f}",
        "\0",
        "\"",
        "\\",
        "\u{2028}",
        "\u{e0041}",
        "\u{3164}",
        "\u{5d0}",
        "…",
        "·",
        "a",
        " approve ",
        "é",
        "中",
    ]);
    prop_oneof![
        vec(evil, 0..12).prop_map(|parts| parts.concat()),
        any::<String>(),
        (any::<char>(), 390usize..1100).prop_map(|(character, count)| character.to_string().repeat(count)),
        "[a-z0-9-]{0,12}",
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    use Harm::*;
    select(vec![ReadOnly, LowHarm, Unknown, MediumHarm, Irreversible, Undecidable])
}

fn magnitude() -> impl Strategy<Value = Magnitude> {
    prop_oneof![
        any::<u64>().prop_map(Magnitude::Count),
        (words(), words()).prop_map(|(amount, currency)| Magnitude::Money { amount, currency }),
        Just(Magnitude::UNBOUNDED),
    ]
}

fn flags() -> impl Strategy<Value = Vec<Flag>> {
    vec(select(vec![Flag::Money, Flag::Bulk, Flag::HostMismatch]), 0..4)
}

fn process() -> impl Strategy<Value = ProcessView> {
    (any::<u32>(), words(), words()).prop_map(|(pid, command, exe)| ProcessView { pid, command, exe })
}

fn approval() -> impl Strategy<Value = ApprovalView> {
    (words(), any::<u64>(), words()).prop_map(|(person, at_ms, channel)| ApprovalView {
        person,
        at_ms,
        channel,
    })
}

fn any_hold() -> impl Strategy<Value = HoldView> {
    use HoldState::*;
    let names = (words(), words(), words(), words(), words(), words(), words(), words(), words());
    let lists =
        (vec(process(), 0..3), vec(words(), 0..30), vec(words(), 0..14), vec(approval(), 0..3), flags());
    let options = (option::of(words()), option::of(words()), option::of(words()), option::of(words()));
    let numbers = (any::<[u64; 5]>(), option::of(any::<u64>()), any::<[u32; 2]>(), any::<bool>());
    let kinds = (harm(), magnitude(), select(vec![Pending, Approved, Released, Denied, Expired]), words());
    (names, lists, options, numbers, kinds).prop_map(|(names, lists, options, numbers, kinds)| {
        let (id, agent, provider, service, operation, summary, host, digest, excerpt) = names;
        let (processes, resources, before, approvals, flags) = lists;
        let (region, account, denied_by, denied_reason) = options;
        let (
            [session, resources_total, created_ms, expires_ms, _],
            bytes_good_until_ms,
            [needed, waiting],
            whole,
        ) = numbers;
        let (harm, magnitude, state, why) = kinds;
        HoldView {
            rule: why.clone(),
            id,
            state,
            agent,
            session,
            processes,
            provider,
            service,
            operation,
            summary,
            harm,
            flags,
            magnitude,
            resources,
            resources_total,
            host,
            region,
            account,
            digest,
            whole,
            excerpt,
            before,
            why,
            approvals,
            approvals_needed: needed,
            denied_by,
            denied_reason,
            created_ms,
            expires_ms,
            bytes_good_until_ms,
            waiting_connections: waiting,
        }
    })
}

fn any_record() -> impl Strategy<Value = AuditRecord> {
    let request = (words(), words(), words(), harm(), magnitude(), flags(), words(), words()).prop_map(
        |(provider, service, operation, harm, magnitude, flags, host, digest)| AuditRequest {
            provider,
            service,
            operation,
            harm,
            magnitude,
            flags,
            host,
            digest,
        },
    );
    let kind = select(vec![AuditKind::Held, AuditKind::Loss, AuditKind::ActionRefused]);
    let texts = (words(), option::of(words()), option::of(words()), option::of(words()), option::of(words()));
    let numbers =
        (any::<u64>(), option::of(any::<u64>()), option::of(any::<u32>()), option::of(any::<u64>()));
    (kind, texts, numbers, option::of(request), option::of(words())).prop_map(
        |(kind, texts, numbers, request, why)| {
            let (message, agent, hold, person, rule) = texts;
            let (at_ms, session, pid, count) = numbers;
            let version = AUDIT_VERSION;
            AuditRecord {
                version,
                at_ms,
                kind,
                message,
                agent,
                session,
                pid,
                hold,
                person,
                request,
                rule,
                why,
                count,
            }
        },
    )
}

fn any_status() -> impl Strategy<Value = Status> {
    let agent = (words(), words(), any::<u32>()).prop_map(|(name, mode, sessions)| AgentStatus {
        name,
        mode,
        sessions,
    });
    let session = (any::<u64>(), words(), any::<u32>(), words(), any::<u32>(), any::<u64>()).prop_map(
        |(id, agent, root_pid, command, processes, started_ms)| SessionStatus {
            id,
            agent,
            root_pid,
            command,
            processes,
            started_ms,
        },
    );
    let file = (words(), vec(words(), 0..20)).prop_map(|(path, functions)| ProbedFile { path, functions });
    let lists = (vec(agent, 0..3), vec(session, 0..3), vec(file, 0..3), vec(words(), 0..3));
    (words(), any::<[u32; 3]>(), any::<u64>(), lists).prop_map(
        |(version, [abi, pid, pending_holds], at, lists)| {
            let (agents, sessions, probed_files, findings) = lists;
            let counters = Counters { writes_seen: at, ..Counters::default() };
            Status {
                version,
                abi,
                started_ms: at,
                pid,
                agents,
                sessions,
                pending_holds,
                probed_files,
                counters,
                findings,
            }
        },
    )
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let severity = select(vec![Severity::Ok, Severity::Warning, Severity::Error]);
    (words(), severity, words(), words(), words()).prop_map(
        |(check, severity, finding, consequence, remedy)| Finding {
            check,
            severity,
            finding,
            consequence,
            remedy,
        },
    )
}

fn any_explanation() -> impl Strategy<Value = Explanation> {
    let texts = (words(), words(), words(), words(), words(), words(), words());
    (texts, harm(), magnitude(), vec(words(), 0..25), flags()).prop_map(
        |(texts, harm, magnitude, resources, flags)| {
            let (id, provider, service, operation, verdict, rule, why) = texts;
            Explanation {
                id,
                provider,
                service,
                operation,
                harm,
                magnitude,
                resources,
                flags,
                verdict,
                rule,
                why,
            }
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (words(), any::<u32>()).prop_map(|(hold, missing)| Outcome::Approved { hold, missing }),
        (words(), any::<bool>()).prop_map(|(hold, delivered)| Outcome::Released { hold, delivered }),
        words().prop_map(|hold| Outcome::Denied { hold }),
        (words(), any::<u64>()).prop_map(|(agent, session)| Outcome::Enrolled { agent, session }),
        Just(Outcome::Removing),
    ]
}

proptest! {
    #[test]
    fn holds_are_harmless_to_print(one in any_hold(), now in any::<u64>()) {
        check_json(&one)?;
        let page = hold(&one, now);
        check(&page)?;
        // What an agent chooses adds no line: the number of lines follows from the numbers of things.
        prop_assert!(page.lines().count() < 130, "{page}");
        let list = holds(std::slice::from_ref(&one), true, now);
        check(&list)?;
        prop_assert_eq!(list.lines().count(), 2);
    }

    #[test]
    fn records_are_harmless_to_print(one in any_record()) {
        check_json(&one)?;
        let line = record(&one);
        check(&line)?;
        prop_assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn status_is_harmless_to_print(one in any_status(), now in any::<u64>()) {
        check_json(&one)?;
        check(&status(&one, now))?;
    }

    #[test]
    fn all_else_is_harmless_to_print(
        finding in any_finding(), one in any_explanation(), id in option::of(words()), error in words(),
        result in any_outcome(),
    ) {
        check(&findings(std::slice::from_ref(&finding)))?;
        check(&explanation(&one))?;
        check(&explain_error(id.as_deref(), &error))?;
        check(&outcome(&result))?;
        check_json(&finding)?;
        check_json(&one)?;
        check_json(&result)?;
    }

    #[test]
    fn nothing_said_ends_its_quotation(words in words()) {
        for said in [says(&words), retold(&words)] {
            let mut outside = String::new();
            let (mut quoted, mut escaped) = (false, false);
            for character in said.chars() {
                match character {
                    _ if escaped => escaped = false,
                    '\\' if quoted => escaped = true,
                    '"' => quoted = !quoted,
                    _ if !quoted => outside.push(character),
                    _ => {}
                }
            }
            prop_assert!(!quoted, "{said}");
            let count: String = outside.chars().filter(|character| !character.is_ascii_digit()).collect();
            prop_assert!(["", " ...  characters not shown ... ", " ...  character not shown ... "].contains(&&*count), "{said}");
        }
    }
}

/// The hold that the golden page shows.
fn terminate() -> HoldView {
    HoldView {
        id: "h42".into(),
        state: HoldState::Pending,
        agent: "claude".into(),
        session: 3,
        processes: vec![
            ProcessView {
                pid: 812,
                command: "aws ec2 terminate-instances".into(),
                exe: "/usr/bin/python3.11".into(),
            },
            ProcessView { pid: 800, command: "bash -c 'x\u{1b}[2J'".into(), exe: "/bin/bash".into() },
        ],
        provider: "aws".into(),
        service: "ec2".into(),
        operation: "TerminateInstances".into(),
        summary: "TerminateInstances on 847 instances in us-east-1".into(),
        harm: Harm::Irreversible,
        flags: vec![Flag::Bulk],
        magnitude: Magnitude::Count(847),
        resources: (0..20).map(|n| format!("i-{n:04}")).collect(),
        resources_total: 847,
        host: "ec2.us-east-1.amazonaws.com".into(),
        region: Some("us-east-1".into()),
        account: None,
        digest: "ab".repeat(32),
        whole: true,
        excerpt: "POST / HTTP/1.1\nAction=TerminateInstances".into(),
        before: vec!["DescribeInstances: allowed\" approved by alice".into()],
        rule: "builtin:irreversible".into(),
        why: "irreversible, so two people decide".into(),
        approvals_needed: 2,
        approvals: vec![ApprovalView {
            person: "alice".into(),
            at_ms: NOW - 5_000,
            channel: "socket uid 1000".into(),
        }],
        denied_by: None,
        denied_reason: None,
        created_ms: NOW - 65_000,
        expires_ms: NOW + 835_000,
        bytes_good_until_ms: Some(NOW + 235_000),
        waiting_connections: 1,
    }
}

const NOW: Millis = 1_767_323_045_000;

#[test]
fn the_page_by_which_a_person_decides() {
    let page = hold(&terminate(), NOW);
    assert_eq!(page, include_str!("tests/hold.txt"), "\n{page}");
}

#[test]
fn the_page_of_a_hold_that_nobody_waits_for() {
    let late = HoldView {
        whole: false,
        waiting_connections: 0,
        magnitude: Magnitude::UNBOUNDED,
        bytes_good_until_ms: Some(NOW - 60_000),
        state: HoldState::Denied,
        denied_by: Some("bob".into()),
        denied_reason: Some("not \"today\"".into()),
        ..terminate()
    };
    let page = hold(&late, NOW);
    for words in [
        "UNBOUNDED",
        "only these very bytes",
        "the client gave up",
        "no longer, since 1 min 0 s ago",
        "denied by    bob",
        r#""not \"today\"""#,
        "h42: DENIED",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("agentguardctl approve"), "{page}");
}

#[test]
fn long_words_lose_their_middle_and_say_how_much() {
    let said = says(&format!("{}{}", "a".repeat(300), "b".repeat(300)));
    let (head, tail) = ("a".repeat(200), "b".repeat(200));
    assert_eq!(said, format!("\"{head}\" ... 200 characters not shown ... \"{tail}\""));
}

#[test]
fn what_was_escaped_already_is_not_escaped_twice() {
    assert_eq!(retold(r"a\x1bb…c"), r#""a\x1bb…c""#);
    assert_eq!(retold(r#"a\" b"#), r#""a\\\" b""#);
    assert_eq!(retold(r"a\"), r#""a\\""#);
}

#[test]
fn dates_of_the_calendar() {
    let days = [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (4_107_542_400, "2100-03-01"),
        (1_767_323_045, "2026-01-02"),
    ];
    for (second, date) in days {
        assert!(utc(second * 1000).starts_with(date), "{}", utc(second * 1000));
    }
    assert_eq!(utc(1_767_323_045_999), "2026-01-02 03:04:05 UTC");
    assert!(utc(u64::MAX).ends_with("UTC"));
}
