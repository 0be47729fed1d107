//! What each session did lately, so that a person who decides sees what led to the request.
//!
//! Bounded: [`LINES`] lines a session, [`SESSIONS`] sessions; the one unused for longest is forgotten first.

use std::collections::{BTreeMap, VecDeque};

use crate::hold::summary::clip;

/// History of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    histories: BTreeMap<u64, History>,
    /// Session by the turn in which it was last used.
    by_turn: BTreeMap<u64, u64>,
    turn: u64,
}

#[derive(Debug, Default)]
struct History {
    lines: VecDeque<Line>,
    turn: u64,
}

#[derive(Debug)]
struct Line {
    text: String,
    times: u64,
}

impl Sessions {
    /// Adds a line that is already escaped; a repetition of the last one is counted instead.
    pub(crate) fn record(&mut self, session: u64, text: String) {
        let text = clip(&text, LINE_BYTES);
        self.turn = self.turn.saturating_add(1);
        let history = self.histories.entry(session).or_default();
        self.by_turn.remove(&history.turn);
        history.turn = self.turn;
        self.by_turn.insert(self.turn, session);
        match history.lines.back_mut() {
            Some(last) if last.text == text => last.times = last.times.saturating_add(1),
            Some(_) | None => history.lines.push_back(Line { text, times: 1 }),
        }
        if history.lines.len() > LINES {
            history.lines.pop_front();
        }
        if self.histories.len() > SESSIONS
            && let Some((_, oldest)) = self.by_turn.pop_first()
        {
            self.histories.remove(&oldest);
        }
    }

    /// The last lines, newest last.
    pub(crate) fn before(&self, session: u64) -> Vec<String> {
        self.histories.get(&session).into_iter().flat_map(|history| &history.lines).map(Line::words).collect()
    }
}

impl Line {
    fn words(&self) -> String {
        if self.times == 1 { self.text.clone() } else { format!("{} ({} times)", self.text, self.times) }
    }
}

/// Lines kept of one session.
const LINES: usize = 10;
const LINE_BYTES: usize = 300;
/// Sessions remembered.
const SESSIONS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_lines_are_kept_and_repetitions_counted() {
        let mut sessions = Sessions::default();
        for line in 0..12 {
            sessions.record(1, format!("line {line}"));
        }
        sessions.record(1, "line 11".to_owned());
        sessions.record(2, "other".to_owned());
        let before = sessions.before(1);
        assert_eq!(before.len(), LINES);
        assert_eq!(before.first().map(String::as_str), Some("line 2"));
        assert_eq!(before.last().map(String::as_str), Some("line 11 (2 times)"));
        assert_eq!(sessions.before(2), ["other"]);
        assert!(sessions.before(3).is_empty());
    }

    #[test]
    fn the_session_unused_for_longest_is_forgotten() {
        let mut sessions = Sessions::default();
        let many = u64::try_from(SESSIONS).unwrap();
        for session in 0..many {
            sessions.record(session, "x".to_owned());
        }
        sessions.record(0, "y".to_owned());
        sessions.record(many, "x".to_owned());
        assert_eq!(sessions.before(0), ["x", "y"]);
        assert!(sessions.before(1).is_empty());
        assert_eq!(sessions.histories.len(), SESSIONS);
        assert_eq!(sessions.by_turn.len(), SESSIONS);
    }
}
