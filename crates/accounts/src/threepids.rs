//! Third-party identifiers of a user: e-mail addresses and telephone numbers (client-server API, "Adding Account Administrative
//! Contact Information").

use myelin_storage::{StorageError, accounts::Threepid};
use ruma::UserId;

use crate::Accounts;

/// The third-party identifiers of a user, the oldest first.
pub async fn list(accounts: &Accounts, user_id: &UserId) -> Result<Vec<Threepid>, StorageError> {
    accounts.db().threepids().list(user_id).await
}

/// Take a third-party identifier from its user. One that the user does not have is no error.
pub async fn delete(
    accounts: &Accounts,
    user_id: &UserId,
    medium: &str,
    address: &str,
) -> Result<(), StorageError> {
    let mut tx = accounts.db().begin().await?;
    tx.threepids().delete(user_id, medium, address).await?;
    tx.commit().await?;
    Ok(())
}
