//! Changing one membership.

use myelin_engine::{Attempts, Draft, Intent, Refused, Unchanged};
use myelin_model::{Actor, Membership};
use myelin_storage::{UnfinishedWork, WorkKind};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::{Map, Value};

use super::{
    MembershipError, find_member_profile, forget::forget_left, permission::blocks_invites,
    restricted,
};
use crate::{
    Rooms, unfinished,
    upgrade::{carry_over_for, predecessor_of},
};

/// The length of a display name in a member event, in characters (as Synapse has it).
const DISPLAY_NAME_CHARS_MAX: usize = 256;

/// The length of an avatar URL in a member event, in characters (as Synapse has it).
const AVATAR_URL_CHARS_MAX: usize = 1_000;

/// The change that one user makes to the membership of another, or to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Join,
    /// A new name or picture of a user who is in the room. It brings nobody back who is leaving meanwhile.
    Rename,
    Invite,
    Leave,
    Kick,
    Ban,
    Unban,
    Knock,
}

impl Action {
    /// The action that sets a membership through a state event.
    pub fn of_membership(membership: Membership) -> Self {
        match membership {
            Membership::Join => Self::Join,
            Membership::Invite => Self::Invite,
            Membership::Leave => Self::Leave,
            Membership::Ban => Self::Ban,
            Membership::Knock => Self::Knock,
        }
    }

    fn membership(self) -> Membership {
        match self {
            Self::Join | Self::Rename => Membership::Join,
            Self::Invite => Membership::Invite,
            Self::Leave | Self::Kick | Self::Unban => Membership::Leave,
            Self::Ban => Membership::Ban,
            Self::Knock => Membership::Knock,
        }
    }

    /// Whether the member event has the target's name and picture.
    fn shows_profile(self, rooms: &Rooms) -> bool {
        match self {
            Self::Join | Self::Rename | Self::Knock => true,
            Self::Invite => rooms.settings().profiles_in_invites,
            Self::Leave | Self::Kick | Self::Ban | Self::Unban => false,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Rename => "rename",
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Unban => "unban",
            Self::Knock => "knock",
        }
    }
}

/// A change of one membership.
#[derive(Debug, Clone)]
pub struct MembershipUpdate<'a> {
    pub room_id: &'a RoomId,
    /// The user whose membership is changed.
    pub target: &'a UserId,
    pub action: Action,
    /// The content of the member event, `membership` apart: `reason`, `is_direct`, `third_party_invite`, ...
    pub content: Map<String, Value>,
    /// The time, in milliseconds since the Unix epoch, where an application service gives one.
    pub origin_server_ts: Option<u64>,
}

/// Change a membership. Who is suspended may leave, and nothing else. The target's profile goes into the event where the content has none. Returns when it is stored.
#[tracing::instrument(name = "rooms.membership.update", skip_all, fields(room.id = %update.room_id, user.id = %actor.user_id))]
pub async fn update(
    rooms: &Rooms,
    actor: &Actor,
    mut update: MembershipUpdate<'_>,
) -> Result<OwnedEventId, MembershipError> {
    if update.action != Action::Leave || actor.user_id != *update.target {
        actor.active()?;
    }
    complete(rooms, actor, &mut update).await?;
    let mut attempts = Attempts::default();
    loop {
        let Some(mut draft) = rooms.engine().find_draft(update.room_id).await? else {
            return decline(rooms, actor, &update).await;
        };
        let mut content = check(&mut draft, actor, &update).await?;
        // After the head: what changes the profile later brings the rooms in line later, too.
        if update.action.shows_profile(rooms) && rooms.is_local(update.target) {
            find_member_profile(rooms, update.target).await?.fill(&mut content);
        }
        let content = Value::Object(content).to_string();
        let intent = Intent {
            origin_server_ts: update.origin_server_ts,
            ..Intent::state(&actor.user_id, "m.room.member", update.target.as_str(), &content)
        };
        match draft.find_unchanged(&intent).await? {
            Unchanged::No => {}
            Unchanged::Stored(event_id) => return Ok(event_id),
            Unchanged::Queued => {
                drop(draft);
                attempts.again().await?;
                continue;
            }
        }
        let follows = Follows::of(&mut draft, rooms, &update).await?;
        let added = draft.add(intent).await?;
        let work = match follows {
            Some(follows) => Some((follows, follows.begin(rooms, &update).await?)),
            None => None,
        };
        match draft.append().await {
            Ok(_) => {
                if let Some((follows, work)) = &work {
                    follows.finish(rooms, &update, work).await;
                }
                return Ok(added.event_id);
            }
            Err(Refused::Conflict) => attempts.again().await?,
            Err(Refused::Failed(error)) => return Err(error.into()),
        }
    }
}

/// The work that has to follow a change. It is written down before the change is stored.
#[derive(Debug, Clone, Copy)]
enum Follows {
    /// The user comes for the first time into a room that replaces another.
    CarryOver,
    /// The user is out of the room, and wants to see no room that it is out of.
    Forget,
}

impl Follows {
    async fn of(
        draft: &mut Draft,
        rooms: &Rooms,
        update: &MembershipUpdate<'_>,
    ) -> Result<Option<Self>, MembershipError> {
        let before = draft.membership(update.target).await?;
        Ok(match update.action.membership() {
            Membership::Join => match before {
                None | Some(Membership::Invite | Membership::Knock) => {
                    predecessor_of(draft).await?.map(|_| Self::CarryOver)
                }
                Some(Membership::Join | Membership::Leave | Membership::Ban) => None,
            },
            Membership::Leave | Membership::Ban => {
                let forgets = rooms.settings().forget_on_leave
                    && rooms.is_local(update.target)
                    && before == Some(Membership::Join);
                forgets.then_some(Self::Forget)
            }
            Membership::Invite | Membership::Knock => None,
        })
    }

