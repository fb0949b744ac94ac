//! The answers to the errors of room use cases.

use http::StatusCode;
use myelin_engine::{RelationError, ShapeError};
use myelin_events::auth::AuthError;
use myelin_http::ApiError;
use myelin_rooms::{EventError, SendError, alias::add::AddAliasError, membership::MembershipError};
use ruma::api::error::ErrorKind;

pub(crate) fn event_error(error: EventError) -> ApiError {
    let text = error.to_string();
    match error {
        EventError::UnknownRoom => ApiError::forbidden(text),
        EventError::Forbidden(
            AuthError::Malformed(_)
            | AuthError::MalformedMember(_)
            | AuthError::CreatorInPowerLevels
            | AuthError::CreateNotFirst
            | AuthError::CreateRoomId
            | AuthError::CreateRoomVersion,
        ) => ApiError::bad_json(text),
        EventError::Forbidden(_) => ApiError::forbidden(text),
        EventError::TooLarge(_) => ApiError::too_large(text),
        EventError::BadContent(_) => ApiError::bad_json(text),
        EventError::CreatedAlready | EventError::RedactsNothing => ApiError::bad_json(text),
        EventError::Shape(error) => shape_error(&error),
        EventError::Relation(error) => relation_error(error),
        EventError::InvalidAlias(_) | EventError::RedactsTwo => ApiError::invalid_param(text),
        EventError::AliasOfOtherRoom(_) => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::BadAlias, text)
        }
        EventError::CallInPublicRoom => ApiError::forbidden(text),
        EventError::RedactedNotFound => ApiError::not_found(text),
        EventError::RedactionForbidden(_) => ApiError::forbidden(text),
        EventError::RedactedElsewhere => ApiError::unknown(text),
        EventError::Storage(error) => error.into(),
        EventError::Busy | EventError::NotLoaded | EventError::ConflictTooLarge => {
            ApiError::internal(error)
        }
    }
}

fn shape_error(error: &ShapeError) -> ApiError {
    let text = error.to_string();
    match error {
        ShapeError::Missing(_)
        | ShapeError::NotText(_)
        | ShapeError::NotState(_)
        | ShapeError::ReplacedByItself => ApiError::unknown(text),
        ShapeError::AclDeniesSelf
        | ShapeError::NotTextOrNull(_)
        | ShapeError::RedactionAsState
        | ShapeError::NotLevel(_)
        | ShapeError::NotLevels(_)
        | ShapeError::Mentions
        | ShapeError::Retention => ApiError::bad_json(text),
    }
}

fn relation_error(error: RelationError) -> ApiError {
    let text = error.to_string();
    match error {
        RelationError::Duplicate => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::DuplicateAnnotation, text)
        }
        RelationError::UnknownEvent
        | RelationError::OtherRoom
        | RelationError::NoKey
        | RelationError::KeyTooLong
        | RelationError::ThreadOnRelation => ApiError::unknown(text),
    }
}

pub(crate) fn send_error(error: SendError) -> ApiError {
    match error {
        SendError::TxnIdTooLong => ApiError::invalid_param(error.to_string()),
        SendError::Suspended(error) => error.into(),
        SendError::Event(error) => event_error(error),
    }
}

pub(crate) fn membership_error(error: MembershipError) -> ApiError {
    let text = error.to_string();
    match error {
        MembershipError::NoServers | MembershipError::NotKnownRoom => {
            ApiError::client(StatusCode::NOT_FOUND, ErrorKind::Unknown, text)
        }
        MembershipError::TargetNotInRoom
        | MembershipError::GuestsForbidden
        | MembershipError::NotInAllowedRooms
        | MembershipError::InvitesDisabled => ApiError::forbidden(text),
        MembershipError::InviteBlocked => invite_blocked(text),
        MembershipError::NotBanned { .. } | MembershipError::Banned { .. } => {
            ApiError::client(StatusCode::FORBIDDEN, ErrorKind::BadState, text)
        }
        MembershipError::NoAuthoriser => {
            ApiError::client(StatusCode::FORBIDDEN, ErrorKind::Forbidden, text)
        }
        MembershipError::RemoteUser(_) => {
            ApiError::client(StatusCode::BAD_GATEWAY, ErrorKind::Unknown, text)
        }
        MembershipError::DisplayNameTooLong | MembershipError::AvatarUrlTooLong => {
            ApiError::bad_json(text)
        }
        MembershipError::Suspended(error) => error.into(),
        MembershipError::Event(error) => event_error(error),
    }
}

pub(crate) fn invite_blocked(text: String) -> ApiError {
    ApiError::with_fields(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", text, [])
}

pub(crate) fn add_alias_error(error: AddAliasError) -> ApiError {
    let text = error.to_string();
    match error {
        AddAliasError::Remote | AddAliasError::BadCharacters | AddAliasError::TooLong => {
            ApiError::invalid_param(text)
        }
        AddAliasError::UnknownRoom => ApiError::unknown(text),
        AddAliasError::NotInRoom | AddAliasError::NotAllowed => ApiError::forbidden(text),
        AddAliasError::Namespace(_) => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Exclusive, text)
        }
        AddAliasError::Taken(_) => ApiError::client(StatusCode::CONFLICT, ErrorKind::Unknown, text),
        AddAliasError::Storage(error) => error.into(),
    }
}
