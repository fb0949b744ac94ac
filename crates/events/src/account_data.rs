//! The account data that the server itself reads (client-server API, "Client Config").
//!
//! Clients wrote it, in whatever form. Each part is read by itself: one that is malformed has no effect, and the others
//! keep theirs.

use std::collections::HashSet;

use ruma::{
    OwnedUserId, UserId,
    push::{ConditionalPushRule, PatternedPushRule, Ruleset, SimplePushRule},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::push::default_rules;

/// The type of [`ignored_users`].
pub const IGNORED_USER_LIST: &str = "m.ignored_user_list";
/// The type of [`push_rules`].
pub const PUSH_RULES: &str = "m.push_rules";
/// The type of [`blocks_invites`].
pub const INVITE_PERMISSION_CONFIG: &str = "m.invite_permission_config";

/// The users whom a user ignores, by the content of the user's `m.ignored_user_list`. A key that is no user ID ignores nobody, and
/// nobody ignores themselves.
pub fn ignored_users(content: &str, of: &UserId) -> HashSet<OwnedUserId> {
    let mut users = listed_users(content);
    users.remove(of);
    users
}

/// Whether such a content names the user whose list it is.
pub fn ignores_oneself(content: &str, of: &UserId) -> bool {
    listed_users(content).contains(of)
}

fn listed_users(content: &str) -> HashSet<OwnedUserId> {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    let users = content.get("ignored_users").and_then(Value::as_object);
    users
        .into_iter()
        .flat_map(|users| users.keys())
        .filter_map(|user_id| UserId::parse(user_id).ok())
        .collect()
}

/// Whether the user takes no invites, by the content of `m.invite_permission_config`.
pub fn blocks_invites(content: &str) -> bool {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    content.get("default_action").and_then(Value::as_str) == Some("block")
}

/// The kinds of push rule, in the order in which they are tried. There are no rules of the kind `postcontent` here, which Synapse has
/// for threads that users subscribe to (MSC4306); its list is there, as clients of Synapse find it.
pub const PUSH_RULE_KINDS: [&str; 6] =
    ["override", "postcontent", "content", "room", "sender", "underride"];

/// The user's push rules as clients see them, `{kind: [rule]}`, by the content of `m.push_rules`: every kind is there, and so are the
/// server's own rules that are newer than what is stored. Where there is no set of rules, the default ones hold.
pub fn push_rules_json(content: Option<&str>, user_id: &UserId) -> Map<String, Value> {
    let content: Value =
        content.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let stored = content.get("global").and_then(Value::as_object);
    let defaults = serde_json::to_value(default_rules(user_id)).unwrap_or_default();
    let list = |rules: Option<&Value>| rules.and_then(Value::as_array).cloned().unwrap_or_default();
    let rules = PUSH_RULE_KINDS.into_iter().map(|kind| {
        let mut rules = list(stored.and_then(|stored| stored.get(kind)));
        for default in list(defaults.get(kind)) {
            if !rules.iter().any(|rule| rule_id(rule) == rule_id(&default)) {
                let is_master = rule_id(&default) == Some(".m.rule.master");
                rules.insert(if is_master { 0 } else { rules.len() }, default);
            }
        }
        (kind.to_owned(), Value::Array(rules))
    });
    rules.collect()
}

/// The ID of a push rule in the form in which clients see it.
pub fn rule_id(rule: &Value) -> Option<&str> {
    rule.get("rule_id").and_then(Value::as_str)
}

/// The user's push rules, by the content of `m.push_rules`. A rule that cannot be read notifies of nothing.
pub fn push_rules(content: &str, user_id: &UserId) -> Ruleset {
    let json = push_rules_json(Some(content), user_id);
    let mut rules = Ruleset::new();
    rules.override_.extend(rules_of::<ConditionalPushRule>(json.get("override")));
    rules.content.extend(rules_of::<PatternedPushRule>(json.get("content")));
    rules.room.extend(rules_of::<SimplePushRule<_>>(json.get("room")));
    rules.sender.extend(rules_of::<SimplePushRule<_>>(json.get("sender")));
    rules.underride.extend(rules_of::<ConditionalPushRule>(json.get("underride")));
    rules
}

fn rules_of<R: DeserializeOwned>(rules: Option<&Value>) -> impl Iterator<Item = R> {
    let rules = rules.and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| R::deserialize(rule).ok())
}

