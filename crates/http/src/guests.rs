//! What guests may do (client-server API, "Guest access"), and beyond it what Synapse lets them do.

use http::Method;

/// Method and end of the path, with its parameters named as ruma names them or as `*`.
const ALLOWED: &[(&str, &str)] = &[
    ("GET", "/account/whoami"),
    ("GET", "/capabilities"),
    ("GET", "/devices"),
    ("GET", "/devices/*"),
    ("PUT", "/devices/*"),
    ("DELETE", "/devices/*"),
    ("GET", "/events"),
    ("POST", "/keys/upload"),
    ("POST", "/keys/upload/*"),
    ("POST", "/keys/query"),
    ("POST", "/keys/claim"),
    ("GET", "/keys/changes"),
    ("GET", "/profile/*"),
    ("GET", "/profile/*/*"),
    ("PUT", "/profile/*/displayname"),
    ("PUT", "/profile/*/*"),
    ("DELETE", "/profile/*/*"),
    ("POST", "/user/*/filter"),
    ("GET", "/user/*/filter/*"),
    ("GET", "/pushrules"),
    ("GET", "/rooms/*/state"),
    ("GET", "/rooms/*/state/*"),
    ("GET", "/rooms/*/state/*/*"),
    ("PUT", "/rooms/*/state/*"),
    ("PUT", "/rooms/*/state/*/*"),
    ("GET", "/rooms/*/context/*"),
    ("GET", "/rooms/*/event/*"),
    ("GET", "/rooms/*/messages"),
    ("GET", "/rooms/*/members"),
    ("GET", "/rooms/*/joined_members"),
    ("GET", "/rooms/*/initialSync"),
    ("GET", "/rooms/*/relations/*"),
    ("GET", "/rooms/*/relations/*/*"),
    ("GET", "/rooms/*/relations/*/*/*"),
    ("GET", "/rooms/*/hierarchy"),
    ("GET", "/rooms/*/summary"),
    ("GET", "/summary/*"),
    ("GET", "/room_summary/*"),
    ("POST", "/join/*"),
    ("POST", "/rooms/*/join"),
    ("POST", "/rooms/*/leave"),
    ("POST", "/rooms/*/forget"),
    ("POST", "/rooms/*/receipt/*/*"),
    ("POST", "/rooms/*/read_markers"),
    ("PUT", "/rooms/*/typing/*"),
    ("PUT", "/rooms/*/send/*/*"),
    ("PUT", "/rooms/*/redact/*/*"),
    ("PUT", "/sendToDevice/*/*"),
    ("GET", "/publicRooms"),
    ("POST", "/publicRooms"),
    ("GET", "/sync"),
    ("POST", "/sync"),
    ("POST", "/logout"),
    ("POST", "/logout/all"),
    ("POST", "/register"),
    ("GET", "/thirdparty/protocols"),
    ("GET", "/thirdparty/protocol/*"),
    ("GET", "/thirdparty/user"),
    ("GET", "/thirdparty/location"),
    ("GET", "/thirdparty/user/*"),
    ("GET", "/thirdparty/location/*"),
    ("GET", "/voip/turnServer"),
    ("GET", "/versions"),
    ("GET", "/media/download/*/*"),
    ("GET", "/media/download/*/*/*"),
    ("GET", "/media/thumbnail/*/*"),
    ("GET", "/media/config"),
];

/// Whether guests may call the endpoint at `path`, a route as it is mounted.
pub(crate) fn may_call(method: &Method, path: &str) -> bool {
    let route = path.trim_end_matches('/');
    ALLOWED.iter().any(|(allowed, end)| {
        let method_fits = method == *allowed || (method == Method::HEAD && *allowed == "GET");
        method_fits && ends_with(route, end)
    })
}

/// Whether the last segments of `route` are those of `end`. Before them stands the API and its version.
pub(crate) fn ends_with(route: &str, end: &str) -> bool {
    let mut route = route.rsplit('/');
    let mut end = end.trim_start_matches('/').rsplit('/');
    let fits = end.by_ref().all(|wanted| {
        route
            .next()
            .is_some_and(|is| if wanted == "*" { is.starts_with('{') } else { is == wanted })
    });
    // The version, or the name of an unstable feature.
    fits && route.next().is_some_and(|is| {
        is.starts_with('v') || is == "r0" || is == "client" || is == "unstable" || is.contains('.')
    })
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
        ];
        for (method, path, expected) in cases {
            assert_eq!(may_call(&method, path), expected, "{method} {path}");
        }
    }
}
