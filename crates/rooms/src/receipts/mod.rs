//! Receipts: the events up to which users have read.

mod set_receipt;
mod thread;

pub use self::set_receipt::{ReceiptError, ReceiptKind, set_fully_read, set_receipt};
