//! Rooms that this server is not in, and knows of by what concerns its users: invites to them, and what becomes of these.
//!
//! Nothing is known of the state of such a room but what another server told with an invite, which is kept as it was sent and decides
//! nothing. A member event stands in the log, so that its user hears of it, and is part of no history.

use std::sync::{Arc, OnceLock};

use myelin_events::{NewEvent, Pdu, RoomVersion, auth::AuthEvent as _, received::Received};
use myelin_model::{Event, EventFlags, Membership, RoomNid, limits::AUTH_EVENTS_MAX};
use myelin_storage::{
    OutsideState, StorageError,
    writer::{Arrival, MembershipChange},
};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::value::RawValue;

use crate::{Attempts, Draft, Engine, EventError, Refused};

/// The size of what is told of a room with an invite, in bytes. Events beyond it are left out.
const STRIPPED_SIZE_BYTES_MAX: usize = 256 * 1024;

/// The reason why an invite, or what became of it, was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// It is no event of this kind for a user of this server.
    #[error("The event is not an invite for a user of this server")]
    NotForUs,
    /// This server is in the room, and receives its events in the usual way.
    #[error("This server is in the room")]
    IsIn,
    /// The user was not invited by the server that takes the invite back.
    #[error("The user was not invited")]
    NotInvited,
    /// The room could not be read or written.
    #[error(transparent)]
    Room(#[from] EventError),
}

impl From<StorageError> for OutsideError {
    fn from(error: StorageError) -> Self {
        Self::Room(error.into())
    }
}

impl Engine {
    /// Take in an invite of one of our users to a room that this server is not in, with what the inviter's server told of the room's
    /// state. The caller has checked that the room version is the one that the invite names, and whether the user takes invites. An
    /// invite that came before is not taken again.
    pub async fn receive_invite(
        &self,
        version: RoomVersion,
        invite: &Received,
        stripped: &[Box<RawValue>],
    ) -> Result<(), OutsideError> {
        let user_id = self.invited_by(&invite.pdu, Membership::Invite)?;
        let told = to_array(stripped);
        let mut attempts = Attempts::default();
        loop {
            if self.db().events().find_by_id(&invite.pdu.event_id).await?.is_some() {
                return Ok(());
            }
            let room_id = &invite.pdu.room_id;
            if let Some(room_nid) = self.db().heads().find_nid(room_id).await?
                && self.db().memberships().has_joined_from(room_nid, self.server_name()).await?
            {
                return Err(OutsideError::IsIn);
            }
            let draft = self.open_outside(version, room_id).await?;
            let is_new = draft.head.newest.is_none();
            match draft.append_outside(&invite.pdu, user_id, Some(&told), true).await {
                Ok(()) => return Ok(()),
                Err(Refused::Conflict) => {}
                // Another node may have made the room known meanwhile.
                Err(Refused::Failed(error)) => {
                    if !is_new || self.db().heads().find_nid(room_id).await?.is_none() {
                        return Err(error.into());
                    }
                }
            }
            attempts.again().await?;
        }
    }

    /// Take in that an invite to a room which this server is not in was taken back, by the user who sent it or another one of that
    /// server.
    pub async fn receive_uninvite(&self, leave: &Received) -> Result<(), OutsideError> {
        let user_id = self.invited_by(&leave.pdu, Membership::Leave)?;
        let mut attempts = Attempts::default();
        loop {
            let room_nid = self.db().heads().find_nid(&leave.pdu.room_id).await?;
            let room_nid = room_nid.ok_or(OutsideError::NotInvited)?;
            let invite = self.find_invite(room_nid, user_id).await?;
            let invite = invite.ok_or(OutsideError::NotInvited)?;
            if invite.sender.server_name() != leave.pdu.sender.server_name() {
                return Err(OutsideError::NotInvited);
            }
            let draft = Draft::open(self, room_nid).await?.ok_or(OutsideError::NotInvited)?;
            match draft.append_outside(&leave.pdu, user_id, None, true).await {
                Ok(()) => return Ok(()),
                Err(Refused::Conflict) => attempts.again().await?,
                Err(Refused::Failed(error)) => return Err(error.into()),
            }
        }
    }

