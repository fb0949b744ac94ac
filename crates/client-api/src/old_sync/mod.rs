//! The endpoints that clients used before `/sync` (client-server API, "Syncing" and "Room previews").

mod get_one_event;
mod initial_sync;
mod listen_to_events;
mod room_initial_sync;

use http::Method;
use myelin_http::{ApiError, RumaRouter};
use myelin_sync::{SyncToken, old_sync::EVENTS_DEFAULT};
use ruma::api::auth_scheme::AccessToken;
use serde::Deserialize;

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new();
    for path in paths("/events") {
        let (name, handler) = ("old_sync::listen_to_events", listen_to_events::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/events/{event_id}") {
        let (name, handler) = ("old_sync::get_one_event", get_one_event::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/initialSync") {
        let (name, handler) = ("old_sync::initial_sync", initial_sync::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    for path in paths("/rooms/{room_id}/initialSync") {
        let (name, handler) = ("old_sync::room_initial_sync", room_initial_sync::handler);
        router = router.raw::<AccessToken, _, _>(name, Method::GET, &[&path], handler);
    }
    router
}

/// The parameters by which all of these endpoints are paged. Not every endpoint follows each of them, but all refuse those that
/// are malformed, as Synapse does.
#[derive(Debug, Default, Deserialize)]
struct Paging {
    from: Option<String>,
    to: Option<String>,
    dir: Option<String>,
    limit: Option<String>,
}

/// The page that [`Paging`] asks for.
#[derive(Debug)]
struct Page {
    /// The token after which events are wanted. `None`: those that come from now on.
    from: Option<SyncToken>,
    /// The number of events that are wanted.
    limit: usize,
}

impl Paging {
    fn read(&self) -> Result<Page, ApiError> {
        if let Some(dir) = self.dir.as_deref().filter(|dir| !matches!(*dir, "f" | "b")) {
            let message = format!("Query parameter 'dir' must be one of ['f', 'b'], not {dir:?}");
            return Err(ApiError::invalid_param(message));
        }
        // Old clients send this word for no token, and some an empty one.
        let from = token("from", self.from.as_deref().filter(|text| *text != "END"))?;
        token("to", self.to.as_deref())?;
        let limit = self.limit.as_deref().map_or(Ok(EVENTS_DEFAULT), |text| {
            text.parse().map_err(|_| {
                ApiError::invalid_param("Query parameter limit must be a positive integer.")
            })
        });
        Ok(Page { from, limit: limit? })
    }
}

fn token(name: &str, text: Option<&str>) -> Result<Option<SyncToken>, ApiError> {
    let token = text.filter(|text| !text.is_empty()).map(SyncToken::parse).transpose();
    token.map_err(|_| ApiError::unknown(format!("'{name}' parameter is invalid")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn malformed_pages_are_refused_everywhere(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let of_room = room.path("initialSync");
        for path in ["/_matrix/client/v3/events", "/_matrix/client/v3/initialSync", &of_room] {
            let get = async |query: &str| {
                server.get(&format!("{path}?timeout=0&{query}"), Some(&alice)).await
            };
            for (query, errcode) in [
                ("dir=x", "M_INVALID_PARAM"),
                ("dir=", "M_INVALID_PARAM"),
                ("from=nope", "M_UNKNOWN"),
                ("to=nope", "M_UNKNOWN"),
                ("to=END", "M_UNKNOWN"),
                ("limit=1.5", "M_INVALID_PARAM"),
                ("limit=-1", "M_INVALID_PARAM"),
            ] {
                assert_eq!(get(query).await.error(), (400, errcode), "{path} {query}");
            }
            for query in ["dir=b", "from=END", "from=", "to=", "to=s5_0", "limit=0"] {
                assert_eq!(get(query).await.status, 200, "{path} {query}");
            }
        }
    }
}
