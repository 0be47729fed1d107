//! EC2 and its neighbours: every operation, ids and magnitude, dry runs, evidence.

use agent_guard_api::{Flag, Harm, Magnitude};
use agent_guard_core::{catalog, classify::Routes, classify::needs_body};

use crate::asked::{FORM, SIGNED, cut, ec2, judge, request, with_sni};

/// Regenerate with `AGENT_GUARD_BLESS=1` and read the difference.
#[test]
fn every_ec2_operation_has_the_level_that_was_reviewed() {
    let all = include_str!("ec2_operations.txt");
    let judged = all.lines().map(|name| {
        let operation = judge(&ec2(&format!("Action={name}&Version=2016-11-15")));
        let flags: Vec<String> = operation.flags.iter().map(|f| format!("{f:?}")).collect();
        format!("{name} {:?} {}", operation.harm, flags.join(",")).trim_end().to_owned()
    });
    let judged: String = judged.map(|line| line + "\n").collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/classify/ec2_levels.txt");
    if std::env::var_os("AGENT_GUARD_BLESS").is_some() {
        std::fs::write(path, &judged).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap();
    for (now, then) in judged.lines().zip(reviewed.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(judged.lines().count(), reviewed.lines().count());
    assert!(!judged.contains(" Unknown"), "an operation that no word decides");
}

#[test]
fn every_example_of_the_catalog_is_judged_as_its_entry_says() {
    for entry in catalog::entries() {
        let service = if entry.service == "*" { "anything" } else { entry.service };
        let name = entry.operation.replace('*', "X");
        let scope = SIGNED.1.replace("/ec2/", &format!("/{service}/"));
        let host = format!("{service}.us-east-1.amazonaws.com");
        let say = |parameters: &str| {
            let body = format!("Action={name}&{parameters}");
            judge(&request("POST", &host, "/", &[FORM, ("Authorization", &scope)], &body))
        };
        for example in entry.examples {
            let operation = say(example);
            assert_eq!(operation.harm, entry.harm, "{service} {name} {example}");
            assert_eq!(operation.flags, entry.flags, "{service} {name} {example}");
        }
        for when in entry.when {
            let operation = say(when.example);
            assert_eq!(operation.harm, when.harm, "{service} {name} {}", when.example);
            assert!(
                when.flags.iter().all(|f| operation.flags.contains(f)),
                "{service} {name} {}",
                when.example
            );
        }
        assert!(entry.unseen_body >= entry.harm && entry.when.iter().all(|w| w.harm <= entry.unseen_body));
    }
}

#[test]
fn ids_are_counted_once_each() {
    let operation =
        judge(&ec2("Action=TerminateInstances&InstanceId.1=i-1&InstanceId.2=i-2&InstanceId.3=i-1"));
    assert_eq!(operation.harm, Harm::Irreversible);
    assert_eq!(operation.magnitude, Magnitude::Count(2));
    assert_eq!(operation.resources, ["i-1", "i-2"]);
    assert_eq!(operation.region.as_deref(), Some("us-east-1"));
    assert_eq!(operation.account.as_deref(), Some("AKIAIOSFODNN7EXAMPLE"));
    assert_eq!((operation.provider.as_str(), operation.service.as_str()), ("aws", "ec2"));
    assert_eq!(operation.name, "TerminateInstances");
}

#[test]
fn eight_hundred_ids_are_eight_hundred() {
    let ids: String = (1..=1200).map(|n| format!("&InstanceId.{n}=i-{n:017x}")).collect();
    let operation = judge(&ec2(&format!("Action=TerminateInstances&Version=2016-11-15{ids}")));
    assert_eq!(operation.magnitude, Magnitude::Count(1200));
    assert_eq!(operation.resources_total, 1200);
    assert_eq!(operation.resources.len(), 1000);
}

#[test]
fn what_an_operation_is_about_is_counted() {
    let table = [
        ("Action=DetachVolume&VolumeId=vol-1&InstanceId=i-1", 1, "vol-1"),
        ("Action=DeleteVpcEndpoints&VpcEndpointId.1=a&VpcEndpointId.2=b&VpcId=v", 2, "a b"),
        ("Action=CreateTags&ResourceId.1=i-1&ResourceId.2=vol-2&Tag.1.Key=k", 2, "i-1 vol-2"),
        ("Action=ReleaseAddress&AllocationId=eipalloc-1", 1, "eipalloc-1"),
        ("Action=DeleteKeyPair&KeyName=prod", 1, "prod"),
        (
            "Action=DeleteLaunchTemplateVersions&LaunchTemplateId=lt-1&LaunchTemplateVersion.1=1&LaunchTemplateVersion.2=2",
            2,
            "1 2",
        ),
        (
            "Action=RunInstances&ImageId=ami-1&MinCount=1&MaxCount=40&SecurityGroupId.1=a&SecurityGroupId.2=b",
            40,
            "",
        ),
        ("Action=CreateNetworkInterface&SubnetId=s&SecurityGroupId.1=a&SecurityGroupId.2=b", 1, ""),
        ("Action=DescribeInstances", 1, ""),
    ];
    for (body, count, resources) in table {
        let operation = judge(&ec2(body));
        assert_eq!(operation.magnitude, Magnitude::Count(count), "{body}");
        assert_eq!(operation.resources.join(" "), resources, "{body}");
    }
}

#[test]
fn a_dry_run_reads_only_where_it_is_honoured_and_seen_whole() {
    let dry = judge(&ec2("Action=TerminateInstances&InstanceId.1=i-1&DryRun=true"));
    assert_eq!((dry.harm, dry.flags.as_slice()), (Harm::ReadOnly, &[Flag::DryRun][..]));
    let not_dry = [
        "Action=TerminateInstances&InstanceId.1=i-1&DryRun=false",
        "Action=TerminateInstances&InstanceId.1=i-1&DryRun=true&DryRun=false",
        "Action=TerminateInstances&InstanceId.1=i-1&dryrun=true",
        "Action=DescribeInstances&Action=TerminateInstances&InstanceId.1=i-1&DryRun=true",
        "Action=ReleaseHosts&HostId.1=h-1&DryRun=true",
    ];
    for body in not_dry {
        assert_eq!(judge(&ec2(body)).harm, Harm::Irreversible, "{body}");
    }
    let whole = ec2("Action=TerminateInstances&DryRun=true&InstanceId.1=i-1");
    let cut = judge(&cut(whole, 40));
    assert_eq!((cut.harm, cut.wants_body), (Harm::Irreversible, true));
    let elsewhere = request(
        "POST",
        "autoscaling.us-east-1.amazonaws.com",
        "/",
        &[FORM],
        "Action=DeleteAutoScalingGroup&DryRun=true",
    );
    assert_eq!(judge(&elsewhere).harm, Harm::Irreversible);
    let forged =
        request("POST", "api.example.com", "/", &[FORM, SIGNED], "Action=TerminateInstances&DryRun=true");
    assert_eq!(judge(&forged).harm, Harm::Irreversible);
    let literal =
        request("POST", "127.0.0.1:5000", "/", &[FORM, SIGNED], "Action=TerminateInstances&DryRun=true");
    assert_eq!(judge(&literal).harm, Harm::Irreversible);
    let fronted = with_sni(ec2("Action=TerminateInstances&DryRun=true"), "api.example.com");
    assert_eq!(judge(&fronted).harm, Harm::Irreversible);
}

#[test]
fn an_action_counts_wherever_it_stands() {
    let terminate = [
        request("GET", "ec2.amazonaws.com", "/?Action=TerminateInstances&InstanceId.1=i-1", &[], ""),
        request("GET", "ec2.amazonaws.com", "/?A%63tion=Terminate%49nstances", &[], ""),
        request(
            "POST",
            "ec2.amazonaws.com",
            "/?Action=DescribeInstances",
            &[FORM],
            "Action=TerminateInstances",
        ),
        request(
            "POST",
            "ec2.amazonaws.com",
            "/?Action=TerminateInstances",
            &[FORM],
            "Action=DescribeInstances",
        ),
        request(
            "POST",
            "ec2.amazonaws.com",
            "/",
            &[FORM],
            "Action=DescribeInstances&Action=TerminateInstances",
        ),
        request("POST", "ec2.amazonaws.com", "/", &[], "Action=TerminateInstances"),
    ];
    for request in terminate {
        assert_eq!(judge(&request).harm, Harm::Irreversible, "{request:?}");
    }
}

#[test]
fn an_action_counts_whatever_its_body_is_called() {
    let octets = ("Content-Type", "application/octet-stream");
    let whole =
        request("POST", "ec2.amazonaws.com", "/", &[octets], "Action=TerminateInstances&InstanceId.1=i-1");
    assert_eq!(judge(&whole).harm, Harm::Irreversible);
    assert_eq!(judge(&cut(whole, 0)).harm, Harm::Irreversible);
}

#[test]
fn more_parameters_than_an_operation_takes_are_not_read() {
    let body = format!("Action=DescribeInstances{}", "&a".repeat(30_000));
    assert_eq!(judge(&ec2(&body)).harm, Harm::Undecidable);
}

#[test]
fn settings_of_the_account_are_no_objects() {
    let scope = SIGNED.1.replace("/ec2/", "/s3/");
    let path = "/v20180820/configuration/publicAccessBlock";
    let host = "111122223333.s3-control.us-east-1.amazonaws.com";
    let xml = ("Content-Type", "application/xml");
    let put = request("PUT", host, path, &[xml, ("Authorization", &scope)], "<x/>");
    assert_eq!(judge(&put).harm, Harm::Unknown);
}

#[test]
fn an_unseen_body_may_still_terminate() {
    let describe = ec2("Action=DescribeInstances&Version=2016-11-15&MaxResults=1000");
    assert_eq!(judge(&describe).harm, Harm::ReadOnly);
    for seen in [0, 10, 24, 40] {
        let operation = judge(&cut(describe.clone(), seen));
        assert_eq!((operation.harm, operation.wants_body), (Harm::Irreversible, true), "{seen}");
        assert_eq!(operation.magnitude, Magnitude::UNBOUNDED);
    }
}

#[test]
fn an_address_with_a_signature_is_aws_and_flagged() {
    let at = |body: &str| judge(&request("POST", "127.0.0.1:5000", "/", &[FORM, SIGNED], body));
    let describe = at("Action=DescribeInstances");
    assert_eq!((describe.harm, describe.flags.is_empty()), (Harm::ReadOnly, true));
    let start = at("Action=StartInstances&InstanceId.1=i-1");
    assert_eq!((start.harm, start.flags.as_slice()), (Harm::LowHarm, &[Flag::HostMismatch][..]));
    let terminate = at("Action=TerminateInstances&InstanceId.1=i-1&InstanceId.2=i-2");
    assert_eq!((terminate.harm, terminate.magnitude), (Harm::Irreversible, Magnitude::Count(2)));
    assert_eq!(terminate.flags, [Flag::HostMismatch]);
    assert_eq!((terminate.provider.as_str(), terminate.service.as_str()), ("aws", "ec2"));
    let forged = request("DELETE", "127.0.0.1:5000", "/users/1?Action=DescribeInstances", &[SIGNED], "");
    assert_eq!(judge(&forged).harm, Harm::Irreversible);
    let forged = request("POST", "10.0.0.9", "/users/delete", &[FORM, SIGNED], "Action=DescribeInstances");
    assert_eq!(judge(&forged).harm, Harm::Irreversible);
}

#[test]
fn a_signature_lowers_nothing_at_a_foreign_host() {
    let forged = request("POST", "api.example.com", "/", &[FORM, SIGNED], "Action=DescribeInstances");
    assert_eq!(judge(&forged).harm, Harm::Unknown);
    let fronted = with_sni(ec2("Action=DescribeInstances"), "api.example.com");
    let fronted = judge(&fronted);
    assert_eq!((fronted.harm, fronted.flags.as_slice()), (Harm::Unknown, &[Flag::HostMismatch][..]));
}

#[test]
fn a_body_is_waited_for_only_where_it_decides() {
    let routes = Routes::default();
    let needs =
        |request: &agent_guard_core::request::HttpRequest| needs_body(&request.head, &request.peer, &routes);
    assert!(needs(&ec2("Action=DescribeInstances")));
    assert!(!needs(&request("GET", "ec2.amazonaws.com", "/?Action=DescribeInstances", &[], "")));
    assert!(!needs(&request("PUT", "b.s3.us-east-1.amazonaws.com", "/key", &[], "data")));
    assert!(needs(&request("PUT", "b.s3.us-east-1.amazonaws.com", "/?policy", &[], "data")));
    assert!(needs(&request("POST", "b.s3.us-east-1.amazonaws.com", "/?delete", &[], "data")));
    assert!(!needs(&request(
        "POST",
        "api.anthropic.com",
        "/v1/messages",
        &[("content-type", "application/json")],
        "{}"
    )));
    assert!(needs(&request(
        "POST",
        "api.anthropic.com",
        "/v1/files",
        &[("content-type", "application/json")],
        "{}"
    )));
    assert!(!needs(&request(
        "POST",
        "api.example.com",
        "/x",
        &[("content-type", "application/octet-stream")],
        "x"
    )));
}
