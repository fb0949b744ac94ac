//! The numbers that stand in `log.kind`.

/// Declares the kinds once: the names, the numbers, and the way from a number to a name.
macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $number:literal,)*) => {
        /// The kind of an entry that stands in the `log` table. Room events have a table of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(i16)]
        pub(crate) enum Kind {
            $($(#[$about])* $name = $number,)*
        }

        impl Kind {
            /// All kinds.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// `None`: a newer version of the server knows it.
            pub(super) fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

// A number never gets another meaning, and one that is not used any more is not used again. Statements that ask for a kind say its
// name, which is a function of migrations/20261101000000_numbers.sql or of a later migration.
kinds! {
    StateReset = 1,
    Receipt = 2,
    AccountData = 3,
    Sessions = 4,
    Account = 5,
    Profile = 6,
    DeviceList = 7,
    Forgotten = 8,
    ToDevice = 11,
    KeyCounts = 9,
    Signatures = 10,
    Rewritten = 12,
}

impl Kind {
    /// The number that stands in the database.
    pub(crate) fn number(self) -> i16 {
        self as i16
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::{EventFlags, Membership};
    use sqlx::PgPool;

    use super::Kind;

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn the_database_calls_the_same_numbers_by_these_names(pool: PgPool) {
        for (name, number) in [
            ("membership_leave", Membership::Leave.to_i16()),
            ("membership_invite", Membership::Invite.to_i16()),
            ("membership_join", Membership::Join.to_i16()),
            ("membership_knock", Membership::Knock.to_i16()),
            ("membership_ban", Membership::Ban.to_i16()),
            ("flag_linear", EventFlags::LINEAR.0),
            ("flag_branched", EventFlags::BRANCHED.0),
            ("kind_receipt", Kind::Receipt.number()),
            ("kind_device_list", Kind::DeviceList.number()),
            ("kind_to_device", Kind::ToDevice.number()),
        ] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT {name}()"));
            let theirs: i16 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
            assert_eq!(theirs, number, "{name}");
        }
    }
}
