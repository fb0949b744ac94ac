//! Reads the config files: several files and folders, their top-level keys laid over each other in order.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    error::{ConfigError, Problem, Warning, Weight},
    yaml::{self, Node, Value},
};

/// Largest config file that is read, in bytes.
const FILE_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The top-level keys of all files, each with the file it came from last.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub entries: Vec<Entry>,
    pub files: Vec<PathBuf>,
}

/// One top-level key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub node: Node,
    pub file: Rc<Path>,
}

/// The files that the given paths mean: a folder stands for its `*.yaml` files, sorted by name.
///
/// # Errors
///
/// A path that cannot be read.
pub fn list_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|error| wrong_file(path, error.to_string()))?;
        let mut inside: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|file| {
                file.is_file() && file.extension().is_some_and(|extension| extension == "yaml")
            })
            .collect();
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Reads the files and lays the top-level keys of later ones over those of earlier ones, whole.
pub(crate) fn read(
    paths: &[PathBuf],
    warnings: &mut Vec<Warning>,
) -> Result<Document, ConfigError> {
    let mut document = Document { files: list_files(paths)?, ..Document::default() };
    for file in document.files.clone() {
        let text = read_text(&file)?;
        let node = yaml::parse(&text).map_err(|error| Problem {
            file: Some(file.clone()),
            line: error.line,
            key: String::new(),
            text: format!("not valid YAML: {} (column {})", error.text, error.column),
        })?;
        match node.value {
            Value::Map(entries) => document.lay_over(entries, &file),
            _ => warnings.push(Warning {
                weight: Weight::Warn,
                problem: Problem {
                    file: Some(file),
                    line: node.line,
                    key: String::new(),
                    text: format!(
                        "holds {}, not keys and values; it is ignored",
                        node.value.kind()
                    ),
                },
            }),
        }
    }
    Ok(document)
}

impl Document {
    pub(crate) fn lay_over(&mut self, entries: Vec<(String, Node)>, file: &Path) {
        let file: Rc<Path> = file.into();
        for (key, node) in entries {
            let entry = Entry { key, node, file: file.clone() };
            match self.entries.iter_mut().find(|old| old.key == entry.key) {
                Some(old) => *old = entry,
                None => self.entries.push(entry),
            }
        }
    }
}

pub(crate) fn read_text(file: &Path) -> Result<String, ConfigError> {
    let wrong = |error: std::io::Error| wrong_file(file, format!("cannot be read: {error}"));
    if fs::metadata(file).map_err(wrong)?.len() > FILE_SIZE_BYTES_MAX {
        return Err(wrong_file(file, format!("is larger than {FILE_SIZE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(file).map_err(wrong)
}

fn wrong_file(file: &Path, text: String) -> ConfigError {
    Problem { file: Some(file.to_owned()), line: 0, key: String::new(), text }.into()
}
