//! The messages from other devices in an answer (client-server API, "Extensions to /sync").

use myelin_model::StreamPos;

use super::Pass;
use crate::SyncToken;

/// The position up to which the device has got its messages, by the token that it comes with.
pub(super) fn received(since: Option<SyncToken>) -> StreamPos {
    since.map_or(StreamPos::ZERO, |since| since.to_device.unwrap_or(since.pos))
}

/// Write the messages, if there are any.
pub(super) fn write(pass: &Pass<'_>, out: &mut String) {
    let messages = &pass.to_device.messages;
    if messages.is_empty() {
        return;
    }
    out.push_str(",\"to_device\":{\"events\":[");
    for (number, message) in messages.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(message);
    }
    out.push_str("]}");
}
