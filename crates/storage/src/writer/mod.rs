//! Group commit: room events, receipts and messages to devices are appended in batches.
//!
//! While one batch is being flushed the next one collects, so that under load a flush is shared by many. A batch is one
//! statement (`append_batch`, or `append_message` for a single message), whatever is in it. Nothing is answered before its
//! batch is flushed and applied on this node.

mod append;
mod batch;
mod columns;
mod message;
mod outcome;
mod rows;
mod task;

pub use self::{
    append::{
        Append, AppendError, Appended, Arrival, BuiltOn, ChainLink, ChainPlace, Delivery, Known,
        LateRedaction, MembershipChange, MissingEvent, NewReceipt, SentToDevice,
    },
    task::{Queued, Writer},
};
