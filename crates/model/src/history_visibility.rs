//! The part of a room's history that people see, as the database and the rules have it.

use serde::Deserialize;

/// The part of a room's history that its members see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HistoryVisibility {
    /// The whole of it, which everybody sees, members or not.
    WorldReadable,
    /// The whole of it. This is the default.
    #[default]
    Shared,
    /// The part since they were invited.
    Invited,
    /// The part since they joined.
    Joined,
}

impl HistoryVisibility {
    /// Read the content of an `m.room.history_visibility` event. What is not known counts as the default.
    pub fn parse(content: &str) -> Self {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow)]
            history_visibility: std::borrow::Cow<'a, str>,
        }
        match serde_json::from_str::<Content<'_>>(content) {
            Ok(content) => match &*content.history_visibility {
                "world_readable" => Self::WorldReadable,
                "invited" => Self::Invited,
                "joined" => Self::Joined,
                _ => Self::Shared,
            },
            Err(_) => Self::Shared,
        }
    }

    /// Whether members see what was before they came.
    pub fn is_open(self) -> bool {
        match self {
            Self::WorldReadable | Self::Shared => true,
            Self::Invited | Self::Joined => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HistoryVisibility::{self, Invited, Joined, Shared, WorldReadable};

    #[test]
    fn contents_are_read() {
        for (content, expect) in [
            (r#"{"history_visibility":"joined"}"#, Joined),
            (r#"{"history_visibility":"world_readable"}"#, WorldReadable),
            (r#"{"history_visibility":"invited"}"#, Invited),
            (r#"{"history_visibility":"what"}"#, Shared),
            (r#"{"history_visibility":1}"#, Shared),
            ("{}", Shared),
        ] {
            assert_eq!(HistoryVisibility::parse(content), expect);
        }
    }
}
