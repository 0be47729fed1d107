//! Requests that can be read: when they open, and when not.

use super::*;

#[test]
fn a_request_leaves_when_it_is_allowed_and_not_before() {
    let mut c = Connection::new();
    c.write(DELETE);
    let index = c.due(Stage::Whole);
    assert_eq!(c.flow.number_of(index), Some(1));
    c.stays();
    c.nothing_due();
    c.flow.allow(index);
    c.opens(1, true);
    c.stays();
}

#[test]
fn what_was_never_offered_cannot_be_allowed() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.flow.allow(0);
    c.stays();
    c.allow_next();
    c.opens(1, true);
}

#[test]
fn a_pipelined_request_waits_for_the_one_in_front() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.write(GET);
    let (first, second) = (c.due(Stage::Whole), c.due(Stage::Whole));
    assert_eq!((c.flow.number_of(first), c.flow.number_of(second)), (Some(1), Some(2)));
    c.flow.allow(second);
    c.stays();
    c.flow.allow(first);
    c.opens(2, true);
}

#[test]
fn a_write_with_a_held_request_behind_an_allowed_one_stays() {
    let mut c = Connection::new();
    c.write(&[GET, DELETE].concat());
    c.allow_next();
    let held = c.due(Stage::Whole);
    c.stays();
    c.flow.allow(held);
    c.opens(1, true);
}

#[test]
fn an_incomplete_head_stays_behind_allowed_requests() {
    let mut c = Connection::new();
    c.write(&[GET, &DELETE[..5]].concat());
    c.allow_next();
    c.stays();
    c.write(&DELETE[5..]);
    c.allow_next();
    c.opens(2, true);
}

#[test]
fn an_empty_line_waits_for_the_request_behind_it() {
    let mut c = Connection::new();
    c.write(GET);
    c.allow_next();
    c.opens(1, true);
    for piece in [&b"\r"[..], b"\n"] {
        c.write(piece);
        c.nothing_due();
        c.stays();
    }
    c.write(GET);
    c.allow_next();
    c.opens(4, true);
}

#[test]
fn body_writes_of_a_request_allowed_by_its_head_open_at_once() {
    let mut c = Connection::new();
    c.write(&post(6));
    let index = c.due(Stage::Head);
    c.flow.allow(index);
    c.opens(1, false);
    c.write(b"abc");
    c.opens(2, false);
    c.nothing_due();
    c.write(b"def");
    c.opens(3, true);
    c.write(&[&post(1)[..], b"x", DELETE].concat());
    c.allow_next();
    c.stays();
}

#[test]
fn the_next_request_in_the_last_body_write_holds_it() {
    let mut c = Connection::new();
    c.write(&post(3));
    c.allow_next();
    c.opens(1, false);
    c.write(&[b"abc", DELETE].concat());
    c.stays();
    c.allow_next();
    c.opens(2, true);
}

#[test]
fn a_long_body_of_an_allowed_request_is_counted_and_not_kept() {
    let mut c = Connection::new();
    let block = vec![b'a'; 64 * 1024];
    let blocks = 40; // 2.5 MiB
    c.write(&post(blocks * block.len()));
    c.allow_next();
    c.opens(1, false);
    for at in 1..=blocks {
        let number = c.write(&block);
        c.opens(number, at == blocks);
        assert_eq!(c.flow.requests.iter().map(Request::kept).sum::<usize>(), 0);
    }
}

#[test]
fn a_long_body_is_judged_when_no_more_is_kept_and_not_before() {
    let mut c = Connection::new();
    let block = vec![b'a'; BODY_KEPT / 4];
    c.write(&post(BODY_KEPT + 1));
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    for _ in 0..4 {
        c.nothing_due();
        c.write(&block);
    }
    c.nothing_due();
    c.write(b"b");
    assert_eq!(c.body(Stage::Cut).bytes().len(), BODY_KEPT);
    c.stays();
    c.flow.allow(index);
    c.opens(6, true);
}

#[test]
fn a_prefix_has_no_hole() {
    let mut c = Connection::new();
    c.write(&post(9));
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    let number = c.next();
    c.flow.gated(number, Gated::Writes(vec![captured(b"abc", 6), captured(b"ghi", 3)]), false);
    assert_eq!(c.body(Stage::Cut), Body::Prefix(b"abc".to_vec()));
    c.flow.allow(index);
    c.opens(2, true);
}

#[test]
fn a_deferred_request_is_offered_again_when_it_is_complete() {
    let mut c = Connection::new();
    c.write(&[&post(6)[..], b"abc"].concat());
    assert_eq!(c.body(Stage::Head), Body::Prefix(b"abc".to_vec()));
    c.flow.defer(0);
    c.nothing_due();
    c.stays();
    c.write(b"def");
    assert_eq!(c.body(Stage::Whole), Body::Whole(b"abcdef".to_vec()));
    c.stays();
    c.flow.allow(0);
    c.opens(2, true);
}

