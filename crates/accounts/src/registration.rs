//! Registers users: which names they may have, and what comes with an account.

use myelin_model::Secret;
use myelin_storage::{
    StorageError, Tx, UnfinishedWork, WorkKind,
    accounts::{NewUser, Profile},
};
use ruma::{OwnedUserId, UserId};

use crate::{
    Accounts,
    session::{self, AuthenticateError, Credentials},
    uia::REGISTERED_USER,
};

/// The length of a user ID (appendices, "User identifiers").
const USER_ID_LENGTH_BYTES_MAX: usize = 255;

/// The number of names that registration without a name tries before it gives up.
const NUMBERS_TRIED_MAX: usize = 10;

/// The reason why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UsernameError {
    /// A character is not allowed.
    #[error("User ID can only contain characters a-z, 0-9, or '=_-./+'")]
    Characters,
    #[error("User ID cannot be empty")]
    Empty,
    /// It begins with an underscore.
    #[error("User ID may not begin with _")]
    Underscore,
    /// The user ID would be longer than a user ID may be.
    #[error("User ID may not be longer than {USER_ID_LENGTH_BYTES_MAX} characters")]
    TooLong,
    /// The name has digits only. The server gives such names to users who ask for none.
    #[error("Numeric user IDs are reserved for guest users.")]
    Numeric,
    /// An application service has it for itself.
    #[error("This user ID is reserved by an application service.")]
    Exclusive,
    /// Somebody has the name, or had it before the account was deactivated.
    #[error("User ID already taken.")]
    InUse,
    /// The session has registered another name already.
    #[error("A different user ID has already been registered for this session")]
    OtherRegistered,
    /// The session has registered somebody, in a request at the same time.
    #[error("A user has already been registered by this session")]
    SessionUsed,
    /// A guest's name can be taken over by that guest only.
    #[error("Cannot register taken user ID without valid guest credentials for that user.")]
    NotThatGuest,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The circumstances by which a name is judged.
#[derive(Default, Clone, Copy)]
pub struct UsernameRules<'a> {
    /// The token of the guest who wants to become a user.
    pub guest_token: Option<&'a str>,
    /// The user that this session has registered before. No other name is good then.
    pub registered: Option<&'a UserId>,
    /// A name that is taken counts as free.
    pub inhibit_in_use: bool,
}

/// Check whether a user may register under a name, and return the whole user ID.
pub async fn check_username(
    accounts: &Accounts,
    localpart: &str,
    rules: &UsernameRules<'_>,
) -> Result<OwnedUserId, UsernameError> {
    let user_id = check_spelling(accounts, localpart)?;
    if let Some(registered) = rules.registered {
        return if registered == user_id {
            Ok(user_id)
        } else {
            Err(UsernameError::OtherRegistered)
        };
    }
    if accounts.appservices().is_user_exclusive(&user_id, None) {
        return Err(UsernameError::Exclusive);
    }
    if is_taken(accounts, &user_id).await? {
        match rules.guest_token {
            Some(token) if is_guest(accounts, token, &user_id).await? => return Ok(user_id),
            Some(_) => return Err(UsernameError::NotThatGuest),
            None if !rules.inhibit_in_use => return Err(UsernameError::InUse),
            None => {}
        }
    }
    if rules.guest_token.is_none() && localpart.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UsernameError::Numeric);
    }
    Ok(user_id)
}

fn check_spelling(accounts: &Accounts, localpart: &str) -> Result<OwnedUserId, UsernameError> {
    let is_allowed = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'=' | b'_' | b'-' | b'.' | b'/' | b'+')
    };
    if !localpart.bytes().all(is_allowed) {
        return Err(UsernameError::Characters);
    }
    if localpart.is_empty() {
        return Err(UsernameError::Empty);
    }
    if localpart.starts_with('_') && !accounts.settings().allow_underscore_prefixed_registration {
        return Err(UsernameError::Underscore);
    }
    let user_id = format!("@{localpart}:{}", accounts.server_name());
    if user_id.len() > USER_ID_LENGTH_BYTES_MAX {
        return Err(UsernameError::TooLong);
    }
    OwnedUserId::try_from(user_id).map_err(|_| UsernameError::Characters)
}

async fn is_taken(accounts: &Accounts, user_id: &UserId) -> Result<bool, StorageError> {
    accounts.db().users().is_taken(user_id).await
}

