//! Registration tokens: who has one may register (client-server API, "Token-authenticated registration").

use myelin_storage::StorageError;

use crate::Accounts;

/// Whether somebody could register with a token now.
pub async fn is_valid(accounts: &Accounts, token: &str) -> Result<bool, StorageError> {
    accounts.db().registration_tokens().is_valid(token, accounts.now_ms()).await
}
