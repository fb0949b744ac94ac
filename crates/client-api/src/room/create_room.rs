//! `POST /_matrix/client/v3/createRoom` (client-server API, "Creation").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    create::{CreateRoomError, Options, create_room},
};
use ruma::api::error::ErrorKind;
use serde_json::{Value, json};

use crate::{
    room_error::{add_alias_error, event_error, invite_blocked},
    room_input::json_text,
};

#[tracing::instrument(name = "client.room.create", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let body = json_text(&req, true)?;
    limits.message.check_caller(&req.requester)?;
    limits.room_creation.check_caller(&req.requester)?;
    let actor = req.requester.active()?;
    let options = Options::parse(&rooms, &actor, body).map_err(to_api_error)?;
    // Whoever may not invite so many one by one may not do it with a new room either.
    limits
        .invites_per_issuer
        .check_caller_many(&req.requester, options.invites())
        .map_err(|_| to_api_error(CreateRoomError::TooManyInvites))?;
    let created = create_room(&rooms, actor, &options).await.map_err(to_api_error)?;
    let mut answer = json!({"room_id": created.room_id});
    if let (Some(alias), Value::Object(answer)) = (created.alias, &mut answer) {
        answer.insert("room_alias".to_owned(), alias.as_str().into());
    }
    Ok(Json(answer))
}

