//! Whether an event notifies a user.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use myelin_events::{
    RoomVersion,
    auth::{Create, PowerLevels},
    client::content_for_clients,
    pdu::content_of,
    push::{PushEvent, PushRoom, PushVerdict, default_rules, evaluate},
    sight::Sight,
};
use myelin_model::{Event, EventNid};
use myelin_storage::{RoomHead, StateMap};
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
        let hints = personal.rules_are_default.then(|| hints(user_id, &display_name)).flatten();
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

    /// The texts by which events are found in the database that may be about the user. It knows the case of ASCII letters at least; of
    /// others each spelling is listed that people use.
    pub(super) fn spellings(&self) -> Vec<String> {
        let mut texts = about_user(self.user_id, &self.display_name);
        if !self.personal.rules_are_default {
            texts.extend(keywords(&self.personal.rules));
        }
        let mut spellings: Vec<String> = Vec::new();
        for text in &texts {
            let mut letters = text.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            let title: String = first.chain(letters.as_str().to_lowercase().chars()).collect();
            for mut spelling in [text.clone(), text.to_lowercase(), text.to_uppercase(), title] {
                spelling.make_ascii_lowercase();
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        spellings
    }

    /// Whether the user sent it.
    pub(super) fn is_own(&self, event: &Event) -> bool {
        event.sender == *self.user_id
    }
}

/// The texts of which the default rules look for one in an event that is about a user, in lower case. `None` if the display
/// name has another form in JSON.
fn hints(user_id: &UserId, display_name: &str) -> Option<Vec<String>> {
    if looks_different(display_name) {
        return None;
    }
    let texts = about_user(user_id, display_name);
    Some(texts.into_iter().map(|text| text.to_lowercase()).collect())
}

/// Whether a text has characters that look different in JSON.
fn looks_different(text: &str) -> bool {
    text.chars().any(|char| char.is_control() || matches!(char, '"' | '\\'))
}

fn about_user(user_id: &UserId, display_name: &str) -> Vec<String> {
    let mut texts = vec![
        user_id.localpart().to_owned(),
        // Mentions of the room, and events that make a room obsolete.
        "@room".to_owned(),
        "\"room\":true".to_owned(),
        "m.room.tombstone".to_owned(),
    ];
    if !display_name.is_empty() && !looks_different(display_name) {
        texts.push(display_name.to_owned());
    }
    texts
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
        let pieces = pattern.split(['*', '?']).filter(|piece| !looks_different(piece));
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
