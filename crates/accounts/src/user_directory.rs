//! Looking for somebody (client-server API, "User Directory").

use myelin_storage::{StorageError, accounts::FoundUser};
use ruma::UserId;

use crate::Accounts;

/// The number of users that one search finds at most.
const FOUND_MAX: usize = 50;
/// The number of users that a search finds unless it says otherwise.
const FOUND_DEFAULT: usize = 10;
/// The number of words of a search that count. Further ones are ignored.
const WORDS_MAX: usize = 8;

/// The users that a search has found.
#[derive(Debug)]
pub struct SearchResult {
    pub users: Vec<FoundUser>,
    /// There are more users than these.
    pub limited: bool,
}

/// Find users by the beginnings of their names.
pub async fn search(
    accounts: &Accounts,
    searcher: &UserId,
    term: &str,
    limit: Option<u64>,
) -> Result<SearchResult, StorageError> {
    let words: Vec<String> = term
        .split_whitespace()
        .map(|word| word.trim_start_matches('@').to_owned())
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .collect();
    let limit = limit
        .map_or(FOUND_DEFAULT, |limit| usize::try_from(limit).unwrap_or(FOUND_MAX))
        .min(FOUND_MAX);
    if words.is_empty() || !accounts.settings().user_directory_enabled {
        return Ok(SearchResult { users: vec![], limited: false });
    }
    // One more, to know whether there are more.
    let count = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let everybody = accounts.settings().user_directory_search_all_users;
    let mut users =
        accounts.db().user_directory().search(searcher, &words, everybody, count).await?;
    let limited = users.len() > limit;
    users.truncate(limit);
    Ok(SearchResult { users, limited })
}
