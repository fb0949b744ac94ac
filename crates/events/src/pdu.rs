//! An event as servers exchange it, parsed once.

use std::{fmt, ops::Range};

use myelin_model::limits::{
    AUTH_EVENTS_MAX, EVENT_SIZE_BYTES_MAX, ID_LENGTH_BYTES_MAX, PREV_EVENTS_MAX,
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use base64::Engine as _;

use crate::{
    canonical::{self, CanonicalError, Key, Members, present},
    key::{BASE64, BASE64_URL},
    redact,
    version::RoomVersion,
};

/// A persistent data unit: an event in the format of its room version. Immutable, to be shared in an `Arc`.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The room version, by whose format it was read.
    pub version: RoomVersion,
    /// The event ID: given by the sending server in versions 1 and 2, else the reference hash.
    pub event_id: OwnedEventId,
    /// The room. For the create event of version 12, which has no `room_id`, it comes from the event ID.
    pub room_id: OwnedRoomId,
    /// The user who sent it.
    pub sender: OwnedUserId,
    pub event_type: Box<str>,
    /// The state key of a state event.
    pub state_key: Option<Box<str>>,
    /// The time at which its server says that it was sent, in milliseconds since the Unix epoch. It may be before that: state resolution
    /// goes by it all the same.
    pub origin_server_ts: i64,
    /// Its depth in the event graph.
    pub depth: i64,
    /// The events that it was built upon.
    pub prev_events: Box<[OwnedEventId]>,
    /// The state events that entitle the sender to send it.
    pub auth_events: Box<[OwnedEventId]>,
    /// The event that it redacts, from where the version keeps it.
    pub redacts: Option<OwnedEventId>,
    /// The checks on receipt rejected it. Not part of the event.
    pub rejected: bool,
    json: Box<str>,
    content: Range<u32>,
}

/// The reason why a text is not an event of a room version.
#[derive(Debug, thiserror::Error)]
pub enum PduError {
    /// It is no canonical JSON.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A field is missing or of the wrong type, or an ID is malformed.
    #[error("malformed event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is larger than an event may be.
    #[error("the event has {size} bytes, more than {EVENT_SIZE_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A field is longer than it may be.
    #[error("`{field}` is too long")]
    FieldTooLong { field: &'static str },
    /// A field has a value that the room version does not allow.
    #[error("`{field}` is not allowed as it is: {reason}")]
    BadField {
        field: &'static str,
        /// The fault of its value.
        reason: &'static str,
    },
}

/// The fields of an event on the wire.
#[derive(Deserialize)]
struct Wire<'a> {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type", borrow)]
    event_type: Key<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    state_key: Option<Key<'a>>,
    #[serde(deserialize_with = "lax_integer")]
    origin_server_ts: i64,
    #[serde(deserialize_with = "lax_integer")]
    depth: i64,
    prev_events: References,
    auth_events: References,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct RedactsOnly {
    redacts: Option<OwnedEventId>,
}

impl Pdu {
    /// Read an event that passed the checks before, from its canonical JSON. Computes the event ID; where it is known,
    /// [`Pdu::from_stored`] is quicker.
    pub fn parse(json: impl Into<Box<str>>, version: RoomVersion) -> Result<Self, PduError> {
        let json = json.into();
        let event_id = find_event_id(&json, version)?;
        Self::from_stored(event_id, json, version)
    }

