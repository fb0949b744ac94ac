//! Errors and warnings of a config, told so that an admin can put it right.

use std::{fmt, path::PathBuf};

/// One thing that is wrong. All of them are collected before the start is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The file it stands in; none if the key is missing altogether.
    pub file: Option<PathBuf>,
    /// The line, from 1; 0 if not known.
    pub line: usize,
    /// The key with its parents (`rc_login.address.per_second`); empty if the file itself is wrong.
    pub key: String,
    /// The fault: the value (never a secret's) and what is allowed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if self.line > 0 {
                write!(f, ":{}", self.line)?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// All faults of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError {
    /// The problems in the order they were found; at least one.
    pub problems: Vec<Problem>,
    /// The warnings that there would be all the same.
    pub warnings: Vec<Warning>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], warnings: Vec::new() }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The weight of a [`Warning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Something that the admin asked for does not happen.
    Warn,
    /// Nothing is lost: the key is simply not needed here.
    Note,
}

/// A fact that an admin should know although the server starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    pub weight: Weight,
    /// The place and the meaning of it, in the form of a [`Problem`].
    pub problem: Problem,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl Warning {
    /// The warning with a word for its weight, for people at a terminal.
    pub fn with_weight(&self) -> String {
        let word = if self.weight == Weight::Warn { "warning" } else { "note" };
        format!("{word}: {self}")
    }
}
