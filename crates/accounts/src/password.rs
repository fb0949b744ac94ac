//! Hashing and checking passwords.
//!
//! New hashes are argon2id. Those of bcrypt, which Synapse writes, are checked, and replaced at the next login.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use ruma::UserId;
use unicode_normalization::UnicodeNormalization as _;

use crate::{Accounts, hashing::Workspace, settings::PasswordPolicy};
use myelin_storage::StorageError;

/// The length of a password, as Synapse has it.
pub const PASSWORD_LENGTH_CHARS_MAX: usize = 512;

/// The reason why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash function refused its input.
    #[error("could not hash a password: {0}")]
    Hash(String),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The demand of the policy that a new password does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// The password is empty.
    #[error("The password must not be empty")]
    Empty,
    /// Nobody could log in with it: requests of strangers have no NUL characters.
    #[error("The password must not contain NUL characters")]
    Nul,
    /// The password has fewer characters than this least number.
    #[error("The password must be at least {0} characters long")]
    TooShort(usize),
    #[error("The password must include at least one digit")]
    NoDigit,
    #[error("The password must include at least one symbol")]
    NoSymbol,
    #[error("The password must include at least one uppercase letter")]
    NoUppercase,
    #[error("The password must include at least one lowercase letter")]
    NoLowercase,
}

impl WeakPassword {
    /// The error code that the specification gives it.
    pub fn errcode(self) -> &'static str {
        match self {
            Self::Empty => "M_WEAK_PASSWORD",
            Self::Nul => "M_INVALID_PARAM",
            Self::TooShort(_) => "M_PASSWORD_TOO_SHORT",
            Self::NoDigit => "M_PASSWORD_NO_DIGIT",
            Self::NoSymbol => "M_PASSWORD_NO_SYMBOL",
            Self::NoUppercase => "M_PASSWORD_NO_UPPERCASE",
            Self::NoLowercase => "M_PASSWORD_NO_LOWERCASE",
        }
    }
}

/// Whether a new password is good enough. An empty one is not, whatever the policy says.
pub fn check_policy(policy: &PasswordPolicy, password: &str) -> Result<(), WeakPassword> {
    if password.is_empty() {
        return Err(WeakPassword::Empty);
    }
    if password.contains('\0') {
        return Err(WeakPassword::Nul);
    }
    if !policy.enabled {
        return Ok(());
    }
    let has = |wanted: fn(char) -> bool| password.chars().any(wanted);
    if password.chars().count() < policy.minimum_length {
        return Err(WeakPassword::TooShort(policy.minimum_length));
    }
    if policy.require_digit && !has(|c| c.is_ascii_digit()) {
        return Err(WeakPassword::NoDigit);
    }
    if policy.require_symbol && !has(|c| !c.is_ascii_alphanumeric()) {
        return Err(WeakPassword::NoSymbol);
    }
    if policy.require_uppercase && !has(char::is_uppercase) {
        return Err(WeakPassword::NoUppercase);
    }
    if policy.require_lowercase && !has(char::is_lowercase) {
        return Err(WeakPassword::NoLowercase);
    }
    Ok(())
}

/// The hash of a password, to be stored.
pub async fn hash(accounts: &Accounts, password: &str) -> Result<String, PasswordError> {
    let password = prepare(accounts, password);
    accounts.hashing().run(move |workspace| hash_now(workspace, &password)).await?
}

/// Hash a password at once, on this thread: for programs that serve nobody. The hash is one that [`verify`] takes.
pub fn hash_with_pepper(password: &str, pepper: &str) -> Result<String, PasswordError> {
    hash_now(&Workspace::default(), &normalize(password, pepper))
}

