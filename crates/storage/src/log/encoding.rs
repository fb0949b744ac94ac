//! The encoding of changes that are not room events in the `log` table.

use myelin_model::{EventNid, RoomNid, StateKeyNid, StreamPos};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Change, kind::Kind, unknown::Unknown};
use crate::StorageError;

/// A row of `log` before it has a position.
pub(crate) struct Row {
    pub(crate) kind: i16,
    pub(crate) room_nid: Option<i64>,
    pub(crate) user_id: Option<String>,
    pub(crate) payload: String,
}

#[derive(Serialize, Deserialize)]
struct StateResetPayload {
    k: i64,
    e: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ReceiptPayload {
    r: Box<str>,
    t: Box<str>,
    e: OwnedEventId,
    p: i64,
    ts: u64,
}

#[derive(Serialize, Deserialize)]
struct AccountDataPayload {
    t: Box<str>,
    c: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
struct ToDevicePayload {
    d: Vec<OwnedDeviceId>,
}

#[derive(Serialize, Deserialize)]
struct SignaturesPayload {
    s: Vec<OwnedUserId>,
}

#[derive(Serialize, Deserialize)]
struct RewrittenPayload {
    e: Vec<i64>,
}

/// The row of a change. `None` for room events, which have a table of their own.
pub(crate) fn encode(change: &Change) -> Result<Option<Row>, StorageError> {
    let row =
        |kind: Kind, room_nid: Option<RoomNid>, user_id: Option<&OwnedUserId>, payload: String| {
            Some(Row {
                kind: kind.number(),
                room_nid: room_nid.map(|nid| nid.0),
                user_id: user_id.map(|id| id.to_string()),
                payload,
            })
        };
    let nothing = || "{}".to_owned();
    Ok(match change {
        Change::Event(_) | Change::Other { .. } => None,
        Change::StateReset { room_nid, state_key_nid, event_nid } => {
            let payload = StateResetPayload { k: state_key_nid.0, e: event_nid.map(|nid| nid.0) };
            row(Kind::StateReset, Some(*room_nid), None, to_json(&payload)?)
        }
        Change::Receipt { room_nid, user_id, receipt_type, thread_id, event_id, event_pos, ts } => {
            let payload = ReceiptPayload {
                r: receipt_type.clone(),
                t: thread_id.clone(),
                e: event_id.clone(),
                p: event_pos.0,
                ts: *ts,
            };
            row(Kind::Receipt, Some(*room_nid), Some(user_id), to_json(&payload)?)
        }
        Change::AccountData { user_id, room_nid, data_type, content } => {
            let payload = AccountDataPayload { t: data_type.clone(), c: (**content).to_owned() };
            row(Kind::AccountData, *room_nid, Some(user_id), to_json(&payload)?)
        }
        Change::Sessions { user_id } => row(Kind::Sessions, None, Some(user_id), nothing()),
        Change::Account { user_id } => row(Kind::Account, None, Some(user_id), nothing()),
        Change::Profile { user_id } => row(Kind::Profile, None, Some(user_id), nothing()),
        Change::DeviceList { user_id } => row(Kind::DeviceList, None, Some(user_id), nothing()),
        Change::ToDevice { user_id, device_ids } => {
            let payload = ToDevicePayload { d: device_ids.clone() };
            row(Kind::ToDevice, None, Some(user_id), to_json(&payload)?)
        }
        Change::KeyCounts { user_id } => row(Kind::KeyCounts, None, Some(user_id), nothing()),
        Change::Signatures { user_id, signed } => {
            let payload = SignaturesPayload { s: signed.to_vec() };
            row(Kind::Signatures, None, Some(user_id), to_json(&payload)?)
        }
        Change::Rewritten { room_nid, event_nids } => {
            let payload = RewrittenPayload { e: event_nids.iter().map(|nid| nid.0).collect() };
            row(Kind::Rewritten, Some(*room_nid), None, to_json(&payload)?)
        }
        Change::Forgotten { user_id, room_nid } => {
            row(Kind::Forgotten, Some(*room_nid), Some(user_id), nothing())
        }
    })
}

/// Read a row of `log`.
pub(super) fn decode(row: &Row) -> Result<Change, Box<Unknown>> {
    let Some(kind) = Kind::from_number(row.kind) else { return Err(Unknown::kind(row)) };
    decode_known(kind, row).map_err(|error| Unknown::payload(row, error))
}

fn decode_known(kind: Kind, row: &Row) -> Result<Change, StorageError> {
    let room_nid = row.room_nid.map(RoomNid);
    let room = || room_nid.ok_or_else(|| StorageError::inconsistent("log.room_nid")("missing"));
    let user = || {
        let user_id = row.user_id.as_deref();
        let user_id =
            user_id.ok_or_else(|| StorageError::inconsistent("log.user_id")("missing"))?;
        OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("log.user_id"))
    };
    Ok(match kind {
        Kind::StateReset => {
            let payload: StateResetPayload = from_json(&row.payload)?;
            Change::StateReset {
                room_nid: room()?,
                state_key_nid: StateKeyNid(payload.k),
                event_nid: payload.e.map(EventNid),
            }
        }
        Kind::Receipt => {
            let payload: ReceiptPayload = from_json(&row.payload)?;
            Change::Receipt {
                room_nid: room()?,
                user_id: user()?,
                receipt_type: payload.r,
                thread_id: payload.t,
                event_id: payload.e,
                event_pos: StreamPos(payload.p),
                ts: payload.ts,
            }
        }
        Kind::AccountData => {
            let payload: AccountDataPayload = from_json(&row.payload)?;
            Change::AccountData {
                user_id: user()?,
                room_nid,
                data_type: payload.t,
                content: payload.c.into(),
            }
        }
        Kind::Sessions => Change::Sessions { user_id: user()? },
        Kind::Account => Change::Account { user_id: user()? },
        Kind::Profile => Change::Profile { user_id: user()? },
        Kind::DeviceList => Change::DeviceList { user_id: user()? },
        Kind::ToDevice => {
            let payload: ToDevicePayload = from_json(&row.payload)?;
            Change::ToDevice { user_id: user()?, device_ids: payload.d }
        }
        Kind::KeyCounts => Change::KeyCounts { user_id: user()? },
        Kind::Signatures => {
            let payload: SignaturesPayload = from_json(&row.payload)?;
            Change::Signatures { user_id: user()?, signed: payload.s.into() }
        }
        Kind::Rewritten => {
            let payload: RewrittenPayload = from_json(&row.payload)?;
            let event_nids = payload.e.into_iter().map(EventNid).collect();
            Change::Rewritten { room_nid: room()?, event_nids }
        }
        Kind::Forgotten => Change::Forgotten { user_id: user()?, room_nid: room()? },
    })
}

fn to_json(payload: &impl Serialize) -> Result<String, StorageError> {
    serde_json::to_string(payload).map_err(StorageError::inconsistent("log.payload"))
}

fn from_json<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, StorageError> {
    serde_json::from_str(payload).map_err(StorageError::inconsistent("log.payload"))
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, user_id};