#[test]
fn a_request_that_ends_while_its_head_is_judged_is_whole_after_that() {
    let mut c = Connection::new();
    c.write(&post(3));
    c.due(Stage::Head);
    c.write(b"abc");
    c.nothing_due();
    c.flow.defer(0);
    assert_eq!(c.body(Stage::Whole), Body::Whole(b"abc".to_vec()));
}

#[test]
fn what_is_whole_cannot_be_deferred() {
    let mut c = Connection::new();
    c.write(&[&expecting("POST", 3)[..], b"abc"].concat());
    c.due(Stage::Whole);
    c.flow.defer(0);
    c.nothing_due();
    c.stays();
    let mut c = Connection::new();
    c.write(&expecting("POST", 0));
    assert_eq!(c.body(Stage::Whole), Body::Whole(Vec::new()));
    c.flow.defer(0);
    c.stays();
}

#[test]
fn a_request_without_a_body_has_none() {
    let mut c = Connection::new();
    c.write(GET);
    assert_eq!(c.body(Stage::Whole), Body::None);
}

#[test]
fn a_stalled_request_is_judged_by_what_is_there() {
    let mut c = Connection::new();
    c.write(&[&post(100)[..], b"abc"].concat());
    c.flow.stalled();
    c.due(Stage::Head);
    c.flow.stalled();
    c.nothing_due();
    c.flow.defer(0);
    c.nothing_due();
    c.flow.stalled();
    assert_eq!(c.body(Stage::Cut), Body::Prefix(b"abc".to_vec()));
    c.stays();
}

#[test]
fn the_head_of_a_deferred_expectation_leaves_alone() {
    let mut c = Connection::new();
    c.write(&expecting("PUT", 3));
    c.stays();
    let index = c.due(Stage::Head);
    c.stays();
    c.flow.defer(index);
    c.opens(1, false);
    c.write(b"abc");
    c.stays();
    c.due(Stage::Whole);
    c.stays();
    c.flow.allow(index);
    c.opens(2, true);
}

#[test]
fn an_expecting_head_stays_with_its_body_or_a_method_that_needs_none() {
    let mut c = Connection::new();
    c.write(&[&expecting("PUT", 3)[..], b"a"].concat());
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.stays();
    let mut c = Connection::new();
    c.write(&expecting("DELETE", 3));
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.stays();
    let mut c = Connection::new();
    c.write(&post(3));
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.stays();
}

#[test]
fn an_expecting_head_leaves_only_behind_allowed_requests() {
    let mut c = Connection::new();
    c.write(DELETE);
    let held = c.due(Stage::Whole);
    c.write(&expecting("PUT", 3));
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.stays();
    c.flow.allow(held);
    c.opens(2, false);
}

#[test]
fn a_chunked_body_opens_by_its_head_or_as_a_whole() {
    let head = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut c = Connection::new();
    c.write(head);
    c.allow_next();
    c.opens(1, false);
    for (piece, in_step) in [(&b"3\r"[..], false), (b"\nab", false), (b"c\r\n0\r\n", false), (b"\r\n", true)]
    {
        let number = c.write(piece);
        c.opens(number, in_step);
    }
    c.write(head);
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.write(b"3\r\nabc\r\n");
    c.nothing_due();
    c.stays();
    c.write(b"0\r\n\r\n");
    assert_eq!(c.body(Stage::Whole), Body::Whole(b"abc".to_vec()));
    c.flow.allow(index);
    c.opens(8, true);
}

#[test]
fn a_hello_waits_for_the_barrier_and_holds_what_is_behind_it() {
    let mut c = Connection::new();
    let hello = c.hello();
    c.write(GET);
    c.allow_next();
    c.stays();
    c.flow.hello_passed(2); // that is a write
    c.stays();
    c.flow.hello_passed(hello);
    c.opens(2, true);
    let again = c.hello();
    c.stays();
    c.flow.hello_passed(again);
    c.opens(3, true);
}

#[test]
fn passing_a_number_that_is_a_write_opens_nothing() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.flow.hello_passed(1);
    c.stays();
}

#[test]
fn an_early_hello_may_be_passed_before_its_turn() {
    let mut c = Connection::new();
    c.flow.gated(2, Gated::Hello, false);
    c.flow.hello_passed(2);
    c.stays();
    c.flow.gated(1, Gated::Hello, false);
    c.stays();
    c.flow.hello_passed(1);
    c.opens(2, true);
}

#[test]
fn early_numbers_wait_for_the_missing_one() {
    let mut c = Connection::new();
    c.flow.gated(3, one(&DELETE[5..]), false);
    c.flow.gated(2, one(&DELETE[..5]), false);
    c.nothing_due();
    assert_eq!(c.flow.highest(), 3);
    c.stays();
    c.flow.gated(1, one(GET), false);
    c.allow_next();
    c.opens(1, false);
    c.allow_next();
    c.opens(3, true);
}

