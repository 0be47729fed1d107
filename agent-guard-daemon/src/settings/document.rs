//! A TOML table that is read key by key, collecting every mistake instead of stopping at the first.
//!
//! Serde stops at the first wrong key, and a person who corrects a policy file wants all of them at once.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, SourceFile, did_you_mean};

/// A table being read. Keys that nobody asked for are reported by [`Section::finish`].
pub(super) struct Section<'a> {
    pub(super) file: &'a SourceFile,
    /// As people write it: `[agents.claude]`.
    pub(super) title: String,
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// An entry of an array or table: its place and its value.
pub(super) type Entry<'a> = Located<&'a DeValue<'a>>;

impl<'a> Section<'a> {
    pub(super) fn new(
        file: &'a SourceFile,
        title: String,
        span: Range<usize>,
        table: &'a DeTable<'a>,
    ) -> Self {
        Section { file, title, span, table, asked: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.push(key);
        self.table.get(key).map(|value| Located { value: value.get_ref(), span: value.span() })
    }

    /// The sub-tables of `key`, by name: `[key.NAME]`.
    pub(super) fn named(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Vec<(Located<String>, Section<'a>)> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let DeValue::Table(table) = entry.value else {
            mistakes.push(self.wrong_type(&entry, key, &format!("tables [{key}.NAME]")));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let title = format!("[{key}.{}]", name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => sections.push((
                    Located { value: name.get_ref().to_string(), span: name.span() },
                    Section::new(self.file, title, name.span(), inner),
                )),
                _ => mistakes.push(self.file.mistake(
                    name.span(),
                    format!("\"{}\" in [{key}] is not a table", name.get_ref()),
                    format!("write {title} on a line of its own, then its keys"),
                )),
            }
        }
        sections
    }

    /// The table `[key]`, if it is there.
    pub(super) fn table(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        match entry.value {
            DeValue::Table(table) => Some(Section::new(self.file, format!("[{key}]"), entry.span, table)),
            _ => {
                mistakes.push(self.wrong_type(&entry, key, "a table"));
                None
            }
        }
    }

    /// The entries of the array `key`; a single value counts as an array of one where `or_single`.
    pub(super) fn array(
        &mut self,
        key: &'static str,
        or_single: bool,
        mistakes: &mut Vec<Mistake>,
    ) -> Vec<Entry<'a>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        match entry.value {
            DeValue::Array(array) => {
                array.iter().map(|item| Located { value: item.get_ref(), span: item.span() }).collect()
            }
            _ if or_single => vec![entry],
            _ => {
                mistakes.push(self.wrong_type(&entry, key, "an array"));
                Vec::new()
            }
        }
    }

    pub(super) fn string(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Located<&'a str>> {
        let entry = self.entry(key)?;
        match entry.value {
            DeValue::String(text) => Some(Located { value: text.as_ref(), span: entry.span }),
            _ => {
                mistakes.push(self.wrong_type(&entry, key, "a string in quotes"));
                None
            }
        }
    }

    /// A string that must be there.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Located<&'a str>> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            mistakes.push(self.file.mistake(
                self.span.clone(),
                format!("{} has no `{key}`", self.title),
                format!("add {key} = \"…\""),
            ));
            return None;
        }
        self.string(key, mistakes)
    }

    pub(super) fn boolean(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        let entry = self.entry(key)?;
        match entry.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                mistakes.push(self.wrong_type(&entry, key, "true or false"));
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u32>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u32> {
        let entry = self.entry(key)?;
        let number = integer(entry.value);
        if number.is_none_or(|number| !range.contains(&number)) {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            mistakes.push(self.wrong_type(&entry, key, &wanted));
            return None;
        }
        number
    }

    /// One of the words of `choices`.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let text = self.string(key, mistakes)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        mistakes.push(self.file.mistake(
            text.span,
            format!("`{key}` in {} cannot be \"{}\"", self.title, super::mistake::excerpt(text.value)),
            did_you_mean(text.value, &words),
        ));
        None
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Vec<Mistake>) {
        for (key, _) in self.table {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                mistakes.push(self.file.mistake(
                    key.span(),
                    format!("unknown key \"{}\" in {}", super::mistake::excerpt(key.get_ref()), self.title),
                    did_you_mean(key.get_ref(), &self.asked),
                ));
            }
        }
    }

    fn wrong_type(&self, entry: &Entry<'_>, key: &str, wanted: &str) -> Mistake {
        self.file.mistake(
            entry.span.clone(),
            format!("`{key}` in {} is {}", self.title, kind(entry.value)),
            format!("it must be {wanted}"),
        )
    }
}

/// The value as a number that fits 32 bits, if it is one.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u32> {
    match value {
        DeValue::Integer(number) => {
            u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        }
        _ => None,
    }
}

/// What a value is, for people.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", super::mistake::excerpt(text)),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
