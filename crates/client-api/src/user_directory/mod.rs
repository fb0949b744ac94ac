//! The user directory (client-server API, "User Directory").

mod search_users;

use myelin_http::RumaRouter;
use ruma::api::client::user_directory;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<user_directory::search_users::v3::Request, _, _>(search_users::handler)
}
