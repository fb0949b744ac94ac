//! Secrets: given in the config, or in a file of their own by `<key>_path`.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use myelin_model::Secret;
use rand::RngExt;

use crate::reader::Section;

/// Length of a secret that we make up, in characters of 62: about 297 bits.
const GENERATED_LENGTH: usize = 50;

/// The answer to a missing file that `<key>_path` names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The missing file is a fault of the config.
    Refuse,
    /// A new secret is made up and kept there, as Synapse does.
    Create,
}

/// A random text of letters and digits.
pub fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// Writes a file that only its owner and group may read, if it is not there yet.
///
/// # Errors
///
/// Those of the file system; [`std::io::ErrorKind::AlreadyExists`] if the file is there.
pub fn write_private_file(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl Section<'_> {
    /// The secret of `key` or of the file named by `<key>_path`.
    pub(crate) fn secret(&self, key: &str, missing: Missing) -> Option<Secret> {
        let path_key = format!("{key}_path");
        let inline = self.find(key);
        let file = self.path(&path_key);
        match (inline, file) {
            (Some(_), Some(_)) => {
                self.wrong_key(
                    &path_key,
                    format!("given together with {key}; allowed: one of the two"),
                );
                None
            }
            (Some(_), None) => self.inline_secret(key),
            (None, Some(file)) => self.file_secret(&path_key, &file, missing),
            (None, None) => None,
        }
    }

    /// A secret that has no `_path` form.
    pub(crate) fn inline_secret(&self, key: &str) -> Option<Secret> {
        let found = self.find(key)?;
        if !self.reader.sources.secrets_in_config {
            self.wrong_text(
                &found,
                format!(
                    "secrets in the config are refused (--no-secrets-in-config); use {key}_path"
                ),
            );
            return None;
        }
        match &found.node.value {
            crate::yaml::Value::String(text) => Some(Secret::new(text.clone())),
            crate::yaml::Value::Int(number) => Some(Secret::new(number.to_string())),
            other => {
                self.wrong_text(
                    &found,
                    format!("is {}; allowed: a text (put it in quotes)", other.kind()),
                );
                None
            }
        }
    }

    fn file_secret(&self, path_key: &str, file: &Path, missing: Missing) -> Option<Secret> {
        match std::fs::read_to_string(file) {
            Ok(text) if text.trim().is_empty() => {
                self.wrong_key(
                    path_key,
                    format!("{} is empty; allowed: a file that holds the secret", file.display()),
                );
                None
            }
            Ok(text) => Some(Secret::new(text.trim().to_owned())),
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && missing == Missing::Create =>
            {
                if !self.reader.sources.create_secrets {
                    return None;
                }
                let text = random_text(GENERATED_LENGTH);
                match write_private_file(file, &text) {
                    Ok(()) => Some(Secret::new(text)),
                    Err(error) => {
                        self.wrong_key(
                            path_key,
                            format!("{} cannot be created: {error}", file.display()),
                        );
                        None
                    }
                }
            }
            Err(error) => {
                self.wrong_key(path_key, format!("{} cannot be read: {error}", file.display()));
                None
            }
        }
    }
}