    use super::*;

    fn changes() -> Vec<Change> {
        let (room_nid, user_id) = (RoomNid(3), user_id!("@alice:example.org").to_owned());
        let content = RawValue::from_string(r#"{"a":[1,2]}"#.to_owned()).unwrap();
        let (state_key_nid, event_nid) = (StateKeyNid(5), Some(EventNid(7)));
        vec![
            Change::StateReset { room_nid, state_key_nid, event_nid },
            Change::Receipt {
                room_nid,
                user_id: user_id.clone(),
                receipt_type: "m.read".into(),
                thread_id: "main".into(),
                event_id: event_id!("$e").to_owned(),
                event_pos: StreamPos(9),
                ts: 11,
            },
            Change::AccountData {
                user_id: user_id.clone(),
                room_nid: Some(room_nid),
                data_type: "m.tag".into(),
                content: content.into(),
            },
            Change::Sessions { user_id: user_id.clone() },
            Change::Account { user_id: user_id.clone() },
            Change::Profile { user_id: user_id.clone() },
            Change::DeviceList { user_id: user_id.clone() },
            Change::ToDevice { user_id: user_id.clone(), device_ids: vec!["A".into()] },
            Change::KeyCounts { user_id: user_id.clone() },
            Change::Signatures { user_id: user_id.clone(), signed: [user_id.clone()].into() },
            Change::Rewritten { room_nid, event_nids: [EventNid(7), EventNid(8)].into() },
            Change::Forgotten { user_id, room_nid },
        ]
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let mut kinds = Vec::new();
        for change in changes() {
            let row = encode(&change).unwrap().unwrap();
            kinds.extend(Kind::from_number(row.kind));
            let read = decode(&row).map_err(|_| "unknown").unwrap();
            assert_eq!(format!("{read:?}"), format!("{change:?}"));
        }
        let missing: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !kinds.contains(kind)).collect();
        assert!(missing.is_empty(), "no entry of {missing:?} is among the changes of this test");
    }
}
