//! The table of what requests cost, as it is and as it is written down.

use std::{fmt::Write as _, fs, path::PathBuf};

use sqlx::PgPool;

use crate::Statements;

/// The folder of the tables, from that of a crate.
const WRITTEN: &str = "../../tests/budgets";
const HEAD: &str = "request\treads\twrites\n";
/// The environment variable that says what becomes of the counts. Set to `update`, it has the table written instead of
/// compared; `cargo xtask budgets --update` does so.
const MODE: &str = "MYELIN_BUDGETS";

/// The number of turns that other tasks get before the next look whether all connections are at rest.
const TURNS: usize = 100;

/// The counts of requests, in the order in which they were made.
#[derive(Debug)]
pub struct Ledger {
    pool: PgPool,
    file: &'static str,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    request: String,
    /// The beginnings of its statements.
    statements: Vec<String>,
    writes: usize,
}

impl Ledger {
    /// The ledger that belongs to a file of `tests/budgets`.
    pub fn new(pool: &PgPool, file: &'static str) -> Self {
        Self { pool: pool.clone(), file, entries: Vec::new() }
    }

    /// Wait until what the last request has set off is over: no task runs, and no connection is out but those that listen.
    async fn settle(&self) {
        let mut at_rest = 0;
        while at_rest < 3 {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            let out = usize::try_from(self.pool.size()).unwrap() - self.pool.num_idle();
            at_rest = if out <= 1 { at_rest + 1 } else { 0 };
        }
    }

    /// Count the statements of a request, and of what it sets off.
    pub async fn note<T>(
        &mut self,
        request: &str,
        kind: &str,
        future: impl Future<Output = T>,
    ) -> T {
        self.settle().await;
        let statements = Statements::start();
        let answer = future.await;
        self.settle().await;
        self.entries.push(Entry {
            request: format!("{request} ({kind})"),
            statements: statements.list(),
            writes: statements.writes(),
        });
        answer
    }

    /// The path of the table, in the checkout that cargo runs the tests of. They may have been built in another one.
    fn written(&self) -> PathBuf {
        let package = std::env::var_os("CARGO_MANIFEST_DIR");
        let package = package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        package.join(WRITTEN).join(self.file)
    }

    /// Fail if the table in the repository says something else.
    #[track_caller]
    pub fn check(&self) {
        let mut table = HEAD.to_owned();
        for Entry { request, statements, writes } in &self.entries {
            writeln!(table, "{request}\t{}\t{writes}", statements.len() - writes).unwrap();
        }
        if std::env::var(MODE).is_ok_and(|mode| mode == "update") {
            return fs::write(self.written(), table).unwrap();
        }
        let written = fs::read_to_string(self.written()).unwrap_or_default();
        let mut changes = compare(&written, &table);
        for Entry { request, statements, .. } in &self.entries {
            let starts = format!("  {request}: ");
            for change in changes.iter_mut().filter(|change| change.starts_with(&starts)) {
                change.extend(statements.iter().map(|statement| format!("\n      {statement}")));
            }
        }
        assert!(
            changes.is_empty(),
            "what requests cost in statements has changed:\n\n{}\n\n\
             If that is meant, write it down with `cargo xtask budgets --update` in the same commit \
             (docs/testing.md, Budgets).\n",
            changes.join("\n")
        );
    }
}

/// One line for each request whose numbers differ.
fn compare(written: &str, counted: &str) -> Vec<String> {
    let find = |table: &str, request: &str| {
        let line = table.lines().find(|line| line.split('\t').next() == Some(request))?;
        let mut numbers =
            line.split('\t').skip(1).map(|number| number.parse::<usize>().unwrap_or(0));
        Some((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
    };
    let names = |table: &str| -> Vec<String> {
        table.lines().skip(1).filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect()
    };
    let say = |cost: Option<(usize, usize)>| match cost {
        Some((reads, writes)) => format!("{reads} reads and {writes} writes"),
        None => "nothing".to_owned(),
    };
    let mut changes = Vec::new();
    let mut requests = names(counted);
    requests.extend(names(written).into_iter().filter(|name| find(counted, name).is_none()));
    for request in requests {
        let (was, is) = (find(written, &request), find(counted, &request));
        if was == is {
            continue;
        }
        let verdict = match (was, is) {
            (Some(was), Some(is)) if is.0 + is.1 < was.0 + was.1 => "better",
            (Some(_), Some(_)) => "WORSE",
            (None, _) => "new",
            (_, None) => "gone",
        };
        changes.push(format!(
            "  {request}: {}, written down are {} ({verdict})",
            say(is),
            say(was)
        ));
    }
    changes
}

#[test]
fn changes_are_told_apart() {
    let written = "request\treads\twrites\na\t1\t1\nb\t2\t0\nc\t1\t0\nsame\t0\t1\n";
    let counted = "request\treads\twrites\na\t1\t2\nb\t1\t0\nd\t0\t1\nsame\t0\t1\n";
    assert_eq!(
        compare(written, counted),
        [
            "  a: 1 reads and 2 writes, written down are 1 reads and 1 writes (WORSE)",
            "  b: 1 reads and 0 writes, written down are 2 reads and 0 writes (better)",
            "  d: 0 reads and 1 writes, written down are nothing (new)",
            "  c: nothing, written down are 1 reads and 0 writes (gone)",
        ]
    );
    assert!(compare(written, written).is_empty());
}
