//! The server's own rules on who may make which alias and list which room (`alias_creation_rules`, `room_list_publication_rules`).

use myelin_events::acl::matches;
use ruma::{RoomAliasId, RoomId, UserId};

/// One rule: globs, and what holds where all of them match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingRule {
    /// A glob for the user.
    pub user_id: String,
    /// A glob for one of the aliases. Without aliases only `*` matches.
    pub alias: String,
    /// A glob for the room.
    pub room_id: String,
    /// The answer of the rule: whether the alias or the listing is allowed.
    pub allow: bool,
}

/// Rules in order: the first that matches decides, and if none does, it is not allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamingRules(pub Vec<NamingRule>);

impl NamingRules {
    /// Rules that allow everything.
    pub fn allow_all() -> Self {
        let any = || "*".to_owned();
        Self(vec![NamingRule { user_id: any(), alias: any(), room_id: any(), allow: true }])
    }

    /// Rules that allow nothing.
    pub fn deny_all() -> Self {
        Self(Vec::new())
    }

    /// Whether the rules let the user make an alias for the room, or list it. `aliases` are the one to be made, or
    /// those that the room has.
    pub fn allow(&self, user_id: &UserId, room_id: &RoomId, aliases: &[&RoomAliasId]) -> bool {
        let first = self.0.iter().find(|rule| {
            let alias = rule.alias == "*"
                || aliases.iter().any(|alias| matches(&rule.alias, alias.as_str()));
            alias
                && matches(&rule.user_id, user_id.as_str())
                && matches(&rule.room_id, room_id.as_str())
        });
        first.is_some_and(|rule| rule.allow)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{room_alias_id, room_id, user_id};

    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |user_id: &str, alias: &str, allow| NamingRule {
            user_id: user_id.to_owned(),
            alias: alias.to_owned(),
            room_id: "*".to_owned(),
            allow,
        };
        let rules = NamingRules(vec![rule("@bot*", "*", false), rule("*", "#public_*", true)]);
        let (room, public, other) =
            (room_id!("!r:h"), room_alias_id!("#public_x:h"), room_alias_id!("#x:h"));
        for (user, aliases, expect) in [
            (user_id!("@bot1:h"), &[public][..], false),
            (user_id!("@u:h"), &[other, public][..], true),
            (user_id!("@u:h"), &[other][..], false),
            (user_id!("@u:h"), &[][..], false),
        ] {
            assert_eq!(rules.allow(user, room, aliases), expect, "{user} {aliases:?}");
        }
    }
}
