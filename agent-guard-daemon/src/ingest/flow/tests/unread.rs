//! Streams that lost their place, in each of the ways there are.

use super::*;

#[test]
fn what_follows_an_undecidable_point_is_asked_for_each_time() {
    let mut c = Connection::new();
    c.write(b"not http\n");
    let (first, bytes) = c.undecidable();
    assert_eq!(bytes, b"not http\n");
    c.write(DELETE);
    c.nothing_due();
    c.flow.allow(first);
    c.opens(1, false);
    let (second, bytes) = c.undecidable();
    assert_eq!(bytes, DELETE);
    c.stays();
    c.write(GET);
    c.flow.allow(second);
    c.opens(2, false);
    assert_eq!(c.undecidable().1, GET);
    c.stays();
}

#[test]
fn an_allowed_request_in_front_of_an_undecidable_point_opens() {
    let mut c = Connection::new();
    c.write(GET);
    c.write(b"\x00\x01");
    c.allow_next();
    c.opens(1, false);
    assert_eq!(c.undecidable().1, b"\x00\x01");
    c.stays();
}

#[test]
fn a_malformed_head_is_shown_from_its_first_byte() {
    let mut c = Connection::new();
    c.write(&[GET, b"DELE"].concat());
    c.allow_next();
    c.write(b"TE /x HTTP/9.9\r\n\r\n");
    assert_eq!(c.undecidable().1, b"DELETE /x HTTP/9.9\r\n\r\n");
    c.stays();
}

#[test]
fn a_lost_number_in_a_body_that_was_allowed_closes_the_rest() {
    let mut c = Connection::new();
    c.write(&post(100));
    c.allow_next();
    c.opens(1, false);
    let number = c.next();
    c.flow.gated(number, Gated::Lost, false);
    c.stays();
    c.write(b"abc");
    c.stays();
    let (index, bytes) = c.undecidable();
    assert_eq!(bytes, b"abc");
    c.flow.allow(index);
    c.opens(3, false);
    c.write(b"def");
    c.stays();
}