    /// Read an event that passed the checks before and whose ID is known.
    pub fn from_stored(
        event_id: OwnedEventId,
        json: impl Into<Box<str>>,
        version: RoomVersion,
    ) -> Result<Self, PduError> {
        let json = json.into();
        let wire: Wire<'_> = serde_json::from_str(&json)?;
        let content = span(&json, wire.content.get());
        let redacts = match wire.redacts {
            _ if version.redacts_in_content() && *wire.event_type.0 == *"m.room.redaction" => {
                serde_json::from_str::<RedactsOnly>(wire.content.get())
                    .ok()
                    .and_then(|content| content.redacts)
            }
            // Other types may carry a `redacts` of any kind.
            Some(redacts) if !version.redacts_in_content() => {
                serde_json::from_str(redacts.get()).ok()
            }
            _ => None,
        };
        let room_id = match wire.room_id {
            Some(room_id) => room_id,
            None if version.has_hashed_room_ids() && *wire.event_type.0 == *"m.room.create" => {
                room_id_of_create(&event_id)?
            }
            None => return Err(PduError::BadField { field: "room_id", reason: "missing" }),
        };
        Ok(Self {
            version,
            event_id,
            room_id,
            sender: wire.sender,
            event_type: wire.event_type.0.into(),
            state_key: wire.state_key.map(|key| key.0.into()),
            origin_server_ts: wire.origin_server_ts,
            depth: wire.depth,
            prev_events: wire.prev_events.ids,
            auth_events: wire.auth_events.ids,
            redacts: redacts.filter(is_event_id),
            rejected: false,
            json,
            content,
        })
    }

    /// Read an event that another server sent, with all the checks of form: canonical JSON, sizes, the fields of the version.
    /// `unsigned` is dropped. Hash and signatures are for [`crate::verify`].
    pub fn from_foreign(json: &str, version: RoomVersion) -> Result<Self, PduError> {
        // Larger still in any spelling; keeps the work on hostile input bounded.
        if json.len() > 4 * EVENT_SIZE_BYTES_MAX {
            return Err(PduError::TooLarge { size: json.len() });
        }
        let json = without_unsigned(canonical::to_canonical(json, version.is_json_strict())?)?;
        if json.len() > EVENT_SIZE_BYTES_MAX {
            return Err(PduError::TooLarge { size: json.len() });
        }
        check_form(&json, version)?;
        let event_id = find_event_id(&json, version)?;
        let pdu = Self::from_stored(event_id, json, version)?;
        pdu.check_fields()?;
        Ok(pdu)
    }

    pub(crate) fn check_fields(&self) -> Result<(), PduError> {
        let lengths = [
            ("event_id", self.event_id.as_str().len()),
            ("room_id", self.room_id.as_str().len()),
            ("sender", self.sender.as_str().len()),
            ("type", self.event_type.len()),
            ("state_key", self.state_key.as_deref().map_or(0, str::len)),
        ];
        if let Some((field, _)) =
            lengths.into_iter().find(|(_, length)| *length > ID_LENGTH_BYTES_MAX)
        {
            return Err(PduError::FieldTooLong { field });
        }
        if self.prev_events.len() > PREV_EVENTS_MAX {
            return Err(PduError::FieldTooLong { field: "prev_events" });
        }
        if self.auth_events.len() > AUTH_EVENTS_MAX {
            return Err(PduError::FieldTooLong { field: "auth_events" });
        }
        for (field, ids) in [("prev_events", &self.prev_events), ("auth_events", &self.auth_events)]
        {
            if !ids.iter().all(is_event_id) {
                return Err(PduError::BadField { field, reason: "IDs that no event can have" });
            }
        }
        if !is_event_id(&self.event_id) {
            return Err(PduError::BadField { field: "event_id", reason: "no event can have it" });
        }
        if self.depth < 0 {
            return Err(PduError::BadField { field: "depth", reason: "negative" });
        }
        if self.version.has_chosen_event_ids() && self.event_id.server_name().is_none() {
            return Err(PduError::BadField { field: "event_id", reason: "without a server name" });
        }
        if self.version.has_hashed_room_ids() {
            let create = self.room_id.strip_sigil();
            if BASE64_URL.decode(create).map_or(0, |hash| hash.len()) != 32 {
                return Err(PduError::BadField {
                    field: "room_id",
                    reason: "not the hash of a create event",
                });
            }
            if self.auth_events.iter().any(|id| id.as_str().strip_prefix('$') == Some(create)) {
                return Err(PduError::BadField {
                    field: "auth_events",
                    reason: "the create event is among them",
                });
            }
        }
        Ok(())
    }

