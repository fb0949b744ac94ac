//! Joining by being in another room (client-server API, "Restricted rooms").

use myelin_events::auth::{JoinRule, may_authorise_joins};
use myelin_model::Membership;
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::Value;

use super::MembershipError;
use myelin_engine::Draft;

/// The number of conditions of a join rule that are looked at.
const CONDITIONS_MAX: usize = 100;

/// Find a user of this server who lets a user in who is in one of the rooms that the join rule asks for. `None` if the
/// join rule is another one.
pub(super) async fn find_authoriser(
    draft: &mut Draft,
    user_id: &UserId,
) -> Result<Option<OwnedUserId>, MembershipError> {
    let Some(event) = draft.find_state("m.room.join_rules", "").await? else { return Ok(None) };
    if !JoinRule::parse(event.pdu.content()).is_restricted(draft.version()) {
        return Ok(None);
    }
    let mut is_allowed = false;
    for room_id in allowed_rooms(&event.pdu.content_as().unwrap_or_default()) {
        if room_id != *draft.room_id() && draft.engine().is_joined_to(&room_id, user_id).await? {
            is_allowed = true;
            break;
        }
    }
    if !is_allowed {
        return Err(MembershipError::NotInAllowedRooms);
    }
    find_powerful(draft).await?.ok_or(MembershipError::NoAuthoriser).map(Some)
}

/// The rooms of the conditions `m.room_membership`.
fn allowed_rooms(content: &Value) -> Vec<OwnedRoomId> {
    let conditions = content.get("allow").and_then(Value::as_array).into_iter().flatten();
    let rooms = conditions
        .filter(|condition| {
            condition.get("type").and_then(Value::as_str) == Some("m.room_membership")
        })
        .filter_map(|condition| condition.get("room_id")?.as_str()?.try_into().ok());
    rooms.take(CONDITIONS_MAX).collect()
}

/// A member on this server with the power to invite: the most powerful one that the power levels name, else anyone.
async fn find_powerful(draft: &mut Draft) -> Result<Option<OwnedUserId>, MembershipError> {
    let levels = draft.power_levels().await?;
    let creators = levels.create().creators().map(ToOwned::to_owned);
    let mut candidates: Vec<OwnedUserId> =
        levels.users().map(|(user_id, _)| user_id.to_owned()).chain(creators).collect();
    candidates.retain(|user_id| {
        draft.engine().is_local(user_id) && may_authorise_joins(&levels, user_id)
    });
    candidates.sort_by(|a, b| levels.user(b).cmp(&levels.user(a)).then_with(|| a.cmp(b)));
    for user_id in candidates {
        if draft.membership(&user_id).await? == Some(Membership::Join) {
            return Ok(Some(user_id));
        }
    }
    if levels.users_default() < levels.invite() {
        return Ok(None);
    }
    let members = draft
        .engine()
        .db()
        .memberships()
        .list_user_ids(draft.room_nid(), &[Membership::Join])
        .await?;
    Ok(members
        .into_iter()
        .find(|user_id| draft.engine().is_local(user_id) && may_authorise_joins(&levels, user_id)))
}