    async fn begin(
        self,
        rooms: &Rooms,
        update: &MembershipUpdate<'_>,
    ) -> Result<UnfinishedWork, MembershipError> {
        let kind = match self {
            Self::CarryOver => WorkKind::CarryOverFor,
            Self::Forget => WorkKind::ForgetRoom,
        };
        let subject = unfinished::room_and_user(update.room_id, update.target);
        Ok(unfinished::begin(rooms, kind, &subject).await?)
    }

    async fn finish(self, rooms: &Rooms, update: &MembershipUpdate<'_>, work: &UnfinishedWork) {
        let (room_id, user_id) = (update.room_id, update.target);
        match self {
            Self::CarryOver => {
                let done = carry_over_for(rooms, room_id, &user_id.to_owned()).await;
                unfinished::end(rooms, work, done).await;
            }
            Self::Forget => {
                let done = forget_left(rooms, user_id, room_id).await;
                unfinished::end(rooms, work, done).await;
            }
        }
    }
}

/// Leave a room that this server is not in: the user was invited to it. Nothing else can be done there.
async fn decline(
    rooms: &Rooms,
    actor: &Actor,
    update: &MembershipUpdate<'_>,
) -> Result<OwnedEventId, MembershipError> {
    if update.action == Action::Leave && actor.user_id == *update.target {
        let mut content = update.content.clone();
        content.insert("membership".to_owned(), Value::from("leave"));
        let content = Value::Object(content).to_string();
        let engine = rooms.engine();
        if let Some(id) = engine.decline_invite(update.room_id, &actor.user_id, &content).await? {
            return Ok(id);
        }
    }
    Err(unknown_room(update.action))
}

fn unknown_room(action: Action) -> MembershipError {
    match action {
        Action::Join | Action::Knock => MembershipError::NoServers,
        Action::Rename | Action::Leave | Action::Kick | Action::Unban => {
            MembershipError::NotKnownRoom
        }
        Action::Invite | Action::Ban => crate::EventError::UnknownRoom.into(),
    }
}

/// Fill in what the content lacks and does not depend on the room.
async fn complete(
    rooms: &Rooms,
    actor: &Actor,
    update: &mut MembershipUpdate<'_>,
) -> Result<(), MembershipError> {
    if !rooms.settings().per_room_profiles {
        update.content.remove("displayname");
        update.content.remove("avatar_url");
    }
    let text = |key: &str| update.content.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("displayname").chars().count() > DISPLAY_NAME_CHARS_MAX {
        return Err(MembershipError::DisplayNameTooLong);
    }
    if text("avatar_url").chars().count() > AVATAR_URL_CHARS_MAX {
        return Err(MembershipError::AvatarUrlTooLong);
    }
    if update.action == Action::Invite && rooms.settings().only_admins_invite && !actor.is_admin() {
        return Err(MembershipError::InvitesDisabled);
    }
    if update.action == Action::Invite && !rooms.is_local(update.target) {
        return Err(MembershipError::RemoteUser(update.target.to_owned()));
    }
    if update.action == Action::Invite
        && !actor.is_admin()
        && blocks_invites(rooms, update.target).await?
    {
        return Err(MembershipError::InviteBlocked);
    }
    update.content.insert("membership".to_owned(), update.action.membership().as_str().into());
    // Who lets a user in is for this server to find out.
    update.content.remove("join_authorised_via_users_server");
    if actor.is_guest {
        update.content.insert("kind".to_owned(), "guest".into());
    }
    Ok(())
}

/// Check what the auth rules leave open, and complete the content by what the room says.
async fn check(
    draft: &mut Draft,
    actor: &Actor,
    update: &MembershipUpdate<'_>,
) -> Result<Map<String, Value>, MembershipError> {
    let current = draft.membership(update.target).await?;
    match update.action {
        Action::Unban if current != Some(Membership::Ban) => {
            return Err(MembershipError::NotBanned { membership: current });
        }
        Action::Join | Action::Invite | Action::Kick | Action::Knock
            if current == Some(Membership::Ban) =>
        {
            return Err(MembershipError::Banned { action: update.action.as_str() });
        }
        Action::Rename if current != Some(Membership::Join) => {
            return Err(MembershipError::TargetNotInRoom);
        }
        Action::Kick if matches!(current, None | Some(Membership::Leave)) => {
            return Err(MembershipError::TargetNotInRoom);
        }
        _ => {}
    }
    let mut content = update.content.clone();
    if update.action == Action::Join && actor.user_id == *update.target {
        if actor.is_guest && !guests_may_join(draft).await? {
            return Err(MembershipError::GuestsForbidden);
        }
        if !matches!(current, Some(Membership::Join | Membership::Invite))
            && let Some(authoriser) = restricted::find_authoriser(draft, update.target).await?
        {
            let key = "join_authorised_via_users_server".to_owned();
            content.insert(key, authoriser.as_str().into());
        }
    }
    Ok(content)
}

/// Whether the room lets guests in.
pub(super) async fn guests_may_join(draft: &mut Draft) -> Result<bool, MembershipError> {
    let Some(event) = draft.find_state("m.room.guest_access", "").await? else { return Ok(false) };
    let content: Value = event.pdu.content_as().unwrap_or_default();
    Ok(content.get("guest_access").and_then(Value::as_str) == Some("can_join"))
}
