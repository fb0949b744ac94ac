//! The fields of a log line as text.

use std::fmt;

use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// Fields in the usual form, with control characters written as escapes. Names and texts come from strangers: none may begin a line of
/// its own, or command the terminal that shows it.
pub struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        for char in text.chars() {
            // The two separators are line breaks to some who read logs.
            if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') {
                write!(writer, "{}", char.escape_default())?;
            } else {
                writer.write_char(char)?;
            }
        }
        Ok(())
    }
}
