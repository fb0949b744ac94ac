//! `POST /_matrix/client/v3/account/deactivate` (client-server API, "Account deactivation").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, deactivate};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use myelin_rooms::{Rooms, unfinished};
use serde_json::{Value, json};

use crate::{
    Answer,
    uia::{Demand, require_auth},
};

#[tracing::instrument(name = "client.account.deactivate", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    State(rooms): State<Rooms>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(true)?;
    if body.get("erase").is_some_and(|erase| !erase.is_boolean()) {
        return Err(ApiError::bad_json("erase must be true or false"));
    }
    // Users of application services have no password to be asked for.
    let params = if raw.requester.appservice_id().is_some() {
        body
    } else {
        require_auth(
            &accounts,
            &rate_limits,
            &raw,
            body,
            &Demand { token: &token, may_skip: false, kept: &["erase"], new_password: None },
        )
        .await?
        .params
    };
    let erase = params.get("erase").and_then(Value::as_bool).unwrap_or_default();
    let work = deactivate::deactivate(&accounts, &raw.requester.user_id, erase).await?;
    unfinished::finish(&rooms, &work).await;
    // There is no identity server that this server told of the user's addresses.
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
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
    async fn what_the_erased_sent_is_for_whom_they_sent_it_to(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let (bob, carol) = (server.user("bob").await, server.user("carol").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let sent = room.text(&alice, "for bob").await;
        let edit = json!({"msgtype": "m.text", "body": "* for you",
            "m.new_content": {"msgtype": "m.text", "body": "for you"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": sent}});
        room.send(&alice, "m.room.message", edit).await;
        room.text(&bob, "to stay").await;
        room.set_state(&alice, "m.room.topic", json!({"topic": "alice's"})).await;
        room.set_state(&alice, "m.room.topic", json!({"topic": "new"})).await;
        let password = json!({"type": "m.login.password", "password": "secret",
            "identifier": {"type": "m.id.user", "user": "alice"}});
        let body = json!({"erase": true, "auth": password});
        server.post("/_matrix/client/v3/account/deactivate", Some(&alice), body).await.ok();
        room.join(&carol).await;

        let (all, rest) = (vec!["for bob", "* for you", "to stay"], vec!["to stay"]);
        for (reader, expect) in [(&bob, &all), (&carol, &rest)] {
            let page = room.get("messages?dir=f&limit=100", reader).await;
            assert_eq!(bodies(&page.body["chunk"]), *expect, "{}", reader.user_id);
            let context = room.get(&format!("context/{}?limit=20", encode(&sent)), reader).await;
            let event = room.get(&format!("event/{}", encode(&sent)), reader).await;
            let filter = encode(r#"{"room":{"timeline":{"limit":50}}}"#);
            let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}");
            let sync = server.get(&path, Some(reader)).await;
            let timeline = &sync.body["rooms"]["join"][&room.id]["timeline"]["events"];
            assert_eq!(bodies(timeline), *expect, "{}", reader.user_id);
            for answer in [&page, &context, &event, &sync] {
                let is_told =
                    ["for bob", "for you", "alice's"].map(|text| answer.text.contains(text));
                let expected = reader.user_id == bob.user_id;
                let told = is_told.into_iter().any(|is_told| is_told);
                assert_eq!(told, expected, "{}: {}", reader.user_id, answer.text);
            }
            assert_eq!(event.ok()["event_id"], sent.as_str(), "it is there all the same");
        }
        room.text(&bob, "to carol").await;
        let page = room.get("messages?dir=b&limit=1", &carol).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["to carol"]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn needs_the_password_and_is_for_good(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let path = "/_matrix/client/v3/account/deactivate";
        let auth = |password: &str| {
            let identifier = json!({ "type": "m.id.user", "user": "alice" });
            json!({ "auth": { "type": "m.login.password", "password": password, "identifier": identifier } })
        };

        let challenge = server.post(path, Some(&alice), json!({})).await;
        assert_eq!(challenge.body["flows"], json!([{ "stages": ["m.login.password"] }]));
        assert_eq!(server.post(path, Some(&alice), auth("no")).await.error(), (401, "M_FORBIDDEN"));
        let body = server.post(path, Some(&alice), auth("secret")).await.ok();

        assert_eq!(body["id_server_unbind_result"], "success");
        let login = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        let refused = server.post("/_matrix/client/v3/login", None, login).await;
        assert_eq!(refused.error(), (403, "M_USER_DEACTIVATED"));
    }
}
