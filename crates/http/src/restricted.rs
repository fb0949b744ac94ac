//! The endpoints that guests and suspended users may call. What is not on the list is refused, so that a new endpoint is closed
//! to them until somebody decides otherwise.
//!
//! Guests may do what the specification lists (client-server API, "Guest access"), beyond it what Synapse lets them do, and what
//! their clients do by themselves: filters, receipts, logging out.
//!
//! Suspended users may read, keep their account, keys and data, leave rooms and take back what they sent (client-server API,
//! "Account suspension"). Nothing else that others would see is left to them, but for what clients send by themselves: receipts,
//! typing and presence. So they may neither kick, unban and publish, nor make and delete aliases, which Synapse lets them: what they
//! may do is for the server to decide, the aim is to end their activity, and whoever may not even redact what others sent shall
//! not use other power over them. Endpoints that are for many things, such as sending any event, are on the list, and the use case decides.

use http::Method;
use myelin_model::Actor;

use crate::ApiError;

/// The callers that an endpoint is open to. Everybody else may call all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenTo {
    Guests,
    Suspended,
    Both,
}

/// Method and end of the path, with its parameters named as ruma names them or as `*`.
const OPEN: &[(&str, &str, OpenTo)] = &[
    ("GET", "/account/whoami", OpenTo::Guests),
    ("GET", "/capabilities", OpenTo::Guests),
    ("GET", "/devices", OpenTo::Guests),
    ("GET", "/devices/*", OpenTo::Guests),
    ("PUT", "/devices/*", OpenTo::Both),
    ("DELETE", "/devices/*", OpenTo::Both),
    ("GET", "/events", OpenTo::Guests),
    ("POST", "/keys/upload", OpenTo::Both),
    ("POST", "/keys/upload/*", OpenTo::Both),
    ("POST", "/keys/signatures/upload", OpenTo::Both),
    ("POST", "/keys/query", OpenTo::Both),
    ("POST", "/keys/claim", OpenTo::Both),
    ("GET", "/keys/changes", OpenTo::Guests),
    ("GET", "/joined_rooms", OpenTo::Guests),
    ("GET", "/profile/*", OpenTo::Guests),
    ("GET", "/profile/*/*", OpenTo::Guests),
    ("PUT", "/profile/*/displayname", OpenTo::Guests),
    ("PUT", "/profile/*/*", OpenTo::Guests),
    ("DELETE", "/profile/*/*", OpenTo::Guests),
    ("POST", "/user/*/filter", OpenTo::Both),
    ("GET", "/user/*/filter/*", OpenTo::Guests),
    ("GET", "/pushrules", OpenTo::Guests),
    ("GET", "/rooms/*/state", OpenTo::Guests),
    ("GET", "/rooms/*/state/*", OpenTo::Guests),
    ("GET", "/rooms/*/state/*/*", OpenTo::Guests),
    ("PUT", "/rooms/*/state/*", OpenTo::Both),
    ("PUT", "/rooms/*/state/*/*", OpenTo::Both),
    ("GET", "/rooms/*/context/*", OpenTo::Guests),
    ("GET", "/rooms/*/event/*", OpenTo::Guests),
    ("GET", "/rooms/*/messages", OpenTo::Guests),
    ("GET", "/rooms/*/members", OpenTo::Guests),
    ("GET", "/rooms/*/initialSync", OpenTo::Guests),
    ("GET", "/rooms/*/relations/*", OpenTo::Guests),
    ("GET", "/rooms/*/relations/*/*", OpenTo::Guests),
    ("GET", "/rooms/*/relations/*/*/*", OpenTo::Guests),
    ("GET", "/rooms/*/hierarchy", OpenTo::Guests),
    ("GET", "/rooms/*/summary", OpenTo::Guests),
    ("GET", "/summary/*", OpenTo::Guests),
    ("GET", "/room_summary/*", OpenTo::Guests),
    ("POST", "/join/*", OpenTo::Guests),
    ("POST", "/rooms/*/join", OpenTo::Guests),
    ("POST", "/rooms/*/leave", OpenTo::Both),
    ("POST", "/rooms/*/forget", OpenTo::Both),
    ("POST", "/rooms/*/receipt/*/*", OpenTo::Both),
    ("POST", "/rooms/*/read_markers", OpenTo::Both),
    ("PUT", "/rooms/*/typing/*", OpenTo::Both),
    ("PUT", "/rooms/*/send/*/*", OpenTo::Both),
    ("PUT", "/rooms/*/redact/*/*", OpenTo::Suspended),
    ("PUT", "/sendToDevice/*/*", OpenTo::Both),
    ("GET", "/publicRooms", OpenTo::Guests),
    ("POST", "/publicRooms", OpenTo::Both),
    ("GET", "/sync", OpenTo::Guests),
    ("POST", "/sync", OpenTo::Both),
    ("POST", "/logout", OpenTo::Both),
    ("POST", "/logout/all", OpenTo::Both),
    ("POST", "/register", OpenTo::Guests),
    ("GET", "/thirdparty/protocols", OpenTo::Guests),
    ("GET", "/thirdparty/protocol/*", OpenTo::Guests),
    ("GET", "/thirdparty/user", OpenTo::Guests),
    ("GET", "/thirdparty/location", OpenTo::Guests),
    ("GET", "/thirdparty/user/*", OpenTo::Guests),
    ("GET", "/thirdparty/location/*", OpenTo::Guests),
    ("GET", "/voip/turnServer", OpenTo::Guests),
    ("GET", "/versions", OpenTo::Guests),
    ("GET", "/media/download/*/*", OpenTo::Guests),
    ("GET", "/media/download/*/*/*", OpenTo::Guests),
    ("GET", "/media/thumbnail/*/*", OpenTo::Guests),
    ("GET", "/media/config", OpenTo::Guests),
    ("POST", "/rooms/*/send/*", OpenTo::Suspended),
    ("POST", "/rooms/*/redact/*", OpenTo::Suspended),
    ("POST", "/delete_devices", OpenTo::Suspended),
    ("POST", "/keys/device_signing/upload", OpenTo::Suspended),
    ("POST", "/room_keys/version", OpenTo::Suspended),
    ("PUT", "/room_keys/version/*", OpenTo::Suspended),
    ("DELETE", "/room_keys/version/*", OpenTo::Suspended),
    ("PUT", "/room_keys/keys", OpenTo::Suspended),
    ("PUT", "/room_keys/keys/*", OpenTo::Suspended),
    ("PUT", "/room_keys/keys/*/*", OpenTo::Suspended),
    ("DELETE", "/room_keys/keys", OpenTo::Suspended),
    ("DELETE", "/room_keys/keys/*", OpenTo::Suspended),
    ("DELETE", "/room_keys/keys/*/*", OpenTo::Suspended),
    ("POST", "/login/get_token", OpenTo::Suspended),
    ("POST", "/account/password", OpenTo::Suspended),
    ("POST", "/account/deactivate", OpenTo::Suspended),
    ("POST", "/account/3pid", OpenTo::Suspended),
    ("POST", "/account/3pid/add", OpenTo::Suspended),
    ("PUT", "/presence/*/status", OpenTo::Suspended),
    ("PUT", "/user/*/account_data/*", OpenTo::Suspended),
    ("PUT", "/user/*/rooms/*/account_data/*", OpenTo::Suspended),
    ("DELETE", "/user/*/account_data/*", OpenTo::Suspended),
    ("DELETE", "/user/*/rooms/*/account_data/*", OpenTo::Suspended),
    ("PUT", "/user/*/rooms/*/tags/*", OpenTo::Suspended),
    ("DELETE", "/user/*/rooms/*/tags/*", OpenTo::Suspended),
    ("PUT", "/pushrules", OpenTo::Suspended),
    ("PUT", "/pushrules/*", OpenTo::Suspended),
    ("DELETE", "/pushrules", OpenTo::Suspended),
    ("DELETE", "/pushrules/*", OpenTo::Suspended),
    ("POST", "/pushers/set", OpenTo::Suspended),
    ("POST", "/user/*/openid/request_token", OpenTo::Suspended),
    ("POST", "/search", OpenTo::Suspended),
    ("POST", "/user_directory/search", OpenTo::Suspended),
];

