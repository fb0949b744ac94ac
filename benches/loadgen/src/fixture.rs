//! Users and rooms, made before anything is measured.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sha1::Sha1;

use crate::client::{Client, escape, text};

/// Requests under way at once while preparing.
const PREPARING_CONCURRENCY: usize = 8;

/// How much to make.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) rooms: usize,
    pub(crate) members: usize,
}

/// A registered user.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) token: String,
}

/// A room, and which of the users are in it.
pub(crate) struct Room {
    /// The room id, escaped for paths.
    pub(crate) path: String,
    pub(crate) members: Vec<usize>,
}

/// What the scenarios work on.
pub(crate) struct Fixture<'a> {
    pub(crate) client: &'a Client,
    pub(crate) users: Vec<User>,
    pub(crate) rooms: Vec<Room>,
    /// Different in each run, so that a server can be measured again.
    pub(crate) run: String,
}

/// The password of every user made here.
pub(crate) const PASSWORD: &str = "a load generator's password";

impl<'a> Fixture<'a> {
    /// Registers the users, makes the rooms, and joins the members.
    pub(crate) async fn make(client: &'a Client, secret: &str, size: Size) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let run = format!("{now:x}");
        let bar = progress_bar("users", size.users);
        let users: Vec<User> = stream::iter(0..size.users)
            .map(|number| register(client, secret, format!("load{run}.{number}")))
            .buffered(PREPARING_CONCURRENCY)
            .inspect(|_| bar.inc(1))
            .try_collect()
            .await?;
        bar.finish_and_clear();
        let bar = progress_bar("rooms", size.rooms);
        let rooms: Vec<Room> = stream::iter(0..size.rooms)
            .map(|number| create_room(client, &users, number, size.members))
            .buffered(PREPARING_CONCURRENCY)
            .inspect(|_| bar.inc(1))
            .try_collect()
            .await?;
        bar.finish_and_clear();
        Ok(Self { client, users, rooms, run })
    }

    /// The user of a worker or a turn, whatever the number.
    pub(crate) fn user(&self, number: usize) -> anyhow::Result<&User> {
        self.users.get(number % self.users.len().max(1)).context("no users were made")
    }

    /// The room of a worker or a turn, whatever the number.
    pub(crate) fn room(&self, number: usize) -> anyhow::Result<&Room> {
        self.rooms.get(number % self.rooms.len().max(1)).context("no rooms were made")
    }

    /// One of the room's members, whatever the number.
    pub(crate) fn member(&self, room: &Room, number: usize) -> anyhow::Result<&User> {
        let member = room
            .members
            .get(number % room.members.len().max(1))
            .context("the room has no members")?;
        self.user(*member)
    }

    /// Sends a text message; `txn` must be new. Gives nothing back, so it costs little.
    pub(crate) async fn send_message(
        &self,
        room: &Room,
        user: &User,
        txn: &str,
    ) -> anyhow::Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{txn}", room.path);
        let body = json!({"msgtype": "m.text", "body": format!("A message of usual length, number {txn}")});
        self.client.send(Method::PUT, &path, Some(&user.token), Some(&body)).await?;
        Ok(())
    }
}

/// A progress bar on standard error.
pub(crate) fn progress_bar(what: &'static str, total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}

/// Registers by shared secret, as Synapse's `register_new_matrix_user` does.
async fn register(client: &Client, secret: &str, name: String) -> anyhow::Result<User> {
    const PATH: &str = "/_synapse/admin/v1/register";
    let nonce = text(&client.call(Method::GET, PATH, None, None).await?, "nonce")?;
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    mac.update(format!("{nonce}\0{name}\0{PASSWORD}\0notadmin").as_bytes());
    let mac: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let body =
        json!({"nonce": nonce, "username": name, "password": PASSWORD, "admin": false, "mac": mac});
    let answer = client.call(Method::POST, PATH, None, Some(&body)).await?;
    Ok(User { name, token: text(&answer, "access_token")? })
}

async fn create_room(
    client: &Client,
    users: &[User],
    number: usize,
    members: usize,
) -> anyhow::Result<Room> {
    let count = members.min(users.len());
    // Rooms overlap, as they do in life: the next one begins a few users further.
    let members: Vec<usize> =
        (0..count).map(|member| (number * 7 + member) % users.len()).collect();
    let token = |member: usize| users.get(member).map(|user| user.token.as_str());
    let creator = members.first().context("a room needs a member")?;
    let body = json!({"preset": "public_chat", "name": format!("Room {number}")});
    let answer = client
        .call(Method::POST, "/_matrix/client/v3/createRoom", token(*creator), Some(&body))
        .await?;
    let path = escape(&text(&answer, "room_id")?);
    for member in members.iter().skip(1) {
        let join = format!("/_matrix/client/v3/join/{path}");
        client.send(Method::POST, &join, token(*member), Some(&json!({}))).await?;
    }
    Ok(Room { path, members })
}
