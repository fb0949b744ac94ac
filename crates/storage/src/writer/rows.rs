//! The rows of a batch, and how they become the columns that the function `append_batch` takes.

use std::sync::LazyLock;

use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::migrate::functions;

/// Declares groups of rows. Each becomes a struct for one row and one for many, which keeps every field as a column of its own, and
/// all of them together become [`Columns`], which call the function: a column is the parameter that is named by the group's letter and
/// the field, such as `e_nid`.
macro_rules! rows {
    ($(
        $(#[$about:meta])*
        $letter:ident $group:ident: $Rows:ident of $Row:ident $(<$life:lifetime>)? {
            $($field:ident: $type:ty,)*
        }
    )*) => {
        $(
            $(#[$about])*
            pub(super) struct $Row $(<$life>)? {
                $(pub(super) $field: $type,)*
            }

            #[derive(Default)]
            pub(super) struct $Rows $(<$life>)? {
                $($field: Vec<$type>,)*
            }

            impl $(<$life>)? $Rows $(<$life>)? {
                pub(super) fn push(&mut self, row: $Row $(<$life>)?) {
                    $(self.$field.push(row.$field);)*
                }
            }
        )*

        /// All rows of a batch.
        #[derive(Default)]
        pub(super) struct Columns<'a> {
            $(pub(super) $group: $Rows $(<$life>)?,)*
        }

        impl<'a> Columns<'a> {
            /// The parameters of the function, in the order in which they are bound.
            const PARAMETERS: &'static [&'static str] = &[
                $($(concat!(stringify!($letter), "_", stringify!($field)),)*)*
            ];

            /// The call of `append_batch`.
            pub(super) fn into_query(self) -> Query<'a, Postgres, PgArguments> {
                static SQL: LazyLock<String> =
                    LazyLock::new(|| functions::call("append_batch", Columns::PARAMETERS));
                let query = sqlx::query(SQL.as_str());
                $($(let query = query.bind(self.$group.$field);)*)*
                query
            }
        }
    };
}

rows! {
    /// A room that is appended to: the head that the writer built upon and the one it leaves.
    r rooms: RoomRows of RoomRow<'a> {
        nid: i64,
        id: &'a str,
        room_version: &'a str,
        expected: i64, // the newest event built upon; 0: the room is new
        version: i64, // the newest event now
        depth: i64,
        extremities: String, // as an array's text: arrays of arrays have rows of one length only
        state: i64,
        ordinal: i64,
        built_on: String, // the extremities built upon, as text, too
        built_state: i64, // 0: nothing may have come in between
        built_ordinal: i64,
    }

    e events: EventRows of EventRow<'a> {
        room: i64,
        nid: i64,
        depth: i64,
        ts: i64,
        state_key: Option<i64>,
        before: Option<i64>,
        after: Option<i64>,
        replaces: Option<i64>,
        redacts: Option<i64>,
        redacted_by: Option<i64>,
        ordinal: i64,
        flags: i16,
        membership: Option<i16>,
        id: &'a str,
        event_type: &'a str,
        sender: &'a str,
        json: &'a str,
    }

    /// An event of another server, and what the writer knows to be stored of it.
    a arrivals: ArrivalRows of ArrivalRow<'a> {
        room: i64,
        event: i64,
        id: &'a str,
        looked_up: bool,
        stored: bool,
        pos: Option<i64>,
        ts: i64,
    }

    /// A redaction whose target is not known yet.
    d late_redactions: LateRedactionRows of LateRedactionRow<'a> {
        room: i64,
        redaction: i64,
        target: &'a str,
        powerful: bool,
    }

    /// The state of a room that this server is not in, as it was told.
    o outside: OutsideRows of OutsideRow<'a> {
        room: i64,
        event: i64,
        stripped: &'a str,
    }

    /// A gap: an event that another one follows, and that is not there.
    g missing: MissingRows of MissingRow<'a> {
        room: i64,
        event: i64,
        missing: &'a str,
    }

    /// A snapshot of the state.
    s snapshots: SnapshotRows of SnapshotRow<'a> {
        room: i64,
        nid: i64,
        base: Option<i64>,
        delta: &'a [u8],
    }

    /// A membership that changes. Without an event the user has none any more.
    m memberships: MembershipRows of MembershipRow<'a> {
        room: i64,
        user: &'a str,
        membership: Option<i16>,
        event: Option<i64>,
    }

    /// The transaction ID that an event was sent with.
    t transactions: TransactionRows of TransactionRow<'a> {
        room: i64,
        user: &'a str,
        device: &'a str,
        path: &'a str,
        txn: &'a str,
        event: i64,
        ts: i64,
    }

    c chain_places: ChainPlaceRows of ChainPlaceRow {
        room: i64,
        event: i64,
        chain: i64,
        seq: i32,
    }

    /// A link of the chain cover.
    l chain_links: ChainLinkRows of ChainLinkRow {
        room: i64,
        chain: i64,
        seq: i32,
        target_chain: i64,
        target_seq: i32,
    }

    /// A change of a room's state that does not follow from its events: an entry of the log.
    x resets: ResetRows of ResetRow {
        room: i64,
        kind: i16,
        payload: String,
    }

    p receipts: ReceiptRows of ReceiptRow<'a> {
        room: i64,
        user: &'a str,
        receipt_type: &'a str,
        thread: &'a str,
        event: i64,
        event_pos: i64,
        ts: i64,
        payload: String,
    }

    /// A request that sends messages to devices, by the transaction that it is known by.
    z requests: RequestRows of RequestRow<'a> {
        user: &'a str,
        device: &'a str,
        event_type: &'a str,
        txn: &'a str,
        ts: i64,
    }

    /// The messages of a request for the devices of one user: an entry of the log.
    v deliveries: DeliveryRows of DeliveryRow<'a> {
        request: i64, // its place in the batch, from 1
        user: &'a str,
        payload: String,
    }

    /// A message for a device.
    w messages: DeviceMessageRows of DeviceMessageRow<'a> {
        request: i64,
        delivery: i64, // its place in the batch, from 1
        user: &'a str,
        device: &'a str,
        message: &'a str,
    }
}
