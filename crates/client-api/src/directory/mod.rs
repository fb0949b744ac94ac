//! The rooms listed in public (client-server API, "Published room directory").

mod get_public_rooms;
mod get_public_rooms_filtered;
mod get_room_visibility;
pub(crate) mod room_chunk;
mod set_room_visibility;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{
    auth_scheme::{AccessToken, AccessTokenOptional},
    client::directory,
};

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        // Whether it asks for a token is a setting.
        .raw::<AccessTokenOptional, _, _>(
            "get_public_rooms",
            Method::GET,
            &["/_matrix/client/v3/publicRooms", "/_matrix/client/r0/publicRooms"],
            get_public_rooms::handler,
        )
        .endpoint::<directory::get_public_rooms_filtered::v3::Request, _, _>(
            get_public_rooms_filtered::handler,
        )
        .raw::<AccessToken, _, _>(
            "directory::set_room_visibility",
            Method::PUT,
            &[
                "/_matrix/client/v3/directory/list/room/{room_id}",
                "/_matrix/client/r0/directory/list/room/{room_id}",
            ],
            set_room_visibility::handler,
        )
        .endpoint::<directory::get_room_visibility::v3::Request, _, _>(get_room_visibility::handler)
}
