//! `GET /_matrix/client/v3/keys/changes`: the users whose keys a client must ask for again, when it has lost the answers that told it.

use std::{sync::Arc, time::Duration};

use myelin_storage::PresenceState;
use ruma::UserId;

use super::{DeviceLists, Pass, SyncError, SyncRequest, device_lists, read};
use crate::{Sync, SyncToken, filter::Filter};

/// The users whose devices look different to a user than at `from`. Nothing is kept back that came after `to`: whose keys are asked for
/// once more loses nothing by it. It costs what an answer of `/sync` from there does.
#[tracing::instrument(name = "sync.key_changes", skip_all, fields(user.id = %user_id))]
pub async fn key_changes(
    sync: &Sync,
    user_id: &UserId,
    from: SyncToken,
    to: Option<SyncToken>,
) -> Result<DeviceLists, SyncError> {
    let since = sync.reach(from).await?;
    if let Some(to) = to {
        sync.reach(to).await?;
    }
    let mut filter = Filter::default();
    filter.room.timeline.limit = Some(1);
    let request = SyncRequest {
        filter: Arc::new(filter),
        since: Some(since),
        full_state: false,
        timeout: Duration::ZERO,
        set_presence: PresenceState::Offline,
        state_after: None,
    };
    let mut sample = sync.sample(user_id, Some(since.pos), false).await?;
    // It is no answer of `/sync`, so it says nothing of what the device has got.
    let pass = Pass::new(sync, user_id, None, &request, Some(since), sample.upto).await?;
    let (plan, loaded) = read(&pass, &mut sample).await?;
    Ok(device_lists::find(&pass, &plan, &loaded).await?)
}
