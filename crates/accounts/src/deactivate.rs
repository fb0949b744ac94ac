//! The end of an account, and a new password for it.

use myelin_storage::{StorageError, UnfinishedWork, WorkKind, accounts::Profile};
use ruma::{DeviceId, UserId};

use crate::{Accounts, password::PasswordError, user_data};

/// Deactivate an account for good: no password, no sessions, no third-party identifiers; its profile is emptied if it
/// is to be erased. What is left to do is to leave the rooms.
pub async fn deactivate(
    accounts: &Accounts,
    user_id: &UserId,
    erase: bool,
) -> Result<UnfinishedWork, StorageError> {
    let mut tx = accounts.db().begin().await?;
    tx.users().deactivate(user_id, erase).await?;
    tx.cross_signing().delete_all(user_id).await?;
    tx.devices().delete_all(user_id, None).await?;
    tx.tokens().delete_login(user_id).await?;
    tx.threepids().delete_all(user_id).await?;
    tx.account_data().delete_all(user_id).await?;
    tx.key_backups().delete_all(user_id).await?;
    if erase {
        tx.profiles().set(user_id, &Profile::default()).await?;
        tx.profiles().publish(user_id);
    }
    tx.devices().publish(user_id);
    tx.tokens().publish(user_id);
    tx.users().publish(user_id);
    // It takes long, and must not be forgotten if this node goes down meanwhile.
    let (kind, now_ms) = (WorkKind::LeaveRooms, accounts.now_ms());
    let work = tx.unfinished_work().add(kind, user_id.as_str(), now_ms).await?;
    tx.commit().await?;
    Ok(work)
}

/// Set a new password. If `log_out_others`, all sessions end except that of the device `except`, and with them the tokens that
/// would begin new ones.
pub async fn set_password(
    accounts: &Accounts,
    user_id: &UserId,
    new_password_hash: &str,
    log_out_others: bool,
    except: Option<&DeviceId>,
) -> Result<(), PasswordError> {
    let mut tx = accounts.db().begin().await?;
    tx.users().set_password(user_id, Some(new_password_hash)).await?;
    if log_out_others {
        let device_ids = tx.devices().delete_all(user_id, except).await?;
        user_data::delete_of_devices(&mut tx, user_id, &device_ids).await?;
        tx.tokens().delete_login(user_id).await?;
        tx.devices().publish(user_id);
        tx.tokens().publish(user_id);
    }
    tx.commit().await?;
    Ok(())
}
