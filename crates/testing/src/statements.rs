//! The number of statements that a request costs.

use std::cell::RefCell;

use crate::recorder;

thread_local! {
    static STATEMENTS: RefCell<Vec<Statement>> = const { RefCell::new(Vec::new()) };
}

/// The statements that the driver sends from this thread. The runtime of a test has one thread, so that is the test with all the
/// nodes it has started.
#[derive(Debug)]
pub struct Statements(usize);

impl Statements {
    /// Begin to note them.
    pub fn start() -> Self {
        recorder::install();
        Self(STATEMENTS.with_borrow(Vec::len))
    }

    /// The beginnings of the statements since the start.
    pub fn list(&self) -> Vec<String> {
        self.map(|statement| statement.summary.clone())
    }

    /// The number of statements since the start.
    pub fn count(&self) -> usize {
        self.map(|_| ()).len()
    }

    /// The number of those among them that changed rows or committed.
    pub fn writes(&self) -> usize {
        self.map(|statement| is_write(statement.text())).into_iter().filter(|write| *write).count()
    }

    fn map<T>(&self, of: impl Fn(&Statement) -> T) -> Vec<T> {
        STATEMENTS.with_borrow(|statements| statements.iter().skip(self.0).map(of).collect())
    }
}

/// Statements that a node sends by itself, now and then: what belongs to other nodes' news and to presence is no part of a request.
const OWN_ACCORD: [&str; 3] = ["FROM log WHERE pos > $1", "pg_notify(", "INSERT INTO presence"];

/// Note what the driver reports.
pub(crate) fn note(event: &tracing::Event<'_>) {
    let mut statement = Statement::default();
    event.record(&mut statement);
    if !OWN_ACCORD.iter().any(|part| statement.text().contains(part)) {
        STATEMENTS.with_borrow_mut(|statements| statements.push(statement));
    }
}

/// The functions of the database that change rows.
const WRITING_FUNCTIONS: [&str; 3] = ["append_batch_", "append_message_", "log_publish_"];

/// Whether a statement changes rows, or makes changes last. Those that only take a number or a lock do not.
fn is_write(sql: &str) -> bool {
    let mut before = String::new();
    sql.split(|char: char| !(char.is_alphanumeric() || char == '_')).any(|word| {
        let word = word.to_ascii_lowercase();
        let writes = match &*word {
            "insert" | "delete" | "commit" => true,
            "update" => before != "for" && before != "key",
            // Functions carry a hash in their names.
            function => WRITING_FUNCTIONS.iter().any(|name| function.starts_with(name)),
        };
        if !word.is_empty() {
            before = word;
        }
        writes
    })
}

/// The facts that the driver reports of a statement.
#[derive(Debug, Default)]
struct Statement {
    summary: String,
    /// Empty if the summary is all of it.
    whole: String,
}

impl Statement {
    fn text(&self) -> &str {
        if self.whole.is_empty() { &self.summary } else { &self.whole }
    }
}

impl tracing::field::Visit for Statement {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_from_reads() {
        for (sql, expect) in [
            ("SELECT * FROM append_batch_1a2b3c4d(r_nid => $1)", true),
            ("SELECT * FROM append_message_1a2b3c4d(r_nid => $1)", true),
            ("SELECT * FROM log_lock_1a2b3c4d()", false),
            ("\n\nWITH a AS (UPDATE users SET x = 1 RETURNING *) SELECT * FROM a\n", true),
            ("insert into a select * from b", true),
            ("DELETE FROM a", true),
            ("COMMIT", true),
            ("SELECT updated, inserted FROM a FOR UPDATE", false),
            ("SELECT 1 FROM a FOR NO KEY UPDATE", false),
            ("SELECT nextval('event_nids')", false),
        ] {
            assert_eq!(is_write(sql), expect, "{sql}");
        }
    }
}
