//! Room state: snapshots as packed differences, and the numbers of state keys.

mod keys;
mod packed;
mod snapshots;
mod values;
mod whole;

pub use self::{
    keys::{StateKey, StateKeys},
    snapshots::{NewSnapshot, SnapshotChain, StateMap, States, state_changes},
};
pub(crate) use self::{snapshots::read_each, values::KnownValues, whole::WholeStates};
