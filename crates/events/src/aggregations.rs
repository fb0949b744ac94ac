//! The aggregations of the events that relate to an event, as they are bundled with it (client-server API, "Aggregations of child events").

use std::sync::Arc;

use myelin_model::Event;
use ruma::OwnedEventId;

use crate::canonical::write_string;

/// The aggregations of the events that relate to one, as one user sees them.
#[derive(Debug, Clone, Default)]
pub struct Aggregations {
    /// The most recent valid edit.
    pub replacement: Option<Arc<Event>>,
    /// The thread that begins at the event.
    pub thread: Option<Thread>,
    /// The events that refer to it, oldest first.
    pub references: Vec<OwnedEventId>,
}

/// The aggregation of a thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The newest event of the thread.
    pub latest: Arc<Event>,
    /// The aggregations of the events that relate to the newest one.
    pub related: Box<Aggregations>,
    /// The number of events in the thread, without the root.
    pub count: i64,
    /// Whether the user sent the root or one of the events.
    pub participated: bool,
}

impl Aggregations {
    /// `m.relations`, as JSON. `None` if there is nothing. `write` appends an event with this `m.relations` to the text.
    pub fn to_json(&self, write: &dyn Fn(&mut String, &Event, Option<&str>)) -> Option<String> {
        let mut out = String::from("{");
        let key = |out: &mut String, name: &str| {
            if out.len() > 1 {
                out.push(',');
            }
            write_string(out, name);
            out.push(':');
        };
        if !self.references.is_empty() {
            key(&mut out, "m.reference");
            out.push_str("{\"chunk\":[");
            for (at, event_id) in self.references.iter().enumerate() {
                out.push_str(if at > 0 { ",{\"event_id\":" } else { "{\"event_id\":" });
                write_string(&mut out, event_id.as_str());
                out.push('}');
            }
            out.push_str("]}");
        }
        if let Some(edit) = &self.replacement {
            key(&mut out, "m.replace");
            write(&mut out, edit, None);
        }
        if let Some(thread) = &self.thread {
            key(&mut out, "m.thread");
            out.push_str("{\"latest_event\":");
            write(&mut out, &thread.latest, thread.related.to_json(write).as_deref());
            out.push_str(&format!(
                ",\"count\":{},\"current_user_participated\":{}}}",
                thread.count, thread.participated
            ));
        }
        out.push('}');
        (out.len() > 2).then_some(out)
    }
}
