//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}` (client-server API, "Event context").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{ContextError, Format, Shown, context},
};
use serde::Deserialize;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

/// The number of events around the event unless the client says otherwise.
const LIMIT_DEFAULT: u64 = 10;

#[derive(Debug, Deserialize)]
struct Query {
    limit: Option<u64>,
    filter: Option<String>,
}

#[tracing::instrument(name = "client.context.get_context", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let (room_id, event_id) = (room_id_at(&req, 0)?, reply::event_id(req.path_arg(1)?)?);
    let query: Query = req.query()?;
    let filter = reply::filter(query.filter.as_deref())?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let context = context(&rooms, &req.requester.user_id, &room_id, &event_id, limit, &filter)
        .await
        .map_err(to_api_error)?;

    let reader = reply::reader(&rooms, &req.requester);
    let format = if filter.is_federation_format() { Format::Federation } else { Format::Room };
    let mut out =
        format!("{{\"start\":\"{}\",\"end\":\"{}\",\"event\":", context.start, context.end);
    context.event.write(&mut out, format, &reader);
    for (key, events) in [
        ("events_before", &context.events_before),
        ("events_after", &context.events_after),
        ("state", &context.state),
    ] {
        out.push_str(",\"");
        out.push_str(key);
        out.push_str("\":");
        Shown::write_all(&mut out, events, format, &reader);
    }
    out.push('}');
    Ok(JsonText(out))
}

fn to_api_error(error: ContextError) -> ApiError {
    match error {
        ContextError::NotFound => ApiError::not_found(error.to_string()),
        ContextError::Forbidden => ApiError::forbidden(error.to_string()),
        ContextError::View(error) => reply::view_error(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, bodies, encode},
        test_server,
    };

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn stands_between_its_neighbors(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let mut sent = Vec::new();
        for n in 0..9 {
            sent.push(room.text(&alice, &n.to_string()).await);
        }

        let context = room.get(&format!("context/{}?limit=5", sent[4]), &alice).await.ok();
        assert_eq!(context["event"]["content"]["body"], "4");
        assert_eq!(bodies(&context["events_before"]), ["3", "2"]);
        assert_eq!(bodies(&context["events_after"]), ["5", "6", "7"]);
        let (start, end) = (context["start"].as_str().unwrap(), context["end"].as_str().unwrap());
        let page = room.get(&format!("messages?dir=b&limit=2&from={start}"), &alice).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["1", "0"]);
        let page = room.get(&format!("messages?dir=f&from={end}"), &alice).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["8"]);

        let alone = room.get(&format!("context/{}?limit=0", sent[4]), &alice).await.ok();
        assert_eq!(alone["events_before"], json!([]));
        assert_eq!(alone["start"].as_str().map(|t| &t[..1]), Some("t"));
        let members = |context: &serde_json::Value| {
            let state = context["state"].as_array().unwrap();
            state.iter().filter(|event| event["type"] == "m.room.member").count()
        };
        assert_eq!(members(&alone), 2);
        let lazy = encode(r#"{"lazy_load_members":true}"#);
        let path = format!("context/{}?limit=2&filter={lazy}", sent[4]);
        assert_eq!(members(&room.get(&path, &alice).await.ok()), 1);
        let carol = server.user("carol").await;
        assert_eq!(room.get(&path, &carol).await.error(), (403, "M_FORBIDDEN"));
    }
}
