//! Ends sessions.

use myelin_model::{Actor, TokenHash};
use myelin_storage::StorageError;

use crate::{Accounts, user_data};

/// End the caller's session: its device goes with all its tokens. A token without a device goes alone.
pub async fn log_out(
    accounts: &Accounts,
    actor: &Actor,
    token: &TokenHash,
) -> Result<(), StorageError> {
    let user_id = &actor.user_id;
    let mut tx = accounts.db().begin().await?;
    match actor.device_id() {
        Some(device_id) => {
            let device_ids = &[device_id.to_owned()];
            tx.devices().delete(user_id, device_ids).await?;
            user_data::delete_of_devices(&mut tx, user_id, device_ids).await?;
            tx.devices().publish(user_id);
        }
        None => tx.tokens().delete_access(token).await?,
    }
    tx.tokens().publish(user_id);
    tx.commit().await?;
    Ok(())
}

/// End all of the caller's sessions, and what they could begin new ones by.
pub async fn log_out_everywhere(accounts: &Accounts, actor: &Actor) -> Result<(), StorageError> {
    let user_id = &actor.user_id;
    let mut tx = accounts.db().begin().await?;
    let device_ids = tx.devices().delete_all(user_id, None).await?;
    user_data::delete_of_devices(&mut tx, user_id, &device_ids).await?;
    tx.tokens().delete_login(user_id).await?;
    tx.devices().publish(user_id);
    tx.tokens().publish(user_id);
    tx.commit().await?;
    Ok(())
}
