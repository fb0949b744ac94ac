//! Push rules: whether an event notifies a user (client-server API, "Push rules").

mod conditions;
mod pattern;

use std::collections::BTreeMap;

use ruma::{
    Int, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    power_levels::{NotificationPowerLevels, NotificationPowerLevelsKey},
    push::{
        Action, AnyPushRuleRef, ConditionalPushRule, ConditionalPushRuleInit,
        EventMatchConditionData, HighlightTweakValue, PatternedPushRule, PatternedPushRuleInit,
        PushCondition, PushConditionPowerLevelsCtx, PushConditionRoomCtx, RuleKind, Ruleset,
        SenderNotificationPermissionConditionData, SoundTweakValue, Tweak,
    },
    room_version_rules::RoomPowerLevelsRules,
};
use serde_json::Value;

use self::conditions::Look;
use crate::auth::{Power, PowerLevels};

/// An event as push rules look at it, read once for all users of the room.
pub struct PushEvent {
    json: Value,
}

impl PushEvent {
    /// Read an event from its JSON: the PDU's or the client's.
    pub fn new(json: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { json: serde_json::from_str(json)? })
    }

    /// The value at a path: keys with dots between them, in which `\\` stands before a dot or a backslash of a key (appendices,
    /// "Dot-separated property paths"). Rules name few paths; to write all paths of an event down would take a multiple of its size.
    fn find(&self, path: &str) -> Option<&Value> {
        let mut value = &self.json;
        let mut key = String::new();
        let mut letters = path.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '.' => value = value.as_object()?.get(&std::mem::take(&mut key))?,
                '\\' => match letters.next() {
                    Some(escaped @ ('.' | '\\')) => key.push(escaped),
                    Some(other) => key.extend(['\\', other]),
                    None => key.push('\\'),
                },
                letter => key.push(letter),
            }
        }
        value.as_object()?.get(&key)
    }

    fn find_text(&self, path: &str) -> Option<&str> {
        self.find(path)?.as_str()
    }

    /// Whether it says whom it mentions, if anybody.
    fn has_mentions(&self) -> bool {
        self.json.get("content").is_some_and(|content| content.get("m.mentions").is_some())
    }
}

/// The facts about a room that push rules ask for, gathered once for all its users.
pub struct PushRoom {
    room_id: OwnedRoomId,
    member_count: UInt,
    power_levels: PushConditionPowerLevelsCtx,
}

impl PushRoom {
    /// The room at the event. `joined_members` counts who is in it.
    pub fn new(room_id: &RoomId, joined_members: u64, levels: &PowerLevels) -> Self {
        let to_int = |power: Power| match power {
            Power::Level(level) => Int::new_saturating(level),
            Power::Infinite => Int::MAX,
        };
        let users = levels
            .users()
            .map(|(user_id, level)| (user_id.to_owned(), Int::new_saturating(level)))
            .collect::<BTreeMap<_, _>>();
        let mut notifications = NotificationPowerLevels::new();
        notifications.room = to_int(levels.notification("room"));
        let create = levels.create();
        let rules = RoomPowerLevelsRules::new(
            create.version.auth_rules(),
            create.creators().map(ToOwned::to_owned),
        );
        Self {
            room_id: room_id.to_owned(),
            member_count: UInt::new_saturating(joined_members),
            power_levels: PushConditionPowerLevelsCtx::new(
                users,
                to_int(levels.users_default()),
                notifications,
                rules,
            ),
        }
    }

    /// The room as one user sees it. `display_name` is the user's in this room, empty if there is none.
    pub fn for_user(&self, user_id: OwnedUserId, display_name: String) -> PushConditionRoomCtx {
        PushConditionRoomCtx::new(self.room_id.clone(), self.member_count, user_id, display_name)
            .with_power_levels(self.power_levels.clone())
    }
}

/// The effect of an event on a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushVerdict {
    /// It counts as a notification and goes to pushers.
    pub notify: bool,
    /// The notification is highlighted. It never is without `notify`.
    pub highlight: bool,
}