/// Refuse who may not call the endpoint at `path`, a route as it is mounted.
pub(crate) fn check(actor: &Actor, method: &Method, path: &str) -> Result<(), ApiError> {
    if actor.is_guest && !is_open(OpenTo::Guests, method, path) {
        return Err(ApiError::guest_access_forbidden("Guest access not allowed"));
    }
    // The suspended may read everything.
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !reads && !is_open(OpenTo::Suspended, method, path) {
        actor.active()?;
    }
    Ok(())
}

fn is_open(caller: OpenTo, method: &Method, path: &str) -> bool {
    let route = path.trim_end_matches('/');
    OPEN.iter().any(|(allowed, end, open_to)| {
        let method_fits = method == *allowed || (method == Method::HEAD && *allowed == "GET");
        method_fits && (*open_to == caller || *open_to == OpenTo::Both) && ends_with(route, end)
    })
}

/// Whether `route` is a prefix of the client-server API with the segments of `end` after it, and nothing between them.
pub(crate) fn ends_with(route: &str, end: &str) -> bool {
    let Some(route) = route.strip_prefix("/_matrix/client/") else { return false };
    let mut route = route.rsplit('/');
    let mut end = end.trim_start_matches('/').rsplit('/');
    let fits = end.all(|wanted| {
        route
            .next()
            .is_some_and(|is| if wanted == "*" { is.starts_with('{') } else { is == wanted })
    });
    let mut prefix: Vec<&str> = route.collect();
    prefix.reverse();
    fits && match &*prefix {
        [] | ["r0" | "v1" | "v2" | "v3" | "unstable"] | ["api", "v1"] => true,
        // The name of an unstable feature.
        ["unstable", feature] | ["unstable", feature, "v3"] => feature.contains('.'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_by_whole_paths() {
        let cases = [
            (Method::GET, "/_matrix/client/v3/sync", true),
            (Method::GET, "/_matrix/client/r0/devices/{device_id}", true),
            (Method::POST, "/_matrix/client/v3/delete_devices", false),
            (Method::POST, "/_matrix/client/v3/createRoom", false),
            (Method::PUT, "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", true),
            (Method::GET, "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/tags", false),
            (Method::POST, "/_matrix/client/v3/rooms/{room_id}/invite", false),
            (Method::GET, "/_matrix/client/versions", true),
            (Method::GET, "/_matrix/client/unstable/org.matrix.msc3575/sync", true),
            (Method::GET, "/_matrix/client/v3/admin.tools/sync", false),
            (Method::GET, "/_matrix/client/v3/voice/sync", false),
            (Method::GET, "/_synapse/admin/v1/devices", false),
        ];
        for (method, path, expected) in cases {
            assert_eq!(is_open(OpenTo::Guests, &method, path), expected, "{method} {path}");
        }
    }
}
