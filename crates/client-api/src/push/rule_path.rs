//! The path after `/pushrules/`. As in Synapse, the last slash tells a list from what is in it, and a path that names
//! nothing that there could be is answered with 400.

use http::StatusCode;
use myelin_accounts::push_rules::RuleName;
use myelin_http::{ApiError, Raw};
use ruma::api::error::ErrorKind;

/// The part of the rules that a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'p> {
    /// All rules, by scope.
    All,
    /// The rules of the only scope, `global`, by kind.
    Global,
    /// The rules of a kind.
    Kind(&'p str),
    /// One rule.
    Rule(RuleName<'p>),
    /// An attribute of a rule.
    Attribute(RuleName<'p>, &'p str),
}

/// The path after `/pushrules/`.
fn path(raw: &Raw) -> &str {
    raw.path.first().map_or("", String::as_str)
}

/// The part of the rules that a request reads.
pub(super) fn asked(raw: &Raw) -> Result<Asked<'_>, ApiError> {
    parse(path(raw)).ok_or_else(unrecognized)
}

fn parse(path: &str) -> Option<Asked<'_>> {
    let mut segments = path.split('/');
    let scope = segments.next()?;
    if scope.is_empty() {
        return Some(Asked::All);
    }
    if scope != "global" {
        return None;
    }
    let kind = segments.next()?;
    if kind.is_empty() {
        return Some(Asked::Global);
    }
    let rule_id = segments.next()?;
    if rule_id.is_empty() {
        return Some(Asked::Kind(kind));
    }
    let name = RuleName { kind, rule_id };
    Some(segments.next().map_or(Asked::Rule(name), |attribute| Asked::Attribute(name, attribute)))
}

/// The rule that a request to write names, and the attribute if it is about one alone.
pub(super) fn named(raw: &Raw) -> Result<(RuleName<'_>, Option<&str>), ApiError> {
    match asked(raw)? {
        Asked::Rule(name) => Ok((name, None)),
        Asked::Attribute(name, attribute) => {
            Ok((name, Some(attribute).filter(|attribute| !attribute.is_empty())))
        }
        Asked::All | Asked::Global | Asked::Kind(_) => Err(unrecognized()),
    }
}

/// The path names nothing.
pub(super) fn unrecognized() -> ApiError {
    ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Unrecognized, "Unrecognized request")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use super::*;
    use crate::test_server;

    #[test]
    fn the_last_slash_counts() {
        let name = RuleName { kind: "content", rule_id: "x" };
        for (path, expect) in [
            ("", Some(Asked::All)),
            ("global", None),
            ("global/", Some(Asked::Global)),
            ("device/", None),
            ("global/content", None),
            ("global/content/", Some(Asked::Kind("content"))),
            ("global/content/x", Some(Asked::Rule(name))),
            ("global/content/x/", Some(Asked::Attribute(name, ""))),
            ("global/content/x/enabled", Some(Asked::Attribute(name, "enabled"))),
        ] {
            assert_eq!(parse(path), expect, "{path}");
        }
    }

    const UNRECOGNIZED: &str = "400 M_UNRECOGNIZED";

    /// The answers of Synapse 1.163.2, asked in this order. Where it says `M_UNKNOWN` of a value, the code here says
    /// what is wrong. It deletes a rule by the path of an attribute, too, which is refused here.
    const ANSWERS: [(&str, &str); 49] = [
        ("GET ", "404 M_UNRECOGNIZED"),
        ("GET /", "200 "),
        ("GET /global", UNRECOGNIZED),
        ("GET /global/", "200 "),
        ("GET /device", UNRECOGNIZED),
        ("GET /device/", UNRECOGNIZED),
        ("GET /global/content", UNRECOGNIZED),
        ("GET /global/content/", "200 "),
        ("GET /global/postcontent/", "200 "),
        ("GET /global/nope", UNRECOGNIZED),
        ("GET /global/nope/", UNRECOGNIZED),
        ("GET /global/nope/word", UNRECOGNIZED),
        ("GET /global/content/word", "200 "),
        ("GET /global/content/word/", UNRECOGNIZED),
        ("GET /global/content/none", "404 M_NOT_FOUND"),
        ("GET /global/content/none/", "404 M_NOT_FOUND"),
        ("GET /global/content/word/enabled", "200 "),
        ("GET /global/content/word/pattern", "200 "),
        ("GET /global/content/word/nope", UNRECOGNIZED),
        ("GET /global/content/none/enabled", "404 M_NOT_FOUND"),
        ("PUT /", UNRECOGNIZED),
        ("PUT /global", UNRECOGNIZED),
        ("PUT /global/", UNRECOGNIZED),
        ("PUT /device/content/x", UNRECOGNIZED),
        ("PUT /global/content", UNRECOGNIZED),
        ("PUT /global/content/", UNRECOGNIZED),
        ("PUT /global/nope/x", "400 M_UNKNOWN"),
        ("PUT /global/postcontent/x", "400 M_INVALID_PARAM"),
        ("PUT /global/postcontent/.m.x/enabled", "404 M_NOT_FOUND"),
        ("PUT /global/content/word/enabled", "200 "),
        ("PUT /global/content/word/nope", UNRECOGNIZED),
        ("PUT /global/content/word/pattern", UNRECOGNIZED),
        ("PUT /global/content/none/enabled", "404 M_NOT_FOUND"),
        ("PUT /global/content/.none/enabled", "404 M_NOT_FOUND"),
        ("PUT /global/content/new/", "200 "),
        ("DELETE /", UNRECOGNIZED),
        ("DELETE /global", UNRECOGNIZED),
        ("DELETE /global/", UNRECOGNIZED),
        ("DELETE /device/content/word", UNRECOGNIZED),
        ("DELETE /global/content", UNRECOGNIZED),
        ("DELETE /global/content/", UNRECOGNIZED),
        ("DELETE /global/nope/word", "404 M_NOT_FOUND"),
        ("DELETE /global/content/none", "404 M_NOT_FOUND"),
        ("DELETE /global/override/.m.rule.master", "404 M_NOT_FOUND"),
        ("DELETE /global/content/word/enabled", UNRECOGNIZED),
        ("DELETE /global/content/new/", "200 "),
        ("DELETE /global/content/word", "200 "),
        ("POST /", "405 M_UNRECOGNIZED"),
        ("POST /global/content/word", "405 M_UNRECOGNIZED"),
    ];

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_not_there_is_answered_as_in_synapse(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let rule = json!({"pattern": "w", "actions": ["notify"], "conditions": []});
        let word = "/_matrix/client/v3/pushrules/global/content/word";
        server.put(word, Some(&alice), rule.clone()).await.ok();
        for (request, expect) in ANSWERS {
            let (method, path) = request.split_once(' ').unwrap();
            let path = format!("/_matrix/client/v3/pushrules{path}");
            let body =
                if path.ends_with("/enabled") { json!({"enabled": true}) } else { rule.clone() };
            let body = (method == "PUT").then_some(body);
            let method = method.parse().unwrap();
            let answer = server.request(method, &path, Some(&alice), body).await;
            let code = answer.body["errcode"].as_str().unwrap_or_default();
            assert_eq!(format!("{} {code}", answer.status.as_u16()), expect, "{request}");
        }
        for prefix in ["r0", "api/v1"] {
            let path = format!("/_matrix/client/{prefix}/pushrules/");
            server.get(&path, Some(&alice)).await.ok();
        }
    }
}
