//! A file of passwords in libpq's format: `host:port:database:user:password` a line.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;

/// The bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// The password of the first line that fits.
///
/// # Errors
///
/// The file cannot be read, or others may read it, which libpq does not take either.
pub fn find_password(file: &Path, options: &PgConnectOptions) -> anyhow::Result<Option<String>> {
    let what = || format!("database.args.passfile: {}", file.display());
    if std::fs::metadata(file).with_context(what)?.mode() & OTHERS != 0 {
        bail!("{}: others may read it; allowed: mode 0600", what());
    }
    let text = std::fs::read_to_string(file).with_context(what)?;
    let host = match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => options.get_host().to_owned(),
    };
    // As in libpq: without a name the database is called as the user is.
    let dbname = options.get_database().unwrap_or(options.get_username());
    let wanted = [&host, &options.get_port().to_string(), dbname, options.get_username()];
    Ok(text.lines().find_map(|line| password_of(line, wanted)))
}

fn password_of(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = split(line);
    let (password, names) = fields.split_last()?;
    let fits = names.len() == wanted.len()
        && names.iter().zip(wanted).all(|(name, wanted)| name == "*" || name == wanted);
    fits.then(|| password.clone())
}

/// The fields of a line. A backslash takes the next letter as it is; the fifth field holds all that follows.
fn split(line: &str) -> Vec<String> {
    const FIELDS: usize = 5;
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let is_last = fields.len() == FIELDS;
        let letter = match letter {
            ':' if !is_last => {
                fields.push(String::new());
                continue;
            }
            '\\' => letters.next().unwrap_or('\\'),
            letter => letter,
        };
        if let Some(field) = fields.last_mut() {
            field.push(letter);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_line_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let text =
            "# a comment\nother:*:*:*:no\n*:5432:matrix:myelin:it\\:s:a\\\\secret\n*:*:*:*:last\n";
        std::fs::write(&file, text).unwrap();
        let options = |user: &str| {
            PgConnectOptions::new_without_pgpass()
                .host("db")
                .port(5432)
                .database("matrix")
                .username(user)
        };
        let mode = |mode: u32| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        mode(0o644);
        assert!(find_password(&file, &options("myelin")).is_err(), "others may read it");
        mode(0o600);
        assert_eq!(find_password(&file, &options("myelin")).unwrap().unwrap(), "it:s:a\\secret");
        assert_eq!(find_password(&file, &options("eve")).unwrap().unwrap(), "last");
        assert!(find_password(Path::new("/nowhere"), &options("myelin")).is_err());
    }
}
