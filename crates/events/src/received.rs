//! The checks on receipt that a room's state does not decide (server-server API, "Checks performed on receipt of a PDU", 1 to 4).

use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId};

use crate::{
    auth::{self, AuthError, AuthEvent, LookupState},
    key::PublicKeys,
    pdu::{Pdu, PduError, create_id_of_room},
    verify::{self, Verdict},
    version::RoomVersion,
};

/// An event of another server whose form and signatures hold.
#[derive(Debug, Clone)]
pub struct Received {
    /// The event, redacted if its content is not what was hashed.
    pub pdu: Pdu,
    /// Whether it was redacted.
    pub is_redacted: bool,
}

/// The reason why an event of another server is dropped, as if it had never come.
#[derive(Debug, thiserror::Error)]
pub enum Dropped {
    /// It is no event of the room version.
    #[error(transparent)]
    Malformed(#[from] PduError),
    /// It is of another room than it was sent for.
    #[error("the event is of another room")]
    OtherRoom,
    /// One of its fields has a NUL character, which no database column can hold.
    #[error("the event has a NUL character in its `{0}`")]
    Nul(&'static str),
    /// A server that must have signed has not.
    #[error("the event is not signed by {0}")]
    Signature(OwnedServerName),
}

impl Received {
    /// Read an event that another server sent for a room of this version. `keys` are those that were valid at the event's time.
    pub fn read(
        json: &str,
        version: RoomVersion,
        room_id: &RoomId,
        keys: &impl PublicKeys,
    ) -> Result<Self, Dropped> {
        let pdu = Pdu::from_foreign(json, version)?;
        if pdu.room_id != room_id {
            return Err(Dropped::OtherRoom);
        }
        if pdu.event_type.contains('\0') {
            return Err(Dropped::Nul("type"));
        }
        if pdu.state_key.as_deref().is_some_and(|key| key.contains('\0')) {
            return Err(Dropped::Nul("state_key"));
        }
        match verify::verify(&pdu, keys)? {
            Verdict::Good => Ok(Self { pdu, is_redacted: false }),
            Verdict::Redacted(redacted) => Ok(Self { pdu: *redacted, is_redacted: true }),
            Verdict::BadSignature(server) => Err(Dropped::Signature(server)),
        }
    }
}

impl Received {
    /// The copy of this event to go on with: the one that is stored, as whoever goes by it knows that one. Unless it lost its content
    /// because it did not fit its hash, and this one has what belongs there.
    pub fn or_stored(self, stored: Pdu) -> Result<Self, PduError> {
        let stored = Self::stored(stored)?;
        let is_better = stored.is_redacted
            && !self.is_redacted
            && stored.pdu.reference_hash()? == self.pdu.reference_hash()?;
        Ok(if is_better { self } else { stored })
    }

    /// An event that was received and stored before.
    pub fn stored(pdu: Pdu) -> Result<Self, PduError> {
        Ok(Self { is_redacted: !verify::is_whole(&pdu)?, pdu })
    }
}

/// The events that an event is checked by before any state is looked at: those that it cites, and the create event where the room ID
/// stands for it.
pub fn cited_events(pdu: &Pdu) -> Vec<OwnedEventId> {
    let create = create_id_of_room(pdu.version, &pdu.room_id);
    let create = create.filter(|_| &*pdu.event_type != "m.room.create");
    pdu.auth_events.iter().cloned().chain(create).collect()
}

/// Whether an event's auth events may be cited by it, and allow it. `cited` are the events of [`cited_events`], in any order.
pub fn check_by_auth_events<E: AuthEvent + Copy>(pdu: &Pdu, cited: &[E]) -> Result<(), AuthError> {
    let find = |id: &EventId| cited.iter().copied().find(|event| event.event_id() == id);
    auth::check_auth_events(pdu.version, pdu, find)?;
    let lookup = |event_type: &str, state_key: &str| {
        cited
            .iter()
            .copied()
            .find(|event| event.event_type() == event_type && event.state_key() == Some(state_key))
    };
    auth::check(pdu.version, pdu, &LookupState::new(pdu.version, lookup))
}
