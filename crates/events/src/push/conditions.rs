//! Whether a rule applies to an event.

use std::{
    collections::HashMap,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use ruma::{
    UserId,
    push::{
        AnyPushRuleRef, ConditionalPushRule, FlattenedJson, PatternedPushRule,
        PredefinedContentRuleId, PredefinedOverrideRuleId, PushCondition, PushConditionRoomCtx,
        ScalarJsonValue,
    },
    serde::Raw,
};
use serde_json::{Value, value::RawValue};

use super::{
    PushEvent,
    pattern::{self, Steps},
};

/// An event without anything in it.
static NOTHING: LazyLock<FlattenedJson> = LazyLock::new(|| {
    let nothing = RawValue::NULL.to_owned();
    FlattenedJson::from_raw(&Raw::<Value>::from_json(nothing))
});

/// The part of a message that people write, in which patterns are words.
const BODY: &str = "content.body";

/// One look at an event, by all rules of a user. Texts are made lower case once, and steps are counted for all rules together.
pub(super) struct Look<'a> {
    event: &'a PushEvent,
    context: &'a PushConditionRoomCtx,
    steps: Steps,
    /// The texts of the event in lower case, by their paths.
    lower: HashMap<String, String>,
}

impl<'a> Look<'a> {
    pub(super) fn new(event: &'a PushEvent, context: &'a PushConditionRoomCtx) -> Self {
        Self { event, context, steps: Steps::of_event(), lower: HashMap::new() }
    }

    /// Whether a rule applies.
    pub(super) fn applies(&mut self, rule: AnyPushRuleRef<'_>) -> bool {
        match rule {
            AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => self.all_hold(rule),
            AnyPushRuleRef::Content(rule) => self.has_words(rule),
            AnyPushRuleRef::Room(rule) => {
                rule.enabled && self.matches("room_id", rule.rule_id.as_str())
            }
            AnyPushRuleRef::Sender(rule) => {
                rule.enabled && self.matches("sender", rule.rule_id.as_str())
            }
            // Kinds that ruma may come to know.
            _ => false,
        }
    }

    #[expect(deprecated, reason = "the rules are of the time before m.mentions")]
    fn all_hold(&mut self, rule: &ConditionalPushRule) -> bool {
        let is_of_old = [
            PredefinedOverrideRuleId::RoomNotif.as_str(),
            PredefinedOverrideRuleId::ContainsDisplayName.as_str(),
        ];
        rule.enabled
            && !(is_of_old.contains(&rule.rule_id.as_str()) && self.event.has_mentions())
            && rule.conditions.iter().all(|condition| self.holds(condition))
    }

    #[expect(deprecated, reason = "the rule is of the time before m.mentions")]
    fn has_words(&mut self, rule: &PatternedPushRule) -> bool {
        let is_of_old = rule.rule_id == PredefinedContentRuleId::ContainsUserName.as_str();
        rule.enabled
            && !(is_of_old && self.event.has_mentions())
            && self.matches(BODY, &rule.pattern)
    }

    #[expect(deprecated, reason = "users have the condition in their rules")]
    fn holds(&mut self, condition: &PushCondition) -> bool {
        match condition {
            PushCondition::EventMatch(condition) => {
                self.matches(&condition.key, &condition.pattern)
            }
            PushCondition::ContainsDisplayName => {
                self.matches(BODY, &self.context.user_display_name.clone())
            }
            PushCondition::EventPropertyIs(condition) => {
                self.event.find(&condition.key).is_some_and(|value| equals(value, &condition.value))
            }
            PushCondition::EventPropertyContains(condition) => {
                let list = self.event.find(&condition.key).and_then(Value::as_array);
                list.is_some_and(|list| list.iter().any(|value| equals(value, &condition.value)))
            }
            PushCondition::SenderNotificationPermission(condition) => {
                let sender = self.event.find_text("sender").and_then(|id| UserId::parse(id).ok());
                let levels = self.context.power_levels.as_ref();
                sender.zip(levels).is_some_and(|(sender, levels)| {
                    levels.has_sender_notification_permission(&sender, &condition.key)
                })
            }
            // The others do not look at the event.
            other => now(other.applies(&NOTHING, self.context)),
        }
    }

    /// Whether a pattern matches a text of the event: as a word where people write, and else the whole text.
    fn matches(&mut self, path: &str, pattern: &str) -> bool {
        if !self.lower.contains_key(path) {
            let text = match path {
                "room_id" => Some(self.context.room_id.as_str()),
                path => self.event.find_text(path),
            };
            let Some(text) = text else { return false };
            self.lower.insert(path.to_owned(), text.to_lowercase());
        }
        let Some(text) = self.lower.get(path) else { return false };
        let pattern = pattern.to_lowercase();
        if path == BODY {
            pattern::contains(&pattern, text, &mut self.steps)
        } else {
            pattern::matches(&pattern, text, &mut self.steps)
        }
    }
}

/// ruma's conditions are `async` for the sake of a condition that is not compiled in; none of ours ever waits.
fn now(future: impl Future<Output = bool>) -> bool {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(applies) => applies,
        Poll::Pending => false,
    }
}

fn equals(value: &Value, wanted: &ScalarJsonValue) -> bool {
    match wanted {
        ScalarJsonValue::Null => value.is_null(),
        ScalarJsonValue::Bool(wanted) => value.as_bool() == Some(*wanted),
        ScalarJsonValue::Integer(wanted) => value.as_i64() == Some(i64::from(*wanted)),
        ScalarJsonValue::String(wanted) => value.as_str() == Some(wanted),
    }
}
