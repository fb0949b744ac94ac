//! Room membership (client-server API, "Room membership").

mod ban;
mod change;
mod forget;
mod get_member_events;
mod invite;
mod join;
mod join_by_alias;
mod joined_members;
mod joined_rooms;
mod kick;
mod knock;
mod leave;
mod resolve;
mod unban;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{auth_scheme::AccessToken, client::membership};

pub(crate) use self::change::change;
use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new()
        .endpoint::<membership::get_member_events::v3::Request, _, _>(get_member_events::handler)
        .endpoint::<membership::joined_members::v3::Request, _, _>(joined_members::handler)
        .endpoint::<membership::joined_rooms::v3::Request, _, _>(joined_rooms::handler);
    /// Mounts a handler on a path under all prefixes.
    macro_rules! post {
        ($name:literal, $path:literal, $handler:path) => {
            for path in paths($path) {
                router = router.raw::<AccessToken, _, _>($name, Method::POST, &[&path], $handler);
            }
        };
    }
    post!("membership::join_room_by_id", "/rooms/{room_id}/join", join::handler);
    post!(
        "membership::join_room_by_id_or_alias",
        "/join/{room_id_or_alias}",
        join_by_alias::handler
    );
    post!("membership::invite_user", "/rooms/{room_id}/invite", invite::handler);
    post!("membership::leave_room", "/rooms/{room_id}/leave", leave::handler);
    post!("membership::kick_user", "/rooms/{room_id}/kick", kick::handler);
    post!("membership::ban_user", "/rooms/{room_id}/ban", ban::handler);
    post!("membership::unban_user", "/rooms/{room_id}/unban", unban::handler);
    post!("membership::forget_room", "/rooms/{room_id}/forget", forget::handler);
    post!("knock::knock_room", "/knock/{room_id_or_alias}", knock::handler);
    router.raw::<AccessToken, _, _>(
        "knock::knock_room",
        Method::POST,
        &["/_matrix/client/unstable/xyz.amorgan.knock/knock/{room_id_or_alias}"],
        knock::handler,
    )
}
