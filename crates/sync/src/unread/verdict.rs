//! Whether an event notifies a user.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use myelin_events::{
    RoomVersion,
    auth::{Create, PowerLevels},
    canonical::write_string,
    client::content_for_clients,
    pdu::content_of,
    push::{PushEvent, PushRoom, PushVerdict, default_rules, evaluate},
    sight::Sight,
};
use myelin_model::{Event, EventNid};
use myelin_storage::{RoomHead, StateMap, spellings};
use ruma::{
    UserId,
    push::{PushCondition, PushConditionRoomCtx, Ruleset},
};
use serde::Deserialize;

use super::UnreadCounts;
use crate::{context::KnownKeys, view::Personal};

/// The number of keywords of a user that events of long ago are looked through for.
const KEYWORDS_MAX: usize = 100;

/// The members of a room whose number is not known: more than two, as rules for two are about direct chats.
const MEMBERS_UNKNOWN: u64 = 3;

/// One user in one room.
pub(super) struct Judge<'a> {
    counts: &'a UnreadCounts,
    user_id: &'a UserId,
    personal: &'a Personal,
    /// The texts of which an event has one if it is about the user, in lower case. `None`: every event may be.
    hints: Option<Vec<String>>,
    room: RoomFacts<'a>,
    display_name: String,
    /// Made when an event is about the user, which most are not.
    context: OnceLock<Option<PushConditionRoomCtx>>,
}

impl<'a> Judge<'a> {
    /// The user in a room whose state is `end`. `events` has the events that [`super::want`] names.
    pub(super) fn new(
        counts: &'a UnreadCounts,
        user_id: &'a UserId,
        personal: &'a Personal,
        room: RoomFacts<'a>,
    ) -> Self {
        let display_name = room.display_name().unwrap_or_default();
        let hints = personal.rules_are_default.then(|| hints(user_id, &display_name));
        Self { counts, user_id, personal, hints, room, display_name, context: OnceLock::new() }
    }

    /// Whether an event notifies the user, who may not be allowed to see it.
    pub(super) fn judge(&self, event: &Event) -> PushVerdict {
        match self.room.sight {
            Some(sight) if !sight.may_see(event) => PushVerdict::default(),
            Some(_) | None => self.judge_seen(event),
        }
    }

    /// Whether an event that the user may see notifies the user.
    pub(super) fn judge_seen(&self, event: &Event) -> PushVerdict {
        if event.redacted_by.is_some() || self.personal.ignored.contains(&event.sender) {
            return PushVerdict::default();
        }
        let is_about_user = match &self.hints {
            None => true,
            Some(hints) => {
                let json = event.json.to_lowercase();
                hints.iter().any(|hint| json.contains(hint))
            }
        };
        if !is_about_user {
            return PushVerdict { notify: self.counts.class_verdict(event), highlight: false };
        }
        let (Some(context), Ok(event)) = (self.context(), PushEvent::new(&event.json)) else {
            return PushVerdict::default();
        };
        evaluate(&self.personal.rules, &event, context)
    }

    fn context(&self) -> Option<&PushConditionRoomCtx> {
        let make = || {
            let room = self.room.push_room()?;
            Some(room.for_user(self.user_id.to_owned(), self.display_name.clone()))
        };
        self.context.get_or_init(make).as_ref()
    }

    /// Whether a message notifies the user which is not about the user, by nobody in particular: as the default rules have it, unless the
    /// user has turned off the room, or everything.
    pub(super) fn hears_messages(&self) -> bool {
        if self.personal.rules_are_default {
            return true;
        }
        let message = r#"{"type":"m.room.message","sender":"@:invalid","content":{"msgtype":"m.text","body":""}}"#;
        self.context().zip(PushEvent::new(message).ok()).is_some_and(|(context, message)| {
            evaluate(&self.personal.rules, &message, context).notify
        })
    }

    /// The texts by one of which messages call the user that do not say by themselves whom they mention, as they are looked for in the
    /// database.
    pub(super) fn names(&self) -> Vec<String> {
        let names = about_user(self.user_id, &self.display_name);
        names.iter().flat_map(|name| spellings(&quoted(name))).collect()
    }

    /// The words of the user's own rules, as they are looked for in the database.
    pub(super) fn words(&self) -> Vec<String> {
        if self.personal.rules_are_default {
            return Vec::new();
        }
        let words = keywords(&self.personal.rules);
        words.iter().flat_map(|word| spellings(&quoted(word))).collect()
    }

