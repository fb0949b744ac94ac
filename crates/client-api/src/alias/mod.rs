//! Making and deleting room aliases (client-server API, "Room aliases").

mod add;
mod delete;

use http::Method;
use myelin_http::RumaRouter;
use ruma::api::auth_scheme::AccessToken;

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new();
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
