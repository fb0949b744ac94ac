//! Backups of message keys (client-server API, "Server-side key backups").

mod add_backup_keys;
mod create_backup_version;
mod delete_backup_keys;
mod delete_backup_version;
mod get_backup_info;
mod get_backup_keys;
#[cfg(test)]
mod tests;
mod update_backup_version;

use myelin_e2ee::backup::Counts;
use myelin_http::{ApiError, Raw, RumaRouter};
use ruma::api::client::backup as api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<api::create_backup_version::v3::Request, _, _>(create_backup_version::handler)
        .endpoint::<api::get_latest_backup_info::v3::Request, _, _>(get_backup_info::latest)
        .endpoint::<api::get_backup_info::v3::Request, _, _>(get_backup_info::handler)
        .endpoint::<api::update_backup_version::v3::Request, _, _>(update_backup_version::handler)
        .endpoint::<api::delete_backup_version::v3::Request, _, _>(delete_backup_version::handler)
        .endpoint::<api::add_backup_keys::v3::Request, _, _>(add_backup_keys::all)
        .endpoint::<api::add_backup_keys_for_room::v3::Request, _, _>(add_backup_keys::room)
        .endpoint::<api::add_backup_keys_for_session::v3::Request, _, _>(add_backup_keys::session)
        .endpoint::<api::get_backup_keys::v3::Request, _, _>(get_backup_keys::all)
        .endpoint::<api::get_backup_keys_for_room::v3::Request, _, _>(get_backup_keys::room)
        .endpoint::<api::get_backup_keys_for_session::v3::Request, _, _>(get_backup_keys::session)
        .endpoint::<api::delete_backup_keys::v3::Request, _, _>(delete_backup_keys::all)
        .endpoint::<api::delete_backup_keys_for_room::v3::Request, _, _>(delete_backup_keys::room)
        .endpoint::<api::delete_backup_keys_for_session::v3::Request, _, _>(
            delete_backup_keys::session,
        )
}

#[derive(Debug, Deserialize)]
struct Query {
    version: String,
}

/// The version of the backup that a request for keys means.
fn version(raw: &Raw) -> Result<String, ApiError> {
    Ok(raw.query::<Query>()?.version)
}

/// The state of a backup after its keys were changed.
fn counts(counts: Counts) -> Value {
    json!({ "etag": counts.etag.to_string(), "count": counts.keys_count })
}

/// The algorithm of a backup, and its data, in a body.
fn algorithm(body: &Map<String, Value>) -> Result<(&str, &Map<String, Value>), ApiError> {
    let field = |name: &str| {
        body.get(name).ok_or_else(|| ApiError::missing_param(format!("Missing param {name}")))
    };
    let algorithm = field("algorithm")?.as_str();
    let auth_data = field("auth_data")?.as_object();
    Ok((
        algorithm.ok_or_else(|| ApiError::bad_json("algorithm must be a string"))?,
        auth_data.ok_or_else(|| ApiError::bad_json("auth_data must be an object"))?,
    ))
}