#[test]
fn a_broken_chunk_in_a_body_that_was_allowed_closes_the_rest() {
    let mut c = Connection::new();
    c.write(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    c.allow_next();
    c.opens(1, false);
    c.write(b"zz\r\n");
    c.stays();
    assert_eq!(c.undecidable().1, b"zz\r\n");
    c.stays();
    c.write(DELETE);
    c.stays();
}

#[test]
fn an_answer_for_a_head_does_not_cover_what_broke_behind_it() {
    let mut c = Connection::new();
    c.write(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let index = c.due(Stage::Head);
    c.write(b"zz\r\n");
    c.write(DELETE);
    c.flow.allow(index);
    c.opens(1, false);
    c.undecidable();
    c.stays();
}

#[test]
fn a_deferred_request_that_breaks_is_undecidable_from_its_start() {
    let mut c = Connection::new();
    let head = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    c.write(head);
    let index = c.due(Stage::Head);
    c.flow.defer(index);
    c.write(b"zz\r\n");
    c.flow.allow(index); // nobody has seen it as it is now
    c.stays();
    let (index, bytes) = c.undecidable();
    assert!(bytes.starts_with(head));
    c.flow.allow(index);
    c.opens(2, false);
}

#[test]
fn a_request_that_breaks_while_its_head_is_judged_can_only_be_unreadable_after_that() {
    let mut c = Connection::new();
    c.write(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let index = c.due(Stage::Head);
    c.write(b"zz\r\n");
    c.flow.defer(index);
    let (again, _) = c.undecidable();
    assert_eq!(again, index);
    c.flow.allow(again);
    c.opens(1, false);
    c.undecidable();
    c.stays();
}

#[test]
fn a_write_that_was_not_captured_whole_is_read_only_inside_a_body() {
    let mut c = Connection::new();
    c.write(&post(100));
    c.allow_next();
    let number = c.next();
    c.flow.gated(number, Gated::Writes(vec![captured(b"a", 100)]), false);
    c.opens(2, true);
    c.write(&post(100));
    c.allow_next();
    let number = c.next();
    c.flow.gated(number, Gated::Writes(vec![captured(b"a", 101)]), false);
    c.opens(3, false);
    c.undecidable();
    c.stays();
    let mut c = Connection::new();
    c.flow.gated(1, Gated::Writes(vec![captured(GET, GET.len() + 1)]), false);
    c.allow_next();
    c.undecidable();
    c.stays();
}

#[test]
fn more_captured_than_there_is_does_not_count() {
    let mut c = Connection::new();
    c.flow.gated(1, Gated::Writes(vec![captured(&[GET, DELETE].concat(), GET.len())]), false);
    c.allow_next();
    c.opens(1, true);
}

#[test]
fn writes_of_which_none_is_known_are_lost() {
    let mut c = Connection::new();
    c.flow.gated(1, Gated::Writes(Vec::new()), false);
    c.stays();
    c.undecidable();
    c.stays();
}

#[test]
fn a_write_of_no_bytes_opens_with_what_is_in_front() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.write(b"");
    let index = c.due(Stage::Whole);
    c.stays();
    c.flow.allow(index);
    c.opens(2, true);
}

#[test]
fn behind_a_connect_or_upgrade_nothing_is_read() {
    for head in
        [&b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"[..], b"GET /w HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"]
    {
        let mut c = Connection::new();
        c.write(head);
        c.allow_next();
        c.opens(1, false);
        c.write(DELETE);
        c.stays();
        c.allow_next();
        c.opens(2, false);
        c.write(DELETE);
        c.stays();
    }
}

#[test]
fn a_late_flow_is_undecidable_from_the_start() {
    let mut c = Connection::desynchronised();
    c.nothing_due();
    c.stays();
    c.write(GET);
    c.stays();
    let (index, bytes) = c.undecidable();
    assert_eq!(bytes, GET);
    c.flow.allow(index);
    c.opens(1, false);
    c.write(GET);
    c.stays();
    let hello = c.hello();
    c.flow.hello_passed(hello);
    c.stays();
}

#[test]
fn missing_numbers_are_one_undecidable_stretch() {
    let mut c = Connection::new();
    c.flow.gated(3, one(GET), false);
    c.flow.lost_up_to(5);
    assert_eq!(c.flow.highest(), 5);
    c.stays();
    c.allow_next();
    c.opens(5, false);
    c.flow.lost_up_to(u64::MAX);
    c.stays();
    c.undecidable();
}

#[test]
fn a_hello_told_after_its_number_was_given_up_waits_for_the_barrier() {
    let mut c = Connection::new();
    c.flow.lost_up_to(5);
    c.flow.gated(3, Gated::Hello, false);
    c.flow.gated(3, Gated::Hello, false);
    c.stays();
    c.allow_next();
    c.opens(2, false);
    c.stays();
    c.flow.hello_passed(3);
    c.opens(5, false);
    c.flow.gated(3, Gated::Hello, false);
    c.number = 5;
    c.write(GET);
    c.allow_next();
    c.opens(6, false);
}

#[test]
fn a_hello_passed_out_of_a_lost_stretch_opens_nothing_of_it() {
    let mut c = Connection::new();
    c.flow.lost_up_to(5);
    c.flow.gated(3, Gated::Hello, false);
    c.flow.hello_passed(3);
    c.stays();
}

#[test]
fn a_handshake_in_the_middle_of_a_request_loses_the_place() {
    let mut c = Connection::new();
    c.write(&post(100));
    c.allow_next();
    c.opens(1, false);
    let hello = c.hello();
    c.flow.hello_passed(hello);
    c.opens(2, false);
    c.write(b"abc");
    c.stays();
    assert_eq!(c.undecidable().1, b"abc");
}

#[test]
fn an_unclear_repetition_is_undecidable_and_stays_so() {
    let mut c = Connection::new();
    c.write(GET);
    c.allow_next();
    c.opens(1, true);
    c.again(&[&GET[4..], DELETE].concat());
    let (index, _) = c.undecidable();
    c.flow.allow(index);
    c.opens(2, false);
    c.write(GET);
    c.undecidable();
    c.stays();
}

#[test]
fn the_same_write_twice_under_one_number_is_unclear() {
    let mut c = Connection::new();
    let head = post(400);
    c.flow.gated(1, Gated::Writes(vec![captured(&head, head.len()), captured(&head, head.len())]), false);
    c.undecidable();
    c.stays();
}

#[test]
fn an_upload_that_repeats_hides_no_request() {
    let block = [b'0'; 64];
    let mut c = Connection::new();
    c.write(&post(128));
    c.allow_next();
    c.write(&block);
    c.again(&block); // new, but it looks like a repetition
    c.opens(3, false);
    let mut request = DELETE.to_vec();
    request.resize(64, b' ');
    c.write(&request);
    c.stays();
    c.undecidable();
    c.stays();
}

#[test]
fn an_upload_that_repeats_goes_on() {
    let block = [b'0'; 64];
    let mut c = Connection::new();
    c.write(&post(128));
    c.allow_next();
    c.write(&block);
    c.again(&block);
    c.write(&[b'1'; 64]);
    c.opens(4, true);
    c.again(&[b'1'; 64]);
    c.opens(5, true);
}

#[test]
fn the_end_of_a_body_is_not_a_request_that_was_seen_before() {
    for repeat_all in [false, true] {
        let mut c = Connection::new();
        if repeat_all {
            c.write(&post(DELETE.len()));
            c.write(DELETE);
        } else {
            c.write(&[&post(DELETE.len())[..], DELETE].concat());
        }
        c.allow_next();
        assert!(c.flow.opening().is_some_and(|opening| opening.in_step));
        c.again(DELETE);
        c.stays();
        assert_eq!(c.undecidable().1, DELETE);
    }
}

#[test]
fn more_requests_than_are_kept_are_undecidable() {
    let mut c = Connection::new();
    c.write(&GET.repeat(MAX_REQUESTS + 2));
    for _ in 0..MAX_REQUESTS {
        c.allow_next();
    }
    c.stays();
    let (index, bytes) = c.undecidable();
    assert_eq!(bytes, GET.repeat(2));
    c.flow.allow(index);
    c.opens(1, false);
}

#[test]
fn numbers_that_are_never_told_do_not_pile_up() {
    let mut c = Connection::new();
    for number in 2..1000 {
        c.flow.gated(number, one(&[b'x'; 100]), false);
        assert!(c.flow.early.len() <= MAX_EARLY);
    }
    assert_eq!(c.flow.highest(), 999);
    c.stays();
    let mut c = Connection::new();
    for number in 2..20 {
        c.flow.gated(number, one(&vec![b'x'; 1024 * 1024]), false);
        assert!(c.flow.early.values().map(Early::bytes).sum::<usize>() <= MAX_EARLY_BYTES);
    }
    c.stays();
}

#[test]
fn held_writes_and_their_repetitions_do_not_pile_up() {
    let mut c = Connection::new();
    c.write(&post(1_000_000));
    let index = c.due(Stage::Head);
    for at in 0..3000_u16 {
        c.write(&at.to_be_bytes());
        assert!(c.flow.marks.len() <= marks::MAX_MARKS);
    }
    c.stays();
    c.flow.allow(index);
    c.opens(3001, false);
    let mut c = Connection::new();
    c.write(DELETE);
    for _ in 0..3000 {
        c.again(DELETE);
    }
    assert_eq!(c.flow.marks.len(), 1);
    c.stays();
}

#[test]
fn more_hellos_than_are_kept_shut_the_gate_for_good() {
    let mut c = Connection::new();
    for _ in 0..3000 {
        c.hello();
        assert!(c.flow.marks.len() <= marks::MAX_MARKS);
    }
    for number in 1..=3000 {
        c.flow.hello_passed(number);
    }
    c.stays();
    c.write(b"");
    c.stays();
}

#[test]
fn bodies_that_nobody_judges_do_not_pile_up() {
    let mut c = Connection::new();
    let request = [&post(BODY_KEPT)[..], &vec![b'a'; BODY_KEPT]].concat();
    for _ in 0..8 {
        c.write(&request);
    }
    assert!(c.flow.requests.iter().map(Request::kept).sum::<usize>() <= MAX_KEPT);
    for _ in 0..4 {
        c.due(Stage::Whole);
    }
    assert_eq!(c.body(Stage::Cut), Body::Prefix(Vec::new()));
}

#[test]
fn an_unreadable_stream_does_not_pile_up() {
    let mut c = Connection::desynchronised();
    for _ in 0..3000 {
        c.write(&[b'x'; 100]);
        while let Some(due) = c.flow.due() {
            assert!(matches!(due.subject, Subject::Undecidable { bytes, .. } if bytes.len() <= SHOWN_BYTES));
        }
        assert!(c.flow.requests.len() <= 2);
    }
    c.stays();
}

#[test]
fn an_answer_for_a_head_covers_the_body_that_was_read() {
    let mut c = Connection::new();
    c.write(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let index = c.due(Stage::Head);
    c.write(b"3\r\nabc");
    c.write(b"zz");
    c.flow.allow(index);
    c.opens(2, false);
}

#[test]
fn behind_a_write_that_was_not_seen_nothing_is_a_repetition() {
    let mut c = Connection::new();
    c.write(DELETE);
    c.allow_next();
    c.opens(1, true);
    let number = c.next();
    c.flow.gated(number, Gated::Lost, false);
    let (index, bytes) = c.undecidable();
    assert_eq!(bytes, b"");
    c.flow.allow(index);
    c.opens(2, false);
    c.again(DELETE);
    c.stays();
    c.undecidable();
}

#[test]
fn an_upload_that_repeats_hides_no_request_that_was_not_seen() {
    let block = [b'0'; 64];
    let mut c = Connection::new();
    c.write(&post(256));
    c.allow_next();
    c.write(&block);
    c.again(&block);
    let number = c.next();
    c.flow.gated(number, Gated::Writes(vec![captured(b"1", 128)]), false);
    c.opens(4, false); // still inside, whatever was new
    let number = c.next();
    c.flow.gated(number, Gated::Writes(vec![captured(b"1", 64)]), false);
    c.stays();
    c.undecidable();
}

#[test]
fn an_upload_that_repeats_hides_no_request_in_pieces() {
    let block = [b'0'; 64];
    let mut c = Connection::new();
    c.write(&post(128));
    c.allow_next();
    c.write(&block);
    c.again(&block);
    c.write(b"DELETE /x HTT");
    c.opens(4, false); // no request without what follows
    c.write(b"P/1.1\r\nHost: h\r\n\r\n");
    c.stays();
    c.undecidable();
}

#[test]
fn of_a_write_that_was_not_seen_nothing_else_is_shown() {
    let mut c = Connection::desynchronised();
    c.write(b"abc");
    let (index, bytes) = c.undecidable();
    assert_eq!(bytes, b"abc");
    let number = c.next();
    c.flow.gated(number, Gated::Lost, false);
    c.flow.allow(index);
    c.opens(1, false);
    assert_eq!(c.undecidable().1, b"");
}

#[test]
fn a_replaced_flow_holds_what_was_held_and_takes_no_old_answer() {
    let mut c = Connection::new();
    c.write(GET);
    c.allow_next();
    c.opens(1, true);
    c.write(DELETE);
    let held = c.due(Stage::Whole);
    let hello = c.hello();
    c.write(GET);
    c.flow = c.flow.replaced("defect");
    assert_eq!(c.flow.highest(), 4);
    let (index, _) = c.undecidable();
    assert!(index > held);
    c.flow.allow(held);
    c.stays();
    c.flow.allow(index);
    c.opens(2, false);
    c.flow.hello_passed(hello);
    c.opens(4, false);
    c.write(GET);
    c.stays();
}

#[test]
fn whole_requests_twice_under_one_number_are_two() {
    let mut c = Connection::new();
    let twice = vec![captured(DELETE, DELETE.len()), captured(DELETE, DELETE.len())];
    c.flow.gated(1, Gated::Writes(twice), false);
    c.allow_next();
    c.stays();
    c.allow_next();
    c.opens(1, true);
}

#[test]
fn only_the_first_request_with_a_write_that_ends_there_stands_alone() {
    let mut c = Connection::new();
    c.write(GET);
    c.write(DELETE);
    c.write(&[DELETE, GET].concat());
    let [first, second, third] = [(); 3].map(|()| c.due(Stage::Whole));
    assert!(c.flow.stands_alone(first) && !c.flow.stands_alone(second));
    c.flow.allow(first);
    assert!(c.flow.stands_alone(second) && !c.flow.stands_alone(third));
    c.flow.allow(second);
    assert!(!c.flow.stands_alone(third), "its write ends behind another request");
}

#[test]
fn a_request_behind_a_closed_hello_does_not_stand_alone() {
    let mut c = Connection::new();
    let hello = c.hello();
    c.write(DELETE);
    let index = c.due(Stage::Whole);
    assert!(!c.flow.stands_alone(index));
    c.flow.hello_passed(hello);
    assert!(c.flow.stands_alone(index));
}
