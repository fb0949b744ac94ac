//! The data that users store for their clients: account data, filters, tags (client-server API, "Client Config",
//! "Filtering", "Room Tagging").

mod create_filter;
mod create_tag;
mod delete_account_data;
mod delete_tag;
mod get_account_data;
mod get_filter;
mod get_tags;
mod set_account_data;

use http::Method;
use myelin_http::{ApiError, Raw, RumaRouter};
use myelin_model::RoomNid;
use myelin_rooms::Rooms;
use ruma::api::{
    auth_scheme::AccessToken,
    client::{config, filter, tag},
};

use crate::{ClientApi, room_input::room_id_at};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<config::get_global_account_data::v3::Request, _, _>(get_account_data::global)
        .endpoint::<config::get_room_account_data::v3::Request, _, _>(get_account_data::room)
        .endpoint::<config::set_global_account_data::v3::Request, _, _>(set_account_data::global)
        .endpoint::<config::set_room_account_data::v3::Request, _, _>(set_account_data::room)
        .raw::<AccessToken, _, _>(
            "config::delete_global_account_data",
            Method::DELETE,
            delete_account_data::GLOBAL,
            delete_account_data::global,
        )
        .raw::<AccessToken, _, _>(
            "config::delete_room_account_data",
            Method::DELETE,
            delete_account_data::ROOM,
            delete_account_data::room,
        )
        .endpoint::<filter::create_filter::v3::Request, _, _>(create_filter::handler)
        .endpoint::<filter::get_filter::v3::Request, _, _>(get_filter::handler)
        .endpoint::<tag::get_tags::v3::Request, _, _>(get_tags::handler)
        .endpoint::<tag::create_tag::v3::Request, _, _>(create_tag::handler)
        .endpoint::<tag::delete_tag::v3::Request, _, _>(delete_tag::handler)
}

/// Whether the path means the caller.
fn check_caller(raw: &Raw, message: &str) -> Result<(), ApiError> {
    if raw.path_arg(0)? == raw.requester.user_id {
        Ok(())
    } else {
        Err(ApiError::forbidden(message))
    }
}

/// The room that the path means.
async fn room_nid(rooms: &Rooms, raw: &Raw) -> Result<RoomNid, ApiError> {
    let room_id = room_id_at(raw, 1)?;
    rooms.find_nid(&room_id).await?.ok_or_else(|| ApiError::not_found("Unknown room"))
}
