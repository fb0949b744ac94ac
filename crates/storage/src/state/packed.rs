//! The packed form of a difference between two states.
//!
//! Entries sorted by state key number; each is the step from the last key number, then the event number as a zigzag
//! step from the last event number, plus one; zero instead means that the key is removed. All are LEB128 varints. Numbers
//! that were given out together are near each other, so that most entries take three to six bytes.

use myelin_model::{EventNid, StateKeyNid};

/// A difference: what each key becomes. Sorted by key.
pub(super) type Delta = Vec<(StateKeyNid, Option<EventNid>)>;

/// The error for packed bytes that no snapshot can have.
#[derive(Debug, thiserror::Error)]
#[error("a packed state ends early or holds a number out of range")]
pub(super) struct Damaged;

pub(super) fn pack(delta: &Delta) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(delta.len() * 5);
    let (mut last_key, mut last_event) = (0_i64, 0_i64);
    for (key, event) in delta {
        write_varint(&mut bytes, zigzag(key.0.wrapping_sub(last_key)));
        last_key = key.0;
        match event {
            Some(event) => {
                write_varint(&mut bytes, zigzag(event.0.wrapping_sub(last_event)).wrapping_add(1));
                last_event = event.0;
            }
            None => bytes.push(0),
        }
    }
    bytes
}

pub(super) fn unpack(mut bytes: &[u8]) -> Result<Delta, Damaged> {
    let mut delta = Delta::new();
    let (mut last_key, mut last_event) = (0_i64, 0_i64);
    while !bytes.is_empty() {
        last_key = last_key.wrapping_add(unzigzag(read_varint(&mut bytes)?));
        let event = match read_varint(&mut bytes)? {
            0 => None,
            step => {
                last_event = last_event.wrapping_add(unzigzag(step - 1));
                Some(EventNid(last_event))
            }
        };
        delta.push((StateKeyNid(last_key), event));
    }
    Ok(delta)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Damaged)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(delta: &[(i64, Option<i64>)]) {
        let delta: Delta =
            delta.iter().map(|(key, event)| (StateKeyNid(*key), event.map(EventNid))).collect();
        assert_eq!(unpack(&pack(&delta)).unwrap(), delta);
    }

    #[test]
    fn what_is_packed_comes_back() {
        check(&[]);
        check(&[(1, Some(1)), (2, None), (3, Some(900)), (70_000, Some(12)), (i64::MAX, None)]);
        check(&[(5, Some(i64::MAX / 2)), (6, Some(0))]);
    }

    #[test]
    fn neighbors_take_few_bytes() {
        let delta: Delta =
            (0..1_000).map(|n| (StateKeyNid(5_000 + n), Some(EventNid(80_000 + n * 3)))).collect();
        assert!(pack(&delta).len() < 1_000 * 3);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        assert!(unpack(&[0x80]).is_err());
        assert!(unpack(&[2]).is_err());
        assert!(unpack(&[0xff; 11]).is_err());
    }
}
