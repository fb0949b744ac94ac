//! Newtypes over the numbers that the database gives to things.

/// Declares newtypes over `i64`, all with the same derives.
macro_rules! nids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

nids! {
    /// A position in the log. Commit order is position order, with no gaps that fill later.
    ///
    /// Zero is the beginning; backfilled events have negative positions.
    StreamPos,
    /// The number of an event, which a node takes from the database before it appends the event.
    EventNid,
    /// The number of a room, given when this server first hears of it.
    RoomNid,
    /// The number of a pair of event type and state key.
    StateKeyNid,
    /// The number of a state snapshot.
    StateNid,
}

impl StreamPos {
    /// The position before everything.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
