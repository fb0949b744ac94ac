//! Tokens by which a user proves to others who they are.

use myelin_model::TokenHash;
use myelin_storage::StorageError;
use ruma::UserId;

use crate::{Accounts, random};

/// The time for which an OpenID token holds, in milliseconds.
pub const TOKEN_LIFETIME_MS: u64 = 3600 * 1000;

/// Make a token. It holds for [`TOKEN_LIFETIME_MS`].
pub async fn add_token(accounts: &Accounts, user_id: &UserId) -> Result<String, StorageError> {
    let (token, now) = (random::token("myo_"), accounts.now_ms());
    let mut tx = accounts.db().begin().await?;
    tx.tokens()
        .add_openid(&TokenHash::of(&token), user_id, now, now.saturating_add(TOKEN_LIFETIME_MS))
        .await?;
    tx.commit().await?;
    Ok(token)
}
