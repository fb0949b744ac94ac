//! Joining by the signature of an identity server, for a user who was invited by an address (client-server API, "Third-party
//! invites"). The signature makes an invite of the invitation; then the user joins as anybody who is invited.

use myelin_model::{ActiveActor, Actor};
use ruma::{OwnedUserId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Action, MembershipError, MembershipUpdate, update};
use crate::Rooms;

/// `third_party_signed` of a request to join.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Value")]
pub struct ThirdPartySigned {
    /// The user who sent the invitation.
    sender: OwnedUserId,
    /// The state key of the invitation, an `m.room.third_party_invite` event.
    token: String,
    /// All of it: what is signed must not be changed.
    whole: Value,
}

impl TryFrom<Value> for ThirdPartySigned {
    type Error = serde_json::Error;

    fn try_from(whole: Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Parts {
            sender: OwnedUserId,
            token: String,
        }
        let Parts { sender, token } = Parts::deserialize(&whole)?;
        Ok(Self { sender, token, whole })
    }
}

/// Invite the user in the name of the user who invited the address. The auth rules check the signature against the keys of the
/// invitation, and that its sender is the one.
#[tracing::instrument(name = "rooms.membership.exchange_third_party_invite", skip_all, fields(room.id = %room_id, user.id = %actor.user_id))]
pub async fn exchange_third_party_invite(
    rooms: &Rooms,
    actor: ActiveActor<'_>,
    room_id: &RoomId,
    signed: &ThirdPartySigned,
) -> Result<(), MembershipError> {
    if !rooms.is_local(&signed.sender) {
        return Err(MembershipError::RemoteUser(signed.sender.clone()));
    }
    let display_name = find_display_name(rooms, room_id, &signed.token).await?;
    let invite = json!({
        "display_name": display_name,
        "signed": signed.whole,
    });
    let change = MembershipUpdate {
        room_id,
        target: &actor.user_id,
        action: Action::Invite,
        content: Map::from_iter([("third_party_invite".to_owned(), invite)]),
        origin_server_ts: None,
    };
    update(rooms, &Actor::server(signed.sender.clone()), change).await.map(drop)
}

/// The name by which the invitation calls the invited user. Empty if it has none.
async fn find_display_name(
    rooms: &Rooms,
    room_id: &RoomId,
    token: &str,
) -> Result<String, MembershipError> {
    let Some(mut draft) = rooms.engine().find_draft(room_id).await? else {
        return Err(MembershipError::NoServers);
    };
    let event = draft.find_state("m.room.third_party_invite", token).await?;
    let content: Value = event.and_then(|event| event.pdu.content_as().ok()).unwrap_or_default();
    Ok(content.get("display_name").and_then(Value::as_str).unwrap_or_default().to_owned())
}
