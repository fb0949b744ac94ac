//! The claims of ARCHITECTURE.md that a program can see in the code. Part of `cargo xtask tidy`.

use std::path::Path;

/// A claim that holds as long as a folder's code does not say certain words.
struct Claim {
    folder: &'static str,
    words: &'static [&'static str],
    /// The files and folders that may say them all the same.
    except: &'static [&'static str],
    claim: &'static str,
}

const CLAIMS: &[Claim] = &[
    Claim {
        folder: "crates/sync/src",
        words: &[".begin()", ".writer()", "Tx"],
        except: &[],
        claim: "the read side changes nothing that is stored",
    },
    Claim {
        folder: "crates",
        words: &["Viewpoint"],
        except: &["crates/events", "crates/sync/src/reader/timeline.rs"],
        claim: "one function says what a user may see; ask it by `Sight`",
    },
    Claim {
        folder: "crates",
        words: &["StatesAt", "Sight::new"],
        except: &["crates/events", "crates/engine/src/sights.rs"],
        claim: "one function says what a user may see; what it must know of states is looked up in one place",
    },
    Claim {
        folder: "crates",
        words: &[".queue("],
        except: &["crates/engine/src/append.rs", "crates/storage"],
        claim: "the engine is the one way in for events",
    },
    Claim {
        folder: "crates/client-api/src",
        words: &["Db", ".db()"],
        except: &[],
        claim: "a handler calls use cases and knows no table",
    },
    Claim {
        folder: "crates/admin-api/src",
        words: &["Db", ".db()"],
        except: &[],
        claim: "a handler calls use cases and knows no table",
    },
];

/// The parts of the storage crate that write past a `Tx`, of which ARCHITECTURE.md says why they may.
const PAST_TX: &[&str] = &[
    "crates/storage/src/accounts/uia_sessions.rs",
    "crates/storage/src/accounts/user_ips.rs",
    "crates/storage/src/e2ee/to_device.rs",
    "crates/storage/src/ephemeral/store.rs",
    "crates/storage/src/leases.rs",
    "crates/storage/src/migrate",
    "crates/storage/src/state/keys.rs",
    "crates/storage/src/unfinished_work.rs",
    "crates/storage/src/upkeep",
];

/// Verbs that begin a part of a statement that writes.
const WRITING: &[&str] = &["INSERT INTO", "UPDATE", "DELETE FROM"];

/// Add a line for each place in a file that breaks a claim.
pub(crate) fn check(file: &Path, text: &str, errors: &mut Vec<String>) {
    let is_test = file.components().any(|part| part.as_os_str() == "tests");
    if is_test || file.ends_with("tests.rs") {
        return;
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    for claim in CLAIMS.iter().filter(|claim| file.starts_with(claim.folder)) {
        if claim.except.iter().any(|except| file.starts_with(except)) {
            continue;
        }
        for (place, line) in (1..).zip(code.lines()) {
            let line = line.split("//").next().unwrap_or_default();
            for word in claim.words.iter().filter(|word| says(line, word)) {
                errors.push(format!("{}:{place}: `{word}`: {}", file.display(), claim.claim));
            }
        }
    }
    if file.starts_with("crates/storage/src") && !PAST_TX.iter().any(|part| file.starts_with(part))
    {
        check_writes(file, code, errors);
    }
}

/// Whether a line says a word, as a word of its own where it begins or ends with a letter.
fn says(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
        !(word.starts_with(is_letter) && before.is_some_and(is_letter)
            || word.ends_with(is_letter) && after.is_some_and(is_letter))
    })
}

/// A statement that writes must run on the connection of a `Tx`.
fn check_writes(file: &Path, code: &str, errors: &mut Vec<String>) {
    let mut writes_since = None;
    for (place, line) in (1..).zip(code.lines()) {
        let words = line.trim_start().trim_start_matches(['"', 'r', '#', ' ']);
        if !words.starts_with("//") && WRITING.iter().any(|verb| says(words, verb)) {
            writes_since.get_or_insert(place);
        }
        let runs = [".execute(", ".fetch_one(", ".fetch_optional(", ".fetch_all("];
        if runs.iter().any(|run| line.contains(run))
            && let Some(place) = writes_since.take()
            && !line.contains(".inner)")
        {
            errors.push(format!(
                "{}:{place}: writes past a `Tx`; if that does no harm, name the file in xtask/src/claims.rs and say why in ARCHITECTURE.md",
                file.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> usize {
        let mut errors = vec![];
        check(Path::new(path), text, &mut errors);
        errors.len()
    }

    #[test]
    fn what_breaks_a_claim_is_told() {
        let write =
            "sqlx::query!(\n    \"DELETE FROM pushers WHERE user_id = $1\",\n    user_id\n)\n";
        for (path, text, expected) in [
            ("crates/sync/src/a.rs", "let mut tx = db.begin().await?;".to_owned(), 1),
            ("crates/sync/src/a.rs", "// No Tx here.\nlet context = Txn;".to_owned(), 0),
            ("crates/rooms/src/a.rs", "let mut tx = db.begin().await?;".to_owned(), 0),
            ("crates/rooms/src/a.rs", "may_see(&Viewpoint::at(visibility))".to_owned(), 1),
            ("crates/client-api/src/a.rs", "accounts.db().users()".to_owned(), 1),
            (
                "crates/client-api/src/a.rs",
                "#[cfg(test)]\nmod tests {\n    Db::open()\n}".to_owned(),
                0,
            ),
            ("crates/storage/src/a.rs", format!("{write}.execute(&mut *self.tx.inner)"), 0),
            ("crates/storage/src/a.rs", format!("{write}.execute(self.db.pool())"), 1),
            ("crates/storage/src/leases.rs", format!("{write}.execute(&self.pool)"), 0),
            (
                "crates/storage/src/a.rs",
                "/// An UPDATE of a row.\n.fetch_one(self.db.pool())".to_owned(),
                0,
            ),
        ] {
            assert_eq!(check_text(path, &text), expected, "{path}: {text}");
        }
    }
}