/// The verdict of a user's rules on an event.
pub fn evaluate(rules: &Ruleset, event: &PushEvent, context: &PushConditionRoomCtx) -> PushVerdict {
    let Some(rule) = find_rule(rules, event, context) else { return PushVerdict::default() };
    let notify = rule.actions().iter().any(Action::should_notify);
    PushVerdict { notify, highlight: notify && rule.actions().iter().any(Action::is_highlight) }
}

/// The first rule that applies to an event. A user's own events match none.
pub fn find_rule<'r>(
    rules: &'r Ruleset,
    event: &PushEvent,
    context: &PushConditionRoomCtx,
) -> Option<AnyPushRuleRef<'r>> {
    if event.find_text("sender").is_some_and(|sender| sender == context.user_id) {
        return None;
    }
    let mut look = Look::new(event, context);
    rules.iter().find(|rule| look.applies(*rule))
}

/// The rules that a new user has: those of the spec, and those that Synapse serves besides: for mentions before `m.mentions`, and for
/// calls by Jitsi.
pub fn default_rules(user_id: &UserId) -> Ruleset {
    let mut rules = Ruleset::server_default(user_id);
    rules.override_.insert(contains_display_name());
    rules.override_.insert(room_notif());
    // Their order among the rules of the spec is Synapse's.
    for (rule_id, after) in [
        (".m.rule.contains_display_name", ".m.rule.is_user_mention"),
        (".m.rule.roomnotif", ".m.rule.is_room_mention"),
    ] {
        if let (Some(from), Some(to)) = (position(&rules, rule_id), position(&rules, after)) {
            rules.override_.move_index(from, to + 1);
        }
    }
    rules.content.insert(contains_user_name(user_id));
    rules.underride.insert(jitsi());
    rules
}

fn position(rules: &Ruleset, rule_id: &str) -> Option<usize> {
    rules.override_.iter().position(|rule| rule.rule_id == rule_id)
}

fn mention_actions(with_sound: bool) -> Vec<Action> {
    let mut actions = vec![Action::Notify];
    if with_sound {
        actions.push(Action::SetTweak(Tweak::Sound(SoundTweakValue::Default)));
    }
    actions.push(Action::SetTweak(Tweak::Highlight(HighlightTweakValue::Yes)));
    actions
}

#[expect(deprecated, reason = "the rule is of the time before m.mentions")]
fn contains_display_name() -> ConditionalPushRule {
    ConditionalPushRuleInit {
        actions: mention_actions(true),
        default: true,
        enabled: true,
        rule_id: ".m.rule.contains_display_name".to_owned(),
        conditions: vec![PushCondition::ContainsDisplayName],
    }
    .into()
}

fn room_notif() -> ConditionalPushRule {
    ConditionalPushRuleInit {
        actions: mention_actions(false),
        default: true,
        enabled: true,
        rule_id: ".m.rule.roomnotif".to_owned(),
        conditions: vec![
            SenderNotificationPermissionConditionData::new(NotificationPowerLevelsKey::Room).into(),
            EventMatchConditionData::new("content.body".to_owned(), "@room".to_owned()).into(),
        ],
    }
    .into()
}

fn contains_user_name(user_id: &UserId) -> PatternedPushRule {
    PatternedPushRuleInit {
        actions: mention_actions(true),
        default: true,
        enabled: true,
        rule_id: ".m.rule.contains_user_name".to_owned(),
        pattern: user_id.localpart().to_owned(),
    }
    .into()
}

/// A call by Jitsi begins: its widget was put into the room.
fn jitsi() -> ConditionalPushRule {
    let matches = |key: &str, pattern: &str| {
        EventMatchConditionData::new(key.to_owned(), pattern.to_owned()).into()
    };
    ConditionalPushRuleInit {
        actions: vec![Action::Notify, Action::SetTweak(Tweak::Highlight(HighlightTweakValue::No))],
        default: true,
        enabled: true,
        rule_id: ".im.vector.jitsi".to_owned(),
        conditions: vec![
            matches("type", "im.vector.modular.widgets"),
            matches("content.type", "jitsi"),
            matches("state_key", "*"),
        ],
    }
    .into()
}

