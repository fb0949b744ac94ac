//! The users who are typing (client-server API, "Typing notifications").

mod create_typing_event;

use myelin_http::RumaRouter;
use ruma::api::client::typing;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<typing::create_typing_event::v3::Request, _, _>(create_typing_event::handler)
}
