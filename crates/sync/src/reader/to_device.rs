//! The messages that wait for a device.

use myelin_model::StreamPos;
use myelin_storage::StorageError;

use super::Reader;

/// The number of messages that one answer has.
const MESSAGES_MAX: usize = 100;

/// The messages for a device, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ToDeviceMessages {
    /// The messages as the client sees them, as JSON.
    pub(crate) messages: Vec<String>,
    /// The position of the last of them, where others wait behind it.
    pub(crate) more_after: Option<StreamPos>,
}

/// Find what waits for the reader's device. It has got everything up to `received`, which is deleted. It takes at most one
/// statement, none where this node knows that nothing waits.
pub(crate) async fn take(
    reader: &Reader<'_>,
    received: StreamPos,
) -> Result<ToDeviceMessages, StorageError> {
    let Some(device_id) = reader.device_id else { return Ok(ToDeviceMessages::default()) };
    let view = reader.sync.view();
    if !view.has_messages(reader.user_id, device_id) {
        return Ok(ToDeviceMessages::default());
    }
    let count_max = i64::try_from(MESSAGES_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let to_device = reader.sync.db().to_device();
    let mut rows =
        to_device.take(reader.user_id, device_id, received, reader.upto, count_max).await?;
    let has_more = rows.len() > MESSAGES_MAX;
    rows.truncate(MESSAGES_MAX);
    // Where nothing is told, nothing waits to be deleted later either.
    if rows.is_empty() {
        view.set_no_messages(reader.user_id, device_id, reader.upto);
    }
    Ok(ToDeviceMessages {
        more_after: rows.last().filter(|_| has_more).map(|row| row.pos),
        messages: rows.into_iter().map(|row| row.message).collect(),
    })
}