    /// Whether the user sent it.
    pub(super) fn is_own(&self, event: &Event) -> bool {
        event.sender == *self.user_id
    }
}

/// The texts of which an event must have one to be about a user by the default rules, in lower case.
fn hints(user_id: &UserId, display_name: &str) -> Vec<String> {
    let texts = about_user(user_id, display_name);
    // Mentions of the room, and events that make a room obsolete.
    let others = ["\"room\":true".to_owned(), "m.room.tombstone".to_owned()];
    texts.iter().map(|text| quoted(text).to_lowercase()).chain(others).collect()
}

/// The texts by one of which messages call a user.
fn about_user(user_id: &UserId, display_name: &str) -> Vec<String> {
    let mut texts = vec![user_id.localpart().to_owned(), "@room".to_owned()];
    if !display_name.is_empty() {
        texts.push(display_name.to_owned());
    }
    texts
}

/// A text as it stands in JSON, without quotation marks around it.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    write_string(&mut json, text);
    json.get(1..json.len() - 1).unwrap_or_default().to_owned()
}

/// The words for which a user's own rules look in messages, as far as they are words.
fn keywords(rules: &Ruleset) -> Vec<String> {
    let of_content = rules.content.iter().filter(|rule| rule.enabled && !rule.default);
    let patterns = of_content.map(|rule| &rule.pattern);
    let conditions = rules.override_.iter().chain(&rules.underride);
    let conditions = conditions.filter(|rule| rule.enabled && !rule.default);
    let matches = conditions.flat_map(|rule| &rule.conditions).filter_map(|condition| {
        if let PushCondition::EventMatch(condition) = condition
            && condition.key == "content.body"
        {
            return Some(&condition.pattern);
        }
        None
    });
    let words = patterns.chain(matches).filter_map(|pattern| {
        let pieces = pattern.split(['*', '?']);
        pieces.max_by_key(|piece| piece.len()).filter(|piece| !piece.trim().is_empty())
    });
    words.take(KEYWORDS_MAX).map(ToOwned::to_owned).collect()
}

impl UnreadCounts {
    /// Whether an event notifies those with default rules whom it is not about.
    pub(super) fn class_verdict(&self, event: &Event) -> bool {
        if let Some(notifies) = self.class_verdicts.get(&event.nid) {
            return notifies;
        }
        // Nobody can have this name.
        let nobody = ruma::user_id!("@:invalid");
        let context = PushConditionRoomCtx::new(
            event.room_id.clone(),
            MEMBERS_UNKNOWN.try_into().unwrap_or_default(),
            nobody.to_owned(),
            String::new(),
        );
        let notifies = PushEvent::new(&event.json)
            .is_ok_and(|event| evaluate(&default_rules(nobody), &event, &context).notify);
        self.class_verdicts.insert(event.nid, notifies);
        notifies
    }
}

/// The facts about a room that rules ask for.
pub(super) struct RoomFacts<'a> {
    pub(super) head: &'a RoomHead,
    pub(super) end: &'a StateMap,
    pub(super) events: &'a HashMap<EventNid, Arc<Event>>,
    pub(super) keys: &'a KnownKeys,
    pub(super) own_member: EventNid,
    pub(super) joined: Option<u64>,
    /// The user's view of the room, if it had branches in the time that is looked at.
    pub(super) sight: Option<&'a Sight>,
}

impl RoomFacts<'_> {
    fn push_room(&self) -> Option<PushRoom> {
        let version = RoomVersion::try_from(&self.head.room_version).ok()?;
        let find = |key| self.events.get(self.end.get(key)?);
        let create = Create::parse(version, &**find(&self.keys.create)?).ok()?;
        let levels = find(&self.keys.power_levels);
        let levels = levels.map(|event| content_for_clients(event, version));
        let levels = PowerLevels::new(Arc::new(create), levels.as_deref());
        Some(PushRoom::new(&self.head.room_id, self.joined.unwrap_or(MEMBERS_UNKNOWN), &levels))
    }

    fn display_name(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Content {
            displayname: Option<String>,
        }
        let event = self.events.get(&self.own_member)?;
        if event.redacted_by.is_some() {
            return None;
        }
        let content = content_of(&event.json)?;
        serde_json::from_str::<Content>(content).ok()?.displayname
    }
}
