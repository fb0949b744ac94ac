//! Queries over users and profiles for a user who looks for others.

use ruma::{OwnedUserId, UserId};

use crate::{Db, StorageError, rooms::like_exactly, spellings};

/// A user who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    pub user_id: OwnedUserId,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

/// Reads of the user directory.
#[derive(Debug, Clone, Copy)]
pub struct UserDirectory<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads of the user directory.
    pub fn user_directory(&self) -> UserDirectory<'_> {
        UserDirectory { db: self }
    }
}

impl UserDirectory<'_> {
    /// Find users of this server, other than the searcher, in whose ID or name something begins with each of `words`
    /// (whatever the case of their letters, in the spellings that people use). Unless `everybody`, only those that the searcher shares a room with, or who are in a room of the
    /// public directory.
    #[tracing::instrument(name = "db.user_directory.search", skip_all, fields(user.id = %searcher))]
    pub async fn search(
        &self,
        searcher: &UserId,
        words: &[String],
        everybody: bool,
        count_max: i64,
    ) -> Result<Vec<FoundUser>, StorageError> {
        let (mut numbers, mut patterns) = (Vec::new(), Vec::new());
        for (number, word) in (1_i32..).zip(words) {
            for spelling in spellings(word) {
                numbers.push(number);
                patterns.push(like_exactly(&spelling));
            }
        }
        let joined = myelin_model::Membership::Join.to_i16();
        let rows = sqlx::query!(
            r#"SELECT u.user_id, p.displayname AS "displayname?", p.avatar_url AS "avatar_url?"
               FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id
               WHERE u.user_id <> $1 AND NOT u.deactivated AND NOT u.locked
                 AND NOT EXISTS (
                     SELECT 1 FROM unnest($2::text[], $6::int[]) AS w (word, number) GROUP BY w.number
                     HAVING NOT bool_or(lower(u.user_id) LIKE '@' || w.word || '%'
                                OR ' ' || lower(coalesce(p.displayname, '')) LIKE '% ' || w.word || '%'))
                 AND ($3 OR EXISTS (
                     SELECT 1 FROM memberships theirs
                     WHERE theirs.user_id = u.user_id AND theirs.membership = $4
                       AND (EXISTS (SELECT 1 FROM memberships own WHERE own.user_id = $1
                                    AND own.room_nid = theirs.room_nid AND own.membership = $4)
                            OR EXISTS (SELECT 1 FROM room_directory d WHERE d.room_nid = theirs.room_nid))))
               ORDER BY (p.displayname IS NULL), u.user_id LIMIT $5"#,
            searcher.as_str(),
            &patterns,
            everybody,
            joined,
            count_max,
            &numbers
        )
        .fetch_all(self.db.pool())
        .await?;
        let found = rows.into_iter().filter_map(|row| {
            let user_id = OwnedUserId::try_from(row.user_id)
                .map_err(StorageError::inconsistent("users.user_id"));
            Some(FoundUser {
                user_id: self.db.pool().readable(user_id)?,
                displayname: row.displayname,
                avatar_url: row.avatar_url,
            })
        });
        Ok(found.collect())
    }
}
