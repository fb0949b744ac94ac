//! `.well-known/matrix/*` documents.

use crate::reader::Section;

/// The contents of the well-known documents.
#[derive(Clone, Debug, PartialEq)]
pub struct WellKnown {
    /// `serve_server_wellknown`: whether other servers are sent to port 443. Default: false.
    pub serve_server: bool,
    /// `extra_well_known_client_content`: more for clients. It cannot replace what the server says itself.
    pub extra_client_content: serde_json::Map<String, serde_json::Value>,
    /// `myelin.support_page`: URL of a page with help, for the support document.
    pub support_page: Option<String>,
}

pub(crate) fn read(root: &Section<'_>) -> WellKnown {
    let mut extra_client_content = serde_json::Map::new();
    if let Some(found) = root.find("extra_well_known_client_content") {
        match found.node.to_json() {
            serde_json::Value::Object(map) => extra_client_content = map,
            _ => root.wrong(&found, "a map of keys and values"),
        }
    }
    for (key, instead) in
        [("m.homeserver", "public_baseurl"), ("m.identity_server", "default_identity_server")]
    {
        if extra_client_content.remove(key).is_some() {
            root.wrong_key(
                "extra_well_known_client_content",
                format!("{key} is not allowed here; use {instead}"),
            );
        }
    }
    WellKnown {
        serve_server: root.bool("serve_server_wellknown", false),
        extra_client_content,
        support_page: root.section("myelin").text("support_page"),
    }
}