/// Whether the rules are the default ones, but for their order within a kind: such users need no evaluation of their own for events
/// that mention nobody.
pub fn are_default(rules: &Ruleset, user_id: &UserId) -> bool {
    let defaults = default_rules(user_id);
    let mut given = 0;
    for rule in rules {
        given += 1;
        let kind = kind_of(&rule);
        let Some(default) = defaults.get(kind, rule.rule_id()) else { return false };
        let same_actions = serde_json::to_value(rule.actions()).ok()
            == serde_json::to_value(default.actions()).ok();
        if rule.enabled() != default.enabled() || !same_actions {
            return false;
        }
    }
    given == defaults.iter().count()
}

fn kind_of(rule: &AnyPushRuleRef<'_>) -> RuleKind {
    match rule {
        AnyPushRuleRef::Content(_) => RuleKind::Content,
        AnyPushRuleRef::Room(_) => RuleKind::Room,
        AnyPushRuleRef::Sender(_) => RuleKind::Sender,
        AnyPushRuleRef::Underride(_) => RuleKind::Underride,
        _ => RuleKind::Override,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ruma::{owned_event_id, owned_user_id, room_id, user_id};

    use super::*;
    use crate::{RoomVersion, auth::Create};

    fn room(members: u64) -> PushRoom {
        let create = Arc::new(Create {
            version: RoomVersion::V12,
            event_id: owned_event_id!("$c"),
            sender: owned_user_id!("@creator:h"),
            creator: Some(owned_user_id!("@creator:h")),
            additional_creators: Vec::new(),
            federate: true,
        });
        PushRoom::new(
            room_id!("!r"),
            members,
            &PowerLevels::new(create, Some(r#"{"users":{"@mod:h":50}}"#)),
        )
    }

    fn check(members: u64, event: &str, expect: (bool, bool)) {
        let user_id = user_id!("@u:h");
        let context = room(members).for_user(user_id.to_owned(), "Ursula".to_owned());
        let verdict = evaluate(&default_rules(user_id), &PushEvent::new(event).unwrap(), &context);
        assert_eq!((verdict.notify, verdict.highlight), expect, "{event}");
    }

    /// Events, and whether they notify and are highlighted by the default rules, in a room of three.
    const VERDICTS: [(&str, (bool, bool)); 20] = [
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"msgtype":"m.text","body":"hi"}}"#,
            (true, false),
        ),
        (
            r#"{"type":"m.room.message","sender":"@u:h","content":{"msgtype":"m.text","body":"hi"}}"#,
            (false, false),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"msgtype":"m.notice","body":"hi"}}"#,
            (false, false),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"msgtype":"m.text","body":"hi ursula!"}}"#,
            (true, true),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"msgtype":"m.text","body":"hi u."}}"#,
            (true, true),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"body":"x","m.mentions":{"user_ids":["@u:h"]}}}"#,
            (true, true),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"body":"ursula","m.mentions":{}}}"#,
            (true, false),
        ),
        (r#"{"type":"m.room.message","sender":"@a:h","content":{"body":"@room"}}"#, (true, false)),
        (r#"{"type":"m.room.message","sender":"@mod:h","content":{"body":"@room"}}"#, (true, true)),
        (
            r#"{"type":"m.room.message","sender":"@creator:h","content":{"body":"x","m.mentions":{"room":true}}}"#,
            (true, true),
        ),
        (
            r#"{"type":"m.room.message","sender":"@a:h","content":{"body":"x","m.mentions":{"room":true}}}"#,
            (true, false),
        ),
        (r#"{"type":"m.room.encrypted","sender":"@a:h","content":{}}"#, (true, false)),
        (r#"{"type":"m.reaction","sender":"@a:h","content":{}}"#, (false, false)),
        (
            r#"{"type":"m.room.topic","state_key":"","sender":"@a:h","content":{"topic":"x"}}"#,
            (false, false),
        ),
        (
            r#"{"type":"m.room.tombstone","state_key":"","sender":"@a:h","content":{}}"#,
            (true, true),
        ),
        (
            r#"{"type":"m.room.member","state_key":"@u:h","sender":"@a:h","content":{"membership":"invite"}}"#,
            (true, false),
        ),
        (
            r#"{"type":"m.room.member","state_key":"@b:h","sender":"@a:h","content":{"membership":"join"}}"#,
            (false, false),
        ),
        (r#"{"type":"m.call.invite","sender":"@a:h","content":{}}"#, (true, false)),
        (
            r#"{"type":"im.vector.modular.widgets","state_key":"w","sender":"@a:h","content":{"type":"jitsi"}}"#,
            (true, false),
        ),
        (
            r#"{"type":"im.vector.modular.widgets","sender":"@a:h","content":{"type":"jitsi"}}"#,
            (false, false),
        ),
    ];

    #[test]
    fn default_rules_decide_as_the_spec_says() {
        for (event, expect) in VERDICTS {
            check(3, event, expect);
        }
    }

    /// Words that almost match, one after the other, and patterns that take long to follow: neither stops the server.
    #[test]
    fn hostile_texts_and_patterns_take_little() {
        let user_id = user_id!("@u:h");
        let message = |body: &str| {
            serde_json::json!({"type": "m.room.message", "sender": "@a:h",
                "content": {"msgtype": "m.text", "body": body}})
            .to_string()
        };
        check(3, &message(&"xu ".repeat(20_000)), (true, false));
        check(3, &message(&("xu ".repeat(20_000) + "u")), (true, true));

        let text = PushEvent::new(&message(&"a".repeat(60_000))).unwrap();
        let context = room(3).for_user(user_id.to_owned(), String::new());
        let mut rules = default_rules(user_id);
        for number in 0..200 {
            for pattern in ["*a".repeat(2_000) + "b", "a".to_owned() + &"?".repeat(2_000)] {
                let condition = EventMatchConditionData::new("content.body".to_owned(), pattern);
                rules.override_.insert(
                    ConditionalPushRuleInit {
                        actions: vec![],
                        default: false,
                        enabled: true,
                        rule_id: format!("{number} {}", rules.override_.len()),
                        conditions: vec![condition.into()],
                    }
                    .into(),
                );
            }
        }
        let started = std::time::Instant::now();
        evaluate(&rules, &text, &context);
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[test]
    fn legacy_rules_stand_where_synapse_has_them() {
        let rules = default_rules(user_id!("@u:h"));
        let ids: Vec<_> = rules
            .override_
            .iter()
            .map(|rule| rule.rule_id.trim_start_matches(".m.rule."))
            .collect();
        assert_eq!(
            ids[..7],
            [
                "master",
                "suppress_notices",
                "invite_for_me",
                "member_event",
                "is_user_mention",
                "contains_display_name",
                "is_room_mention"
            ]
        );
        assert_eq!(ids[7], "roomnotif");
    }

    #[test]
    fn changed_rules_are_told_from_default_ones() {
        let user_id = user_id!("@u:h");
        let mut rules = default_rules(user_id);
        assert!(are_default(&rules, user_id));
        rules.set_enabled(RuleKind::Underride, ".m.rule.message", false).unwrap();
        assert!(!are_default(&rules, user_id));
        rules.set_enabled(RuleKind::Underride, ".m.rule.message", true).unwrap();
        assert!(are_default(&rules, user_id));
        rules.set_actions(RuleKind::Underride, ".m.rule.message", Vec::new()).unwrap();
        assert!(!are_default(&rules, user_id));
        assert!(!are_default(&Ruleset::new(), user_id));
    }
}