/// Hash a password with bcrypt, as Synapse does, at once: for programs that serve nobody. The cost grows by a factor of
/// two with each of the `rounds`.
pub fn bcrypt_with_pepper(
    password: &str,
    pepper: &str,
    rounds: u32,
) -> Result<String, PasswordError> {
    bcrypt::hash(normalize(password, pepper), rounds)
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// Whether the password is the user's: its hash, then. A hash that is not argon2id is replaced; it is the new one then.
pub async fn verify(
    accounts: &Accounts,
    user_id: &UserId,
    password: &str,
    stored: &str,
) -> Result<Option<String>, PasswordError> {
    let (prepared, checked) = (prepare(accounts, password), stored.to_owned());
    let is_old = !stored.starts_with("$argon2id$");
    let check = move |workspace: &Workspace| {
        if is_old {
            // A hash that does not parse fits no password.
            return bcrypt::verify(&prepared, &checked).unwrap_or(false);
        }
        PasswordHash::new(&checked)
            .is_ok_and(|hash| workspace.verify_password(&prepared, &hash).is_ok())
    };
    if !accounts.hashing().run(check).await? {
        return Ok(None);
    }
    if !is_old {
        return Ok(Some(stored.to_owned()));
    }
    let hash = hash(accounts, password).await?;
    let mut tx = accounts.db().begin().await?;
    // The password may have been changed, or the account have ended, while this one was checked.
    tx.users().replace_password_hash(user_id, stored, &hash).await?;
    tx.commit().await?;
    Ok(Some(hash))
}

/// Take as long as checking a password takes, so that nobody sees by the clock whether a user exists.
pub(crate) async fn pretend_to_verify(accounts: &Accounts) -> Result<(), PasswordError> {
    hash(accounts, "nobody").await.map(drop)
}

fn prepare(accounts: &Accounts, password: &str) -> Vec<u8> {
    normalize(password, accounts.settings().password_pepper.expose())
}

/// The bytes that are hashed: the password in NFKC with the pepper behind it, as Synapse has it, so that its hashes
/// hold here.
fn normalize(password: &str, pepper: &str) -> Vec<u8> {
    let mut text: String = password.nfkc().collect();
    text.push_str(pepper);
    text.into_bytes()
}

fn hash_now(workspace: &Workspace, password: &[u8]) -> Result<String, PasswordError> {
    workspace
        .hash_password(password)
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_what_is_missing() {
        let policy = PasswordPolicy {
            enabled: true,
            minimum_length: 8,
            require_digit: true,
            require_symbol: true,
            require_lowercase: true,
            require_uppercase: true,
        };
        let cases = [
            ("", Err(WeakPassword::Empty)),
            ("aB1!", Err(WeakPassword::TooShort(8))),
            ("abcdefgH!", Err(WeakPassword::NoDigit)),
            ("abcdefgH1", Err(WeakPassword::NoSymbol)),
            ("abcdefg1!", Err(WeakPassword::NoUppercase)),
            ("ABCDEFG1!", Err(WeakPassword::NoLowercase)),
            ("aBcdefg1!", Ok(())),
        ];
        for (password, expected) in cases {
            assert_eq!(check_policy(&policy, password), expected, "{password}");
        }
    }

    #[test]
    fn an_empty_password_is_none_even_without_a_policy() {
        assert_eq!(check_policy(&PasswordPolicy::default(), ""), Err(WeakPassword::Empty));
        assert_eq!(check_policy(&PasswordPolicy::default(), "a\0b"), Err(WeakPassword::Nul));
        assert_eq!(check_policy(&PasswordPolicy::default(), "x"), Ok(()));
    }

    #[test]
    fn one_password_in_two_forms_is_one() {
        // U+212B, the sign of the unit Angstrom, and the letter that it stands for.
        let hash = bcrypt_with_pepper("\u{212b}", "pepper", 4).unwrap();
        assert!(bcrypt::verify("\u{c5}pepper", &hash).unwrap());
        let hash = hash_with_pepper("\u{212b}", "pepper").unwrap();
        let hash = PasswordHash::new(&hash).unwrap();
        assert!(Workspace::default().verify_password("\u{c5}pepper".as_bytes(), &hash).is_ok());
    }

    #[test]
    fn the_hash_is_argon2id() {
        assert!(hash_with_pepper("secret", "").unwrap().starts_with("$argon2id$v=19$"));
    }
}