fn to_api_error(error: CreateRoomError) -> ApiError {
    let text = error.to_string();
    let client = |kind| ApiError::client(StatusCode::BAD_REQUEST, kind, error.to_string());
    match error {
        CreateRoomError::BadJson(_) => ApiError::bad_json(text),
        CreateRoomError::UnsupportedVersion => client(ErrorKind::UnsupportedRoomVersion),
        CreateRoomError::BadUserId(_)
        | CreateRoomError::TooManyInvites
        | CreateRoomError::OverrideWithoutCreator(_)
        | CreateRoomError::AliasWithServer => ApiError::unknown(text),
        CreateRoomError::RemoteUser(_) => {
            ApiError::client(StatusCode::BAD_GATEWAY, ErrorKind::Unknown, text)
        }
        CreateRoomError::ThirdPartyInvite | CreateRoomError::EncryptionForbidden { .. } => {
            ApiError::forbidden(text)
        }
        CreateRoomError::InvitesDisabled => ApiError::forbidden(text),
        CreateRoomError::InviteBlocked => invite_blocked(text),
        CreateRoomError::AliasTaken => client(ErrorKind::RoomInUse),
        CreateRoomError::Alias(error) => add_alias_error(error),
        CreateRoomError::Event(error) => event_error(error),
    }
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use myelin_http::RateLimit;
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/createRoom";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn every_version_can_be_made_and_upgraded_to(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        for version in 1..=12 {
            let version = version.to_string();
            let body = json!({"room_version": version, "name": "N", "topic": "T", "preset": "trusted_private_chat",
                "invite": ["@bob:example.org"], "creation_content": {"test": 1, "room_version": "x"}});
            let room = server.post(PATH, Some(&alice), body).await.ok();
            let room = room["room_id"].as_str().unwrap();
            let state = async |room: &str, kind: &str| {
                let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}");
                server.get(&path, Some(&alice)).await.ok()
            };
            let create = state(room, "m.room.create").await;
            assert_eq!((&create["room_version"], &create["test"]), (&json!(version), &json!(1)));
            assert_eq!(create.get("creator").is_some(), version.parse::<u8>().unwrap() < 11);
            let levels = state(room, "m.room.power_levels").await;
            if version == "12" {
                assert_eq!(create["additional_creators"], json!(["@bob:example.org"]));
                assert_eq!(levels["users"], json!({}));
            } else {
                assert_eq!(levels["users"]["@bob:example.org"], 100);
            }
            let path = format!("/_matrix/client/v3/rooms/{room}/upgrade");
            let new = server.post(&path, Some(&alice), json!({"new_version": version})).await.ok();
            let new = new["replacement_room"].as_str().unwrap();
            assert_eq!(state(room, "m.room.tombstone").await["replacement_room"], new);
            let predecessor = state(new, "m.room.create").await["predecessor"].clone();
            assert_eq!(predecessor["room_id"], room);
            assert_eq!(predecessor.get("event_id").is_some(), version != "12");
            assert_eq!(state(new, "m.room.name").await["name"], "N");
            assert_eq!(state(room, "m.room.power_levels").await["events_default"], 50);
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn public_rooms_have_a_level_for_calls_as_in_synapse(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        for (preset, invite, call) in [
            ("public_chat", 50, json!(50)),
            ("private_chat", 0, json!(null)),
            ("trusted_private_chat", 0, json!(null)),
        ] {
            let room = server.post(PATH, Some(&alice), json!({"preset": preset})).await.ok();
            let room = room["room_id"].as_str().unwrap();
            let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.power_levels");
            let levels = server.get(&path, Some(&alice)).await.ok();
            assert_eq!(
                (&levels["invite"], &levels["events"]["m.call.invite"]),
                (&json!(invite), &call)
            );
            assert_eq!(levels.get("m.call.invite"), None);
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn options_are_checked(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        server.post(PATH, Some(&alice), json!({"room_alias_name": "taken"})).await.ok();
        let refused: [(Value, (u16, &str)); 13] = [
            (json!({"room_version": 1}), (400, "M_BAD_JSON")),
            (json!({"room_version": "99"}), (400, "M_UNSUPPORTED_ROOM_VERSION")),
            (json!({"preset": "x"}), (400, "M_BAD_JSON")),
            (json!({"visibility": "x"}), (400, "M_BAD_JSON")),
            (json!({"name": 1}), (400, "M_BAD_JSON")),
            (json!({"invite": ["x"]}), (400, "M_UNKNOWN")),
            (json!({"room_alias_name": "taken"}), (400, "M_ROOM_IN_USE")),
            (json!({"room_alias_name": "a:b"}), (400, "M_UNKNOWN")),
            (json!({"room_alias_name": "a b"}), (400, "M_INVALID_PARAM")),
            (json!({"initial_state": [{"type": 1}]}), (400, "M_BAD_JSON")),
            (
                json!({"initial_state": [{"type": "a.b", "state_key": null, "content": {}}]}),
                (400, "M_BAD_JSON"),
            ),
            (json!({"creation_content": {"additional_creators": ["x"]}}), (400, "M_BAD_JSON")),
            (
                json!({"power_level_content_override": {"users": {"@alice:example.org": 1}}}),
                (400, "M_BAD_JSON"),
            ),
        ];
        for (body, expect) in refused {
            let answer = server.post(PATH, Some(&alice), body.clone()).await;
            assert_eq!(answer.error(), expect, "{body} {}", answer.text);
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn invites_of_a_new_room_count_as_invites(pool: PgPool) {
        let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
            settings.rate_limits.invites_per_issuer =
                RateLimit { per_second: 0.0001, burst_count: 3.0 };
        })
        .await;
        let alice = server.user("alice").await;
        let invite = |count: usize| {
            let users: Vec<_> =
                (0..count).map(|number| format!("@u{number}:example.org")).collect();
            server.post(PATH, Some(&alice), json!({ "invite": users }))
        };
        assert_eq!(invite(4).await.error(), (400, "M_UNKNOWN"));
        invite(2).await.ok();
        assert_eq!(invite(2).await.error(), (400, "M_UNKNOWN"));
        let state = json!([{ "type": "m.room.member", "state_key": "@u1:example.org", "content": { "membership": "invite" } }]);
        let by_state = || server.post(PATH, Some(&alice), json!({ "initial_state": state }));
        let started = std::time::Instant::now();
        assert_eq!(invite(100_000).await.error(), (400, "M_UNKNOWN"));
        assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());
        by_state().await.ok();
        assert_eq!(by_state().await.error(), (400, "M_UNKNOWN"));
        invite(0).await.ok();
    }
}
