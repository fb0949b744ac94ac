//! `password_config`: passwords and what they must be like.

use myelin_model::Secret;

use crate::reader::Section;

/// Passwords.
#[derive(Clone, Debug)]
pub struct Password {
    /// `password_config.enabled`: whether passwords log in. Default: yes.
    pub login: PasswordLogin,
    /// `password_config.localdb_enabled`: whether passwords are checked against our own accounts. Default: true.
    pub localdb_enabled: bool,
    /// `password_config.pepper`: a secret added to every password before hashing. Never change it once set.
    pub pepper: Option<Secret>,
    /// `password_config.policy`; none if it is not `enabled`.
    pub policy: Option<PasswordPolicy>,
    /// `bcrypt_rounds`: cost of bcrypt hashes (only `hash_password` makes them; accounts use argon2id). Default: 12.
    pub bcrypt_rounds: u32,
}

/// Whether passwords log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordLogin {
    /// `true`: passwords log in.
    Enabled,
    /// `only_for_reauth`: only to prove one's identity again.
    OnlyForReauth,
    /// `false`: passwords are of no use.
    Disabled,
}

/// The demands that a new password has to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// `minimum_length`, in characters. Default: 0.
    pub minimum_length: usize,
    /// `require_digit`. Default: false.
    pub require_digit: bool,
    /// `require_symbol`. Default: false.
    pub require_symbol: bool,
    /// `require_lowercase`. Default: false.
    pub require_lowercase: bool,
    /// `require_uppercase`. Default: false.
    pub require_uppercase: bool,
}

pub(crate) fn read(root: &Section<'_>) -> Password {
    const BCRYPT_ROUNDS_DEFAULT: u32 = 12;
    let section = root.section("password_config");
    let logins = [
        ("on", PasswordLogin::Enabled),
        ("off", PasswordLogin::Disabled),
        ("true", PasswordLogin::Enabled),
        ("false", PasswordLogin::Disabled),
        ("only_for_reauth", PasswordLogin::OnlyForReauth),
    ];
    let policy = section.section("policy");
    let is_enforced = policy.bool("enabled", false);
    let policy = PasswordPolicy {
        minimum_length: policy
            .int("minimum_length", 0..=512)
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0),
        require_digit: policy.bool("require_digit", false),
        require_symbol: policy.bool("require_symbol", false),
        require_lowercase: policy.bool("require_lowercase", false),
        require_uppercase: policy.bool("require_uppercase", false),
    };
    Password {
        login: section.choice("enabled", &logins, PasswordLogin::Enabled),
        localdb_enabled: section.bool("localdb_enabled", true),
        pepper: section.inline_secret("pepper").filter(|pepper| !pepper.expose().is_empty()),
        policy: is_enforced.then_some(policy),
        bcrypt_rounds: root
            .int("bcrypt_rounds", 4..=31)
            .and_then(|rounds| u32::try_from(rounds).ok())
            .unwrap_or(BCRYPT_ROUNDS_DEFAULT),
    }
}