#[test]
fn a_number_told_while_another_is_early_does_not_bring_it_in_step() {
    let mut c = Connection::new();
    c.flow.gated(3, one(DELETE), false);
    c.flow.gated(1, one(GET), false);
    c.allow_next();
    c.opens(1, false);
}

#[test]
fn a_number_told_twice_counts_once() {
    let mut c = Connection::new();
    c.write(&post(30));
    c.allow_next();
    c.opens(1, false);
    c.flow.gated(1, one(DELETE), false);
    c.flow.gated(3, one(b"abc"), false);
    c.flow.gated(3, one(DELETE), false);
    c.flow.gated(2, one(&[b'a'; 27]), false);
    c.opens(3, true);
}

#[test]
fn an_adopted_flow_starts_at_its_number() {
    let mut flow = Flow::new(41, Peer::default());
    assert_eq!(flow.highest(), 40);
    assert_eq!(flow.opening(), None);
    flow.gated(40, one(DELETE), false);
    assert!(flow.due().is_none());
    flow.gated(41, one(GET), false);
    let index = flow.due().unwrap().index;
    assert_eq!(flow.number_of(index), Some(41));
    flow.allow(index);
    assert_eq!(flow.opening(), Some(Opening { released: 41, in_step: true }));
}

#[test]
fn several_writes_under_one_number_open_together() {
    let mut c = Connection::new();
    let number = c.next();
    let writes = vec![captured(GET, GET.len()), captured(DELETE, DELETE.len())];
    c.flow.gated(number, Gated::Writes(writes), false);
    c.allow_next();
    c.stays();
    c.allow_next();
    c.opens(1, true);
}

#[test]
fn a_repeated_write_opens_with_its_request() {
    let mut c = Connection::new();
    c.write(DELETE);
    let index = c.due(Stage::Whole);
    c.again(DELETE);
    c.nothing_due();
    c.stays();
    c.flow.allow(index);
    c.opens(2, true);
    c.again(&DELETE[4..]);
    // The end of the same request, but it could be a request line with a strange method.
    c.undecidable();
    c.stays();
}

#[test]
fn a_tail_of_a_held_body_opens_with_its_request() {
    let mut c = Connection::new();
    let write = [&post(40)[..], &[b'a'; 40]].concat();
    c.write(&write);
    let index = c.due(Stage::Whole);
    c.again(&write[write.len() - 30..]);
    c.nothing_due();
    c.stays();
    c.flow.allow(index);
    c.opens(2, true);
}

#[test]
fn a_repetition_with_more_behind_it_brings_the_rest() {
    let mut c = Connection::new();
    c.write(GET);
    c.allow_next();
    c.opens(1, true);
    c.again(&[GET, DELETE].concat());
    c.stays();
    c.allow_next();
    c.opens(2, true);
}

#[test]
fn behind_the_fast_path_the_same_write_is_a_new_request() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.allow_next();
    c.opens(1, true);
    c.flow.passed_fast();
    c.again(DELETE);
    c.stays();
    c.allow_next();
    c.opens(2, true);
}

#[test]
fn nothing_is_in_step_in_front_of_a_hello() {
    let mut c = Connection::new();
    c.write(GET);
    let hello = c.hello();
    c.allow_next();
    c.opens(1, false);
    c.flow.hello_passed(hello);
    c.opens(2, true);
}

#[test]
fn behind_a_handshake_the_same_write_is_a_new_request() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.allow_next();
    c.opens(1, true);
    let hello = c.hello();
    c.flow.hello_passed(hello);
    c.opens(2, true);
    c.again(DELETE);
    c.stays();
    c.allow_next();
    c.opens(3, true);
}

#[test]
fn a_write_does_not_become_a_hello() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.flow.gated(1, Gated::Hello, false);
    c.flow.hello_passed(1);
    c.stays();
}

#[test]
fn a_head_that_a_server_may_act_on_stays() {
    let mut c = Connection::new();
    c.write(&expecting("POST", 3));
    let index = c.due(Stage::Head);
    c.flow.defer_closed(index);
    c.stays();
    c.write(b"abc");
    c.due(Stage::Whole);
    c.stays();
    c.flow.allow(index);
    c.opens(2, true);
}

#[test]
fn a_request_ends_at_a_boundary_if_nothing_is_behind_it() {
    let mut c = Connection::new();
    c.write(&post(3));
    let index = c.due(Stage::Head);
    assert!(!c.flow.ends_at_boundary(index));
    c.write(b"abc");
    assert!(c.flow.ends_at_boundary(index));
    c.write(DELETE);
    assert!(!c.flow.ends_at_boundary(index));
    let last = c.due(Stage::Whole);
    assert!(c.flow.ends_at_boundary(last));
    c.write(b"GET");
    assert!(!c.flow.ends_at_boundary(last));
    let mut c = Connection::new();
    c.write(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    let index = c.due(Stage::Whole);
    assert!(!c.flow.ends_at_boundary(index));
}