    pub(crate) fn from_parts(
        version: RoomVersion,
        event_id: OwnedEventId,
        room_id: OwnedRoomId,
        new: &crate::build::NewEvent<'_>,
        json: String,
        content: Range<usize>,
    ) -> Self {
        Self {
            version,
            event_id,
            room_id,
            sender: new.sender.to_owned(),
            event_type: new.event_type.into(),
            state_key: new.state_key.map(Into::into),
            origin_server_ts: i64::try_from(new.origin_server_ts).unwrap_or(i64::MAX),
            depth: new.depth,
            prev_events: new.prev_events.into(),
            auth_events: new.auth_events.into(),
            redacts: new.redacts.map(ToOwned::to_owned),
            rejected: false,
            json: json.into(),
            content: to_u32(content.start)..to_u32(content.end),
        }
    }

    /// The event in canonical JSON, without `unsigned`, as it is stored and sent to other servers.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The canonical JSON, taken out.
    pub fn into_json(self) -> Box<str> {
        self.json
    }

    /// The content in canonical JSON.
    pub fn content(&self) -> &str {
        let range = self.content.start as usize..self.content.end as usize;
        self.json.get(range).unwrap_or("{}")
    }

    /// The content as a type.
    pub fn content_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.content())
    }

    /// Whether (type, state key) is this.
    pub fn is_state_of(&self, event_type: &str, state_key: &str) -> bool {
        *self.event_type == *event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// The reference hash in unpadded base64, as references to the event carry it in versions 1 and 2.
    pub fn reference_hash(&self) -> Result<String, PduError> {
        let members: Members<'_> = serde_json::from_str(&self.json)?;
        Ok(BASE64.encode(Sha256::digest(redact::signable(&members, self.version))))
    }
}

/// The ID of a room of version 12, whose create event has this ID.
pub fn room_id_of_create(create: &EventId) -> Result<OwnedRoomId, PduError> {
    let hash = create.as_str().strip_prefix('$').unwrap_or_default();
    RoomId::parse(format!("!{hash}"))
        .map_err(|_| PduError::BadField { field: "room_id", reason: "no ID of a create event" })
}

/// The ID of the create event of a room of version 12. `None` for rooms of other versions.
pub fn create_id_of_room(version: RoomVersion, room_id: &RoomId) -> Option<OwnedEventId> {
    if !version.has_hashed_room_ids() {
        return None;
    }
    EventId::parse(format!("${}", room_id.strip_sigil())).ok()
}

/// The content within a stored event's canonical JSON.
pub fn content_of(json: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct ContentOnly<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    serde_json::from_str::<ContentOnly<'_>>(json).ok().map(|event| event.content.get())
}

/// Whether an event can have this ID: no longer one is accepted, and none with a NUL can be stored.
fn is_event_id(id: &OwnedEventId) -> bool {
    id.as_str().len() <= ID_LENGTH_BYTES_MAX && !id.as_str().contains('\0')
}

/// The place of a part of a text in it, in bytes.
fn span(whole: &str, part: &str) -> Range<u32> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    to_u32(start)..to_u32(start + part.len())
}

fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

pub(crate) fn event_id_of_hash(
    hash: &[u8],
    version: RoomVersion,
) -> Result<OwnedEventId, PduError> {
    let hash = if version.has_url_safe_event_ids() {
        BASE64_URL.encode(hash)
    } else {
        BASE64.encode(hash)
    };
    EventId::parse(format!("${hash}"))
        .map_err(|_| PduError::BadField { field: "event_id", reason: "malformed" })
}

fn find_event_id(json: &str, version: RoomVersion) -> Result<OwnedEventId, PduError> {
    let members: Members<'_> = serde_json::from_str(json)?;
    if version.has_chosen_event_ids() {
        let id = members
            .get("event_id")
            .ok_or(PduError::BadField { field: "event_id", reason: "missing" })?;
        return Ok(serde_json::from_str(id.get())?);
    }
    event_id_of_hash(&Sha256::digest(redact::signable(&members, version)), version)
}

