//! What judging costs. The bar: decode and classify an ordinary AWS query request in 2 us.
#![allow(missing_docs, reason = "a bench")]

use std::hint::black_box;

use agent_guard_core::{
    classify::{Routes, classify},
    digest::digest,
    request::{Body, HttpRequest, Peer},
};
use agent_guard_decode::message::{Framing, Header, RequestHead};
use criterion::{Criterion, criterion_group, criterion_main};

/// As the AWS CLI sends it.
fn terminate(ids: usize) -> HttpRequest {
    let named: String = (1..=ids).map(|n| format!("&InstanceId.{n}=i-{n:017x}")).collect();
    let body = format!("Action=TerminateInstances&Version=2016-11-15{named}").into_bytes();
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
    HttpRequest {
        head: RequestHead {
            method: "POST".into(),
            target: b"/".to_vec(),
            minor_version: 1,
            headers: vec![
                header("host", "ec2.us-east-1.amazonaws.com"),
                header("accept-encoding", "identity"),
                header("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                header(
                    "user-agent",
                    "aws-cli/2.31 md/awscrt#0.27 ua/2.1 os/linux md/arch#x86_64 lang/python#3.13",
                ),
                header("x-amz-date", "20260102T030405Z"),
                header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260102/us-east-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=db07741d4495232dd0a21d5bd8ed0b769c0098b05d4ea2675ab711faa93b3993",
                ),
                header("amz-sdk-invocation-id", "13f9c5cb-56e3-483c-8f22-0598d902a84a"),
                header("amz-sdk-request", "attempt=1"),
                header("content-length", "143"),
            ],
            framing: Framing::Length(body.len() as u64),
            expects_continue: false,
        },
        body: Body::Whole(body),
        peer: Peer { sni: Some("ec2.us-east-1.amazonaws.com".into()), address: None },
    }
}

fn bench(c: &mut Criterion) {
    let routes = Routes::default();
    for ids in [3, 847] {
        let request = terminate(ids);
        c.bench_function(&format!("classify/aws_query_{ids}_ids"), |b| {
            b.iter(|| classify(black_box(&request), black_box(&routes)));
        });
        c.bench_function(&format!("digest/aws_query_{ids}_ids"), |b| {
            b.iter(|| digest("agent", black_box(&request)));
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