    /// Have a user turn down the invite to a room that this server is not in, without that room. `None` if there is no such invite.
    /// `content` is that of the member event.
    pub async fn decline_invite(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
        content: &str,
    ) -> Result<Option<OwnedEventId>, EventError> {
        let Some(room_nid) = self.db().heads().find_nid(room_id).await? else { return Ok(None) };
        let mut attempts = Attempts::default();
        loop {
            let Some(invite) = self.find_invite(room_nid, user_id).await? else { return Ok(None) };
            let Some(draft) = Draft::open(self, room_nid).await? else { return Ok(None) };
            let leave = draft.build_leave(&invite, user_id, content)?;
            match draft.append_outside(&leave, user_id, None, false).await {
                Ok(()) => return Ok(Some(leave.event_id)),
                Err(Refused::Conflict) => attempts.again().await?,
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    /// The user of this server whose membership an event of another server changes to this one.
    fn invited_by<'p>(
        &self,
        pdu: &'p Pdu,
        membership: Membership,
    ) -> Result<&'p UserId, OutsideError> {
        let target = pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
        let is_meant = |user_id: &&UserId| {
            &*pdu.event_type == "m.room.member"
                && pdu.membership() == Some(membership)
                && self.is_local(user_id)
                && !self.is_local(&pdu.sender)
        };
        target.filter(is_meant).ok_or(OutsideError::NotForUs)
    }

    /// The invite of a user to a room that this server is not in.
    async fn find_invite(
        &self,
        room_nid: RoomNid,
        user_id: &UserId,
    ) -> Result<Option<Arc<Event>>, StorageError> {
        let own = self.db().memberships().find(room_nid, user_id).await?;
        let Some((Membership::Invite, nid)) = own else { return Ok(None) };
        let invite = self.db().events().find(nid).await?;
        Ok(invite.filter(|event| event.flags.contains(EventFlags::OUTLIER)))
    }

    /// A draft of a room, whether or not its state is known, or it was heard of before.
    async fn open_outside(
        &self,
        version: RoomVersion,
        room_id: &RoomId,
    ) -> Result<Draft, EventError> {
        if let Some(room_nid) = self.db().heads().find_nid(room_id).await?
            && let Some(draft) = Draft::open(self, room_nid).await?
        {
            return Ok(draft);
        }
        Ok(Draft::new_room(self, version, room_id.to_owned()).await?)
    }
}

impl Draft {
    /// The event by which a user turns an invite down.
    fn build_leave(
        &self,
        invite: &Event,
        user_id: &UserId,
        content: &str,
    ) -> Result<Pdu, EventError> {
        let invite = Pdu::from_stored(invite.event_id.clone(), invite.json.clone(), self.version)
            .map_err(StorageError::foreign("events.json"))?;
        let before: [OwnedEventId; 1] = [invite.event_id.clone()];
        let mut cited = before.to_vec();
        cited.extend(invite.auth_events.iter().take(AUTH_EVENTS_MAX - 1).cloned());
        let new = NewEvent {
            room_id: Some(&invite.room_id),
            sender: user_id,
            event_type: "m.room.member",
            state_key: Some(user_id.as_str()),
            content,
            redacts: None,
            prev_events: &before,
            auth_events: &cited,
            reference_hashes: None,
            depth: invite.depth.saturating_add(1),
            origin_server_ts: self.engine.now_ms(),
        };
        Ok(new.build(self.version, self.engine.server_name(), self.engine.key())?)
    }

    /// Append a member event that is part of no history: the room stays as it is, and its user hears of it.
    async fn append_outside(
        mut self,
        pdu: &Pdu,
        user_id: &UserId,
        told: Option<&str>,
        is_foreign: bool,
    ) -> Result<(), Refused> {
        let membership = pdu.membership().ok_or(EventError::NotLoaded)?;
        let before = self.engine.db().memberships().find(self.head.room_nid, user_id).await;
        let replaces = before.map_err(EventError::from)?.map(|(_, event_nid)| event_nid);
        let nid = self.engine.db().nids().next_event().await.map_err(EventError::from)?;
        let key = self.state_key_nid("m.room.member", user_id.as_str()).await;
        let key = key.map_err(EventError::from)?;
        self.built_on.state_nid = None;
        self.head.newest = Some(nid);
        self.events.push(Event {
            nid,
            room_nid: self.head.room_nid,
            room_id: self.head.room_id.clone(),
            pos: None,
            event_id: pdu.event_id.clone(),
            event_type: pdu.event_type.clone(),
            state_key: pdu.state_key.clone(),
            state_key_nid: Some(key),
            sender: pdu.sender.clone(),
            origin_server_ts: pdu.origin_server_ts,
            depth: pdu.depth,
            membership: Some(membership),
            state_before: None,
            state_after: None,
            replaces,
            redacts: None,
            redacted_by: None,
            flags: EventFlags::OUTLIER,
            notify_ordinal: self.head.notify_ordinal,
            transaction: None,
            json: pdu.json().into(),
            client_json: OnceLock::new(),
        });
        self.memberships.push(MembershipChange {
            user_id: user_id.to_owned(),
            membership,
            event_nid: nid,
        });
        let event_id = pdu.event_id.clone();
        self.arrivals.extend(is_foreign.then_some(Arrival {
            event_nid: nid,
            event_id,
            known: None,
        }));
        self.outside
            .extend(told.map(|told| OutsideState { event_nid: nid, stripped: told.into() }));
        self.append().await.map(drop)
    }
}

/// The events that were told, as a JSON array. What is no event is left out.
fn to_array(stripped: &[Box<RawValue>]) -> String {
    let mut array = String::from("[");
    for event in stripped {
        let event = event.get();
        if !event.trim_start().starts_with('{')
            || array.len() + event.len() > STRIPPED_SIZE_BYTES_MAX
        {
            continue;
        }
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(event);
    }
    array.push(']');
    array
}