fn without_unsigned(json: String) -> Result<String, PduError> {
    let mut members: Members<'_> = serde_json::from_str(&json)?;
    if members.remove("unsigned").is_none() {
        return Ok(json);
    }
    let mut out = String::with_capacity(json.len());
    canonical::write_members(&mut out, members.iter().map(|(key, value)| (&*key.0, value.get())));
    Ok(out)
}

/// The checks of form that a foreign event must pass beyond being readable.
fn check_form(json: &str, version: RoomVersion) -> Result<(), PduError> {
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        event_id: Option<&'a RawValue>,
        #[serde(borrow)]
        room_id: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        event_type: Key<'a>,
        #[serde(borrow)]
        content: &'a RawValue,
        #[serde(borrow, default, deserialize_with = "present")]
        state_key: Option<&'a RawValue>,
        #[serde(borrow)]
        depth: &'a RawValue,
        prev_events: References,
        auth_events: References,
        #[serde(borrow)]
        hashes: Members<'a>,
        #[serde(borrow)]
        signatures: Members<'a>,
    }
    let form: Form<'_> = serde_json::from_str(json)?;
    let bad = |field, reason| Err(PduError::BadField { field, reason });
    if !form.content.get().starts_with('{') {
        return bad("content", "not an object");
    }
    if form.state_key.is_some_and(|key| !key.get().starts_with('"')) {
        return bad("state_key", "not a string");
    }
    // The fractions of old rooms are elsewhere: no server has ever taken one here.
    if form.depth.get().contains(['.', 'e', 'E']) {
        return bad("depth", "not an integer");
    }
    if !form.hashes.get("sha256").is_some_and(|hash| hash.get().starts_with('"')) {
        return bad("hashes", "no SHA-256 hash");
    }
    if !form.signatures.values().all(|keys| keys.get().starts_with('{')) {
        return bad("signatures", "not objects by server");
    }
    let pairs = version.has_chosen_event_ids();
    if form.prev_events.wrong_form(pairs) {
        return bad("prev_events", "references are not as the room version has them");
    }
    if form.auth_events.wrong_form(pairs) {
        return bad("auth_events", "references are not as the room version has them");
    }
    if pairs && form.event_id.is_none() {
        return bad("event_id", "missing");
    }
    if version.has_hashed_room_ids()
        && *form.event_type.0 == *"m.room.create"
        && form.room_id.is_some()
    {
        return bad("room_id", "a create event has none in this room version");
    }
    Ok(())
}

/// Old rooms have fractions where integers belong.
fn lax_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }

        fn visit_u64<E>(self, value: u64) -> Result<i64, E> {
            Ok(i64::try_from(value).unwrap_or(i64::MAX))
        }

        #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted")]
        fn visit_f64<E>(self, value: f64) -> Result<i64, E> {
            Ok(value as i64)
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// References to events: IDs, or pairs of ID and hash in versions 1 and 2.
pub(crate) struct References {
    pub(crate) ids: Box<[OwnedEventId]>,
    pairs: usize,
}

impl References {
    fn wrong_form(&self, pairs: bool) -> bool {
        self.pairs != if pairs { self.ids.len() } else { 0 }
    }
}

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let references: Vec<Reference> = Vec::deserialize(deserializer)?;
        let pairs = references.iter().filter(|reference| reference.is_pair).count();
        Ok(Self { ids: references.into_iter().map(|reference| reference.id).collect(), pairs })
    }
}

struct Reference {
    id: OwnedEventId,
    is_pair: bool,
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event ID, or a pair of event ID and hashes")
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<Reference, E> {
                Ok(Reference { id: EventId::parse(id).map_err(E::custom)?, is_pair: false })
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Reference, A::Error> {
                let id = items
                    .next_element()?
                    .ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
                while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Reference { id, is_pair: true })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
