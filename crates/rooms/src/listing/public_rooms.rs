//! The rooms that this server lists in public (client-server API, "Published room directory").

use std::{collections::HashMap, sync::Arc};

use myelin_storage::{DirectoryList, DirectoryScope, ListedRoom, RoomHead, StorageError};
use ruma::RoomId;

use super::RoomInfo;
use crate::Rooms;

/// The number of rooms that a page has at most, whatever is asked for.
const PAGE_ROOMS_MAX: usize = 500;

/// The number of rooms that are read at once while looking for those that are wanted.
const READ_ROOMS: usize = 200;

/// The list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListKind {
    /// The server's own list.
    #[default]
    Own,
    /// All lists of this server together.
    All,
    /// A network of an application service: the service and the network.
    Network(String, String),
}

/// The page of the public list that is asked for.
#[derive(Debug, Clone, Default)]
pub struct PublicRoomsQuery {
    pub list: ListKind,
    /// The number of rooms at most. `None`: as many as a page may have.
    pub limit: Option<usize>,
    /// The token of the page, from [`PublicRooms::next`] or [`PublicRooms::prev`]. `None`: the first page.
    pub since: Option<String>,
    /// A text that the name, topic or alias of a wanted room has, in letters of any case.
    pub search_term: Option<String>,
    /// The types of rooms that are wanted; `None` in it stands for rooms without a type.
    pub room_types: Option<Vec<Option<String>>>,
}

/// The page to go on from is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSince {
    /// The token is none of ours.
    #[error("Invalid pagination token")]
    Token,
    #[error("could not read the directory")]
    Storage(#[from] StorageError),
}

/// A page of the list.
#[derive(Debug, Default)]
pub struct PublicRooms {
    /// The rooms, those with the most members first.
    pub rooms: Vec<RoomInfo>,
    /// The token of the next page. `None`: there is nothing more.
    pub next: Option<String>,
    /// The token of the page before. `None`: this is the first.
    pub prev: Option<String>,
    /// The number of rooms that the list has, wanted or not.
    pub total: usize,
}

/// Whether the server's own list has a room. Rooms that this server does not know are in no list.
pub async fn is_listed(rooms: &Rooms, room_id: &RoomId) -> Result<Option<bool>, StorageError> {
    match rooms.db().heads().find_nid(room_id).await? {
        Some(nid) => rooms.db().directory().contains(nid, DirectoryList::default()).await.map(Some),
        None => Ok(None),
    }
}

/// A page of the rooms that this server lists. Tokens count rooms of the whole list, wanted or not.
pub async fn public_rooms(
    rooms: &Rooms,
    query: &PublicRoomsQuery,
) -> Result<PublicRooms, InvalidSince> {
    if !rooms.settings().room_list_enabled {
        return Ok(PublicRooms::default());
    }
    let scope = match &query.list {
        ListKind::Own => DirectoryScope::List(DirectoryList::default()),
        ListKind::All => DirectoryScope::All,
        ListKind::Network(appservice_id, network_id) => {
            DirectoryScope::List(DirectoryList { appservice_id, network_id })
        }
    };
    let limit = query.limit.unwrap_or(PAGE_ROOMS_MAX).clamp(1, PAGE_ROOMS_MAX);
    // Some clients send an empty token for none.
    let start = match query.since.as_deref().filter(|since| !since.is_empty()) {
        None => 0,
        Some(since) => {
            let number = since.strip_prefix('p').ok_or(InvalidSince::Token)?;
            number.parse().map_err(|_| InvalidSince::Token)?
        }
    };
    let list = rooms.db().directory().list(scope).await?;
    let search_term = query.search_term.as_deref().map(str::to_lowercase);

    let (mut found, mut at) = (Vec::new(), start);
    'list: while let Some(batch) =
        list.get(at..list.len().min(at + READ_ROOMS)).filter(|b| !b.is_empty())
    {
        for info in read(rooms, batch).await? {
            at += 1;
            if is_wanted(&info, query, search_term.as_deref()) {
                found.push(info);
            }
            if found.len() == limit {
                break 'list;
            }
        }
    }
    Ok(PublicRooms {
        rooms: found,
        next: (at < list.len()).then(|| format!("p{at}")),
        prev: (start > 0).then(|| format!("p{}", start.saturating_sub(limit))),
        total: list.len(),
    })
}

async fn read(rooms: &Rooms, batch: &[ListedRoom]) -> Result<Vec<RoomInfo>, StorageError> {
    let nids: Vec<_> = batch.iter().map(|room| room.room_nid).collect();
    let heads: HashMap<_, Arc<RoomHead>> = rooms.db().heads().find_many(&nids).await?;
    let ordered: Vec<_> = nids.iter().filter_map(|nid| heads.get(nid).cloned()).collect();
    let counts: HashMap<_, _> =
        batch.iter().map(|room| (room.room_nid, room.joined_members)).collect();
    let mut infos = rooms.room_infos(&ordered).await?;
    for (info, head) in infos.iter_mut().zip(&ordered) {
        info.joined_members = counts.get(&head.room_nid).copied().unwrap_or_default();
    }
    Ok(infos)
}

fn is_wanted(info: &RoomInfo, query: &PublicRoomsQuery, search_term: Option<&str>) -> bool {
    // A list without types is as good as none.
    let types = query.room_types.as_ref().filter(|types| !types.is_empty());
    let has_type = types.is_none_or(|wanted| wanted.contains(&info.room_type));
    let is_found = search_term.is_none_or(|term| {
        [&info.name, &info.topic, &info.canonical_alias]
            .into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(term))
    });
    // What was listed once and closed later is not shown to strangers.
    info.is_open() && has_type && is_found
}