async fn is_guest(
    accounts: &Accounts,
    token: &str,
    user_id: &UserId,
) -> Result<bool, StorageError> {
    let credentials = Credentials { token, ..Credentials::default() };
    match session::authenticate(accounts, &credentials).await {
        Ok(caller) => Ok(caller.actor.is_guest && caller.actor.user_id == user_id),
        Err(AuthenticateError::Storage(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// A user to be registered. The name has been checked.
#[derive(Default)]
pub struct NewAccount<'a> {
    /// The user's ID. `None` gives the user the next free number as its name.
    pub user_id: Option<OwnedUserId>,
    /// The hash of the password. `None`: no password logs in.
    pub password_hash: Option<Secret>,
    /// The display name. `None`: the localpart, but no name at all for guests and for users with a number.
    pub displayname: Option<&'a str>,
    pub is_guest: bool,
    /// The user may use the admin API.
    pub is_admin: bool,
    /// The kind of account, such as `bot` or `support`. `None` for people.
    pub user_type: Option<&'a str>,
    /// The application service that registers it.
    pub appservice_id: Option<&'a str>,
    /// The account exists, as a guest's.
    pub was_guest: bool,
    /// The session of user-interactive authentication that it comes out of: one session makes one account.
    pub session_id: Option<&'a str>,
    /// The registration token that was set aside for it: it has one use less.
    pub registration_token: Option<&'a str>,
    /// There are rooms that the user is to join by itself.
    pub joins_rooms: bool,
}

/// A user who was registered.
#[derive(Debug)]
pub struct Registered {
    pub user_id: OwnedUserId,
    /// The work that is left: to join the rooms that new users join. `None` if there are none.
    pub auto_join: Option<UnfinishedWork>,
}

/// Register a user.
pub async fn register(
    accounts: &Accounts,
    account: NewAccount<'_>,
) -> Result<Registered, UsernameError> {
    if let Some(user_id) = &account.user_id {
        return add(accounts, user_id, &account).await;
    }
    for _ in 0..NUMBERS_TRIED_MAX {
        let number = accounts.db().users().next_number().await?;
        let user_id = OwnedUserId::try_from(format!("@{number}:{}", accounts.server_name()))
            .map_err(|_| UsernameError::TooLong)?;
        match add(accounts, &user_id, &account).await {
            Ok(registered) => return Ok(registered),
            Err(UsernameError::InUse) => {}
            Err(error) => return Err(error),
        }
    }
    Err(UsernameError::InUse)
}

async fn add(
    accounts: &Accounts,
    user_id: &UserId,
    account: &NewAccount<'_>,
) -> Result<Registered, UsernameError> {
    let mut tx = accounts.db().begin().await?;
    complete_session(&mut tx, user_id, account).await?;
    if account.was_guest {
        if !tx
            .users()
            .upgrade_guest(user_id, account.password_hash.as_ref().map(Secret::expose))
            .await?
        {
            return Err(UsernameError::InUse);
        }
        tx.users().publish(user_id);
        // What the guest was given must not hold for the user.
        tx.tokens().delete_all(user_id).await?;
        tx.tokens().publish(user_id);
    } else {
        let user = NewUser {
            user_id: user_id.to_owned(),
            password_hash: account.password_hash.clone(),
            created_ts: accounts.now_ms(),
            user_type: account.user_type.map(ToOwned::to_owned),
            appservice_id: account.appservice_id.map(ToOwned::to_owned),
            is_guest: account.is_guest,
            is_admin: account.is_admin,
        };
        if !tx.users().add(&user).await? {
            return Err(UsernameError::InUse);
        }
    }
    let named = account.user_id.is_some() && !account.is_guest;
    let displayname = account
        .displayname
        .map(ToOwned::to_owned)
        .or_else(|| named.then(|| user_id.localpart().to_owned()));
    if displayname.is_some() {
        tx.profiles().set(user_id, &Profile { displayname, ..Profile::default() }).await?;
        tx.profiles().publish(user_id);
    }
    // The rooms come after the account, and must not be forgotten if this node goes down meanwhile.
    let auto_join = if account.joins_rooms {
        let (kind, now_ms) = (WorkKind::AutoJoin, accounts.now_ms());
        Some(tx.unfinished_work().add(kind, user_id.as_str(), now_ms).await?)
    } else {
        None
    };
    tx.commit().await?;
    Ok(Registered { user_id: user_id.to_owned(), auto_join })
}

/// Use up what the account comes out of, in the transaction that makes it: requests of one session that come at once wait
/// for each other here, and all but the first find it used.
async fn complete_session(
    tx: &mut Tx,
    user_id: &UserId,
    account: &NewAccount<'_>,
) -> Result<(), UsernameError> {
    if let Some(session_id) = account.session_id
        && !tx.uia_sessions().add_note(session_id, REGISTERED_USER, user_id.as_str()).await?
    {
        return Err(UsernameError::SessionUsed);
    }
    if let Some(token) = account.registration_token {
        tx.registration_tokens().complete(token).await?;
    }
    Ok(())
}

/// Whether an application service may register a user, and under which ID. It may use any spelling.
pub fn check_appservice_username(
    accounts: &Accounts,
    appservice_id: &str,
    localpart: &str,
) -> Result<OwnedUserId, UsernameError> {
    let user_id = format!("@{localpart}:{}", accounts.server_name());
    if user_id.len() > USER_ID_LENGTH_BYTES_MAX {
        return Err(UsernameError::TooLong);
    }
    let user_id = OwnedUserId::try_from(user_id).map_err(|_| UsernameError::Characters)?;
    let may = accounts
        .appservices()
        .find(appservice_id)
        .is_some_and(|appservice| appservice.may_act_as(&user_id));
    if !may || accounts.appservices().is_user_exclusive(&user_id, Some(appservice_id)) {
        return Err(UsernameError::Exclusive);
    }
    Ok(user_id)
}
