//! Room aliases (client-server API, "Room aliases").

mod add;
mod delete;
mod get_alias;
mod list_aliases;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::{
    auth_scheme::AccessToken,
    client::{alias, room},
};

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new()
        .endpoint::<alias::get_alias::v3::Request, _, _>(get_alias::handler)
        .endpoint::<room::aliases::v3::Request, _, _>(list_aliases::handler);
    for path in paths("/directory/room/{room_alias}") {
        router = router.raw::<AccessToken, _, _>(
            "alias::create_alias",
            Method::PUT,
            &[&path],
            add::handler,
        );
        router = router.raw::<AccessToken, _, _>(
            "alias::delete_alias",
            Method::DELETE,
            &[&path],
            delete::handler,
        );
    }
    router
}