#[cfg(test)]
mod tests {
    use ruma::{push::RuleKind, user_id};
    use serde_json::json;

    use super::*;
    use crate::push::are_default;

    #[test]
    fn what_is_no_user_id_ignores_nobody_and_the_others_stay_ignored() {
        for (content, expect) in [
            (r#"{"ignored_users":{"@bad:h":{}}}"#, 1),
            (r#"{"ignored_users":{"@bad:h":{},"junk":{}}}"#, 1),
            (r#"{"ignored_users":{"":{},"@":1,"@bad:h":null,"@worse:h":[]}}"#, 2),
            (r#"{"ignored_users":{"@bad:h":{}},"more":[1]}"#, 1),
            (r#"{"ignored_users":{"@bad:h":{},"@alice:h":{}}}"#, 1),
            (r#"{"ignored_users":[]}"#, 0),
            (r#"{"ignored_users":["@bad:h"]}"#, 0),
            ("{}", 0),
            ("[]", 0),
            ("", 0),
        ] {
            assert_eq!(ignored_users(content, user_id!("@alice:h")).len(), expect, "{content}");
        }
    }

    #[test]
    fn invites_are_blocked_by_one_word_alone() {
        for (content, expect) in [
            (r#"{"default_action":"block"}"#, true),
            (r#"{"default_action":"block","junk":[{}]}"#, true),
            (r#"{"default_action":"allow"}"#, false),
            (r#"{"default_action":["block"]}"#, false),
            ("{}", false),
            ("7", false),
        ] {
            assert_eq!(blocks_invites(content), expect, "{content}");
        }
    }

    #[test]
    fn a_malformed_push_rule_leaves_the_others_in_force() {
        let alice = user_id!("@alice:h");
        let mut content = json!({ "global": default_rules(alice) });
        assert!(are_default(&push_rules(&content.to_string(), alice), alice));
        let own = json!({
            "rule_id": "!room:h", "actions": [], "default": false, "enabled": true,
        });
        content["global"]["room"] = json!([{"rule_id": 7}, own, "junk"]);
        content["global"]["sender"] = json!("junk");
        content["global"]["unknown"] = json!({});
        let rules = push_rules(&content.to_string(), alice);
        assert!(rules.get(RuleKind::Room, "!room:h").is_some());
        assert!(rules.get(RuleKind::Override, ".m.rule.master").is_some());
        assert_eq!(rules.room.len(), 1);
        assert!(rules.sender.is_empty());
    }

    #[test]
    fn without_a_set_of_rules_the_default_ones_hold() {
        let alice = user_id!("@alice:h");
        for content in ["{}", r#"{"global":[]}"#, r#"{"global":null}"#, "junk"] {
            assert!(are_default(&push_rules(content, alice), alice), "{content}");
        }
    }

    #[test]
    fn newer_rules_of_the_server_stand_beside_stored_ones() {
        let alice = user_id!("@alice:h");
        let stored = r#"{"global":{"underride":[{"rule_id":".m.rule.message","actions":[]}]}}"#;
        let rules = push_rules_json(Some(stored), alice);
        let kinds: Vec<_> = rules.keys().map(String::as_str).collect();
        assert_eq!(kinds.len(), PUSH_RULE_KINDS.len());
        assert_eq!(rules["postcontent"], json!([]));
        assert_eq!(rules["underride"][0]["actions"], json!([]), "what is stored counts");
        let ids = |kind: &str| -> Vec<_> {
            rules[kind].as_array().unwrap().iter().filter_map(rule_id).collect()
        };
        assert_eq!(ids("override")[0], ".m.rule.master");
        assert_eq!(ids("underride").last(), Some(&".im.vector.jitsi"));
    }
}
