//! Nodes of neighbouring versions on one schema.

use myelin_model::{Event, EventFlags, Membership, StreamPos};
use ruma::{OwnedEventId, RoomVersionId, owned_room_id, user_id};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};
use tokio_util::sync::CancellationToken;

use super::{functions::FILES, *};
use crate::{
    Append, Change, Db, Extremity, RoomHead, StateKey, StorageSettings,
    writer::{BuiltOn, MembershipChange},
};

#[sqlx::test(migrations = false)]
async fn many_nodes_start_at_once(pool: PgPool) {
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let pool = pool.clone();
        nodes.spawn(async move { migrate(&pool).await });
    }
    while let Some(migrated) = nodes.join_next().await {
        migrated.unwrap().unwrap();
    }
}

/// The next version of the program: one more table, another text of a function, and one more.
struct Newer {
    migrator: Migrator,
    functions: FunctionSet,
}

impl Newer {
    fn new(trigger: &'static str) -> Self {
        let mut files = FILES.to_vec();
        files.push(("newer", "CREATE FUNCTION newer() RETURNS integer LANGUAGE sql RETURN 1;"));
        let functions = FunctionSet::new(&files);
        let more = migration(90_000_000_000_000, "CREATE TABLE newer (id bigint)", false);
        let tables = sqlx::migrate!("../../migrations");
        let tables = tables.iter().cloned().chain([more]).collect::<Vec<_>>();
        let migrator =
            migrator(tables.into_iter(), &functions, &[("events_add_relation", trigger)]);
        Self { migrator, functions }
    }

    async fn migrate(&self, pool: &PgPool) -> Result<(), StorageError> {
        migrate_to(pool, &self.migrator, &self.functions).await
    }

    async fn call(&self, pool: &PgPool) -> Result<i32, sqlx::Error> {
        let sql = self.functions.call("newer", &[]);
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await
    }
}

fn migration(version: i64, sql: &'static str, no_tx: bool) -> Migration {
    Migration::new(version, "test".into(), MigrationType::Simple, sql.into_sql_str(), no_tx)
}

/// Call a function as a node of this version does.
async fn call_ours(pool: &PgPool) -> Result<(), sqlx::Error> {
    functions::call_function!(log_lock()).execute(pool).await.map(drop)
}

async fn trigger_version(pool: &PgPool) -> i32 {
    sqlx::query_scalar("SELECT version FROM triggers").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn versions_start_in_any_order_and_call_their_own_functions(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");

    newer.migrate(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    call_ours(&pool).await.unwrap();
    assert_eq!(newer.call(&pool).await.unwrap(), 1);

    migrate(&pool).await.unwrap();
    newer.migrate(&pool).await.unwrap();
    call_ours(&pool).await.unwrap();
    assert_eq!(newer.call(&pool).await.unwrap(), 1);
}

#[sqlx::test(migrations = false)]
async fn the_newest_trigger_stands(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");
    newer.migrate(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    assert_eq!(trigger_version(&pool).await, 1000);

    Newer::new("-- version 1001\nSELECT 1").migrate(&pool).await.unwrap();
    assert_eq!(trigger_version(&pool).await, 1001);
}

#[sqlx::test(migrations = false)]
async fn functions_that_nobody_calls_go_after_long(pool: PgPool) {
    let newer = Newer::new("-- version 1000\nSELECT 1");
    newer.migrate(&pool).await.unwrap();
    let call = newer.functions.call("newer", &[]);
    let suffix = call.split_once("newer_").unwrap().1.trim_end_matches("()");
    let insert = "INSERT INTO nodes (node_id, functions, alive_until) VALUES (1, $1, now())";
    sqlx::query(insert).bind(suffix).execute(&pool).await.unwrap();
    let age = "UPDATE _sqlx_migrations SET installed_on = now() - interval '31 days'";

    sqlx::query(age).execute(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap();

    sqlx::query("DELETE FROM nodes").execute(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap_err();
    call_ours(&pool).await.unwrap();

    newer.migrate(&pool).await.unwrap();
    newer.call(&pool).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_change_waits_for_a_table_without_holding_up_who_writes(pool: PgPool) {
    migrate(&pool).await.unwrap();
    let functions = &functions::OURS;
    let change = "ALTER TABLE users ADD COLUMN newer bigint";
    let tables = sqlx::migrate!("../../migrations");
    let tables = tables.iter().cloned().chain([migration(90_000_000_000_000, change, false)]);
    let migrator = migrator(tables.collect::<Vec<_>>().into_iter(), functions, triggers::FILES);

    // A reader that takes its time.
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users").execute(&mut *reader).await.unwrap();
    let migrating = {
        let pool = pool.clone();
        tokio::spawn(async move { migrate_to(&pool, &migrator, functions).await })
    };
    let insert = "INSERT INTO users (user_id, created_ts) VALUES ($1, 0)";
    for number in 0..20 {
        let insert = sqlx::query(insert).bind(number.to_string()).execute(&pool);
        tokio::time::timeout(Duration::from_secs(5), insert).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(reader);
    migrating.await.unwrap().unwrap();
}

#[sqlx::test(migrations = false)]
async fn an_index_that_was_not_finished_is_made_anew(pool: PgPool) {
    let index =
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_name ON users (user_id, created_ts)";
    let functions = &functions::OURS;
    let tables = sqlx::migrate!("../../migrations");
    let tables = tables.iter().cloned().chain([migration(90_000_000_000_000, index, true)]);
    let migrator = migrator(tables.collect::<Vec<_>>().into_iter(), functions, triggers::FILES);
    migrate_to(&pool, &migrator, functions).await.unwrap();
    for statement in [
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_by_name'::regclass",
        "DELETE FROM _sqlx_migrations WHERE version = 90000000000000",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }

    migrate_to(&pool, &migrator, functions).await.unwrap();

    let valid: bool = sqlx::query_scalar(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_by_name'::regclass",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(valid);
}

#[sqlx::test(migrations = false)]
async fn a_version_that_is_too_old_for_the_schema_does_not_start(pool: PgPool) {
    migrate(&pool).await.unwrap();
    let ours = sqlx::migrate!("../../migrations").iter().map(|one| one.version).max().unwrap();
    let take_away = async |known: i64| {
        let insert =
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                      VALUES ($1, $2, true, '', 0)";
        let description = format!("contract {known} drop something");
        let version = 90_000_000_000_000 + known % 1_000;
        sqlx::query(insert).bind(version).bind(description).execute(&pool).await.unwrap();
    };

    take_away(ours).await;
    migrate(&pool).await.unwrap();

    take_away(ours + 1).await;
    let refused = migrate(&pool).await.unwrap_err();
    assert!(matches!(refused, StorageError::TooOld { .. }), "{refused}");
}

/// A node of this version.
async fn node(pool: &PgPool) -> Db {
    let settings = StorageSettings::default();
    Db::open(pool.clone(), pool.clone(), &settings, CancellationToken::new()).await.unwrap()
}

/// Append one event to a room: a message, or one with a state and a membership of its own, which makes a batch.
async fn append(db: &Db, head: &RoomHead, is_state: bool) -> (StreamPos, RoomHead) {
    let nid = db.nids().next_event().await.unwrap();
    let event_id = OwnedEventId::try_from(format!("$event{nid}:example.org")).unwrap();
    let sender = user_id!("@alice:example.org").to_owned();
    let mut new = head.clone();
    let (before, mut snapshots, mut memberships) = (head.chain.state_nid(), vec![], vec![]);
    let key = StateKey::new("m.room.member", sender.as_str());
    let keys = db.state_keys().get_or_add(std::slice::from_ref(&key)).await.unwrap();
    let state_key_nid = is_state.then(|| keys[&key]);
    if let Some(key) = state_key_nid {
        new.state.insert(key, nid);
        let state_nid = db.nids().next_state().await.unwrap();
        snapshots.push(new.chain.extend(state_nid, &[(key, Some(nid))], &new.state));
        let user_id = sender.clone();
        memberships.push(MembershipChange {
            user_id,
            membership: Membership::Join,
            event_nid: nid,
        });
    }
    new.newest = Some(nid);
    new.extremities = vec![Extremity { nid, event_id: event_id.clone() }];
    let event = Event {
        nid,
        room_nid: head.room_nid,
        room_id: head.room_id.clone(),
        pos: None,
        event_id,
        event_type: "m.room.member".into(),
        state_key: is_state.then(|| sender.as_str().into()),
        state_key_nid,
        sender,
        origin_server_ts: 0,
        depth: 1,
        membership: is_state.then_some(Membership::Join),
        state_before: before,
        state_after: new.chain.state_nid(),
        replaces: None,
        redacts: None,
        redacted_by: None,
        flags: EventFlags::LINEAR,
        notify_ordinal: 0,
        transaction: None,
        json: "{}".into(),
        client_json: std::sync::OnceLock::new(),
    };
    let append = Append {
        built_on: BuiltOn::from(head),
        head: std::sync::Arc::new(new.clone()),
        events: vec![event],
        snapshots,
        memberships,
        departures: vec![],
        arrivals: vec![],
        late_redactions: vec![],
        missing: vec![],
        outside: vec![],
        resets: vec![],
        places: vec![],
        links: vec![],
        now_ms: 0,
    };
    (db.writer().append(append).await.unwrap().pos, new)
}

/// The functions of the version before do what they always did, whatever the newer version has done to the schema and to its own.
#[sqlx::test(migrations = false)]
async fn the_calls_of_the_version_before_go_on_after_a_migration(pool: PgPool) {
    migrate(&pool).await.unwrap();
    let before = node(&pool).await;
    let room_nid = before.nids().next_room().await.unwrap();
    let head = RoomHead::new(room_nid, owned_room_id!("!r:example.org"), RoomVersionId::V11);
    let (_, mut head) = append(&before, &head, true).await;

    // The next version: columns more, and a function of the same name that does something else.
    let mut files = FILES.to_vec();
    for (name, text) in &mut files {
        if *name == "append_message" {
            *text = "CREATE FUNCTION append_message(e_newer bigint) RETURNS void LANGUAGE sql
                     AS $$ UPDATE events SET newer = e_newer $$;";
        }
    }
    let functions = FunctionSet::new(&files);
    let change = "ALTER TABLE events ADD COLUMN newer bigint;
                  ALTER TABLE memberships ADD COLUMN newer text DEFAULT '' NOT NULL;
                  ALTER TABLE log ADD COLUMN newer bigint";
    let tables = sqlx::migrate!("../../migrations");
    let tables = tables.iter().cloned().chain([migration(90_000_000_000_000, change, false)]);
    let newer = migrator(tables.collect::<Vec<_>>().into_iter(), &functions, triggers::FILES);
    migrate_to(&pool, &newer, &functions).await.unwrap();
    let call = AssertSqlSafe(functions.call("append_message", &["e_newer"]));
    sqlx::query(call).bind(7_i64).execute(&pool).await.unwrap();

    // A node that goes on, and one that starts again.
    migrate(&pool).await.unwrap();
    let again = node(&pool).await;
    for db in [&before, &again] {
        for is_state in [false, true] {
            let (pos, next) = append(db, &head, is_state).await;
            head = next;
            for node in [&before, &again] {
                assert!(node.log().wait_for(pos, Duration::from_secs(10)).await);
            }
        }
        let mut tx = db.begin().await.unwrap();
        tx.publish(Change::Profile { user_id: user_id!("@alice:example.org").to_owned() });
        tx.commit().await.unwrap();
    }
    let events: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&pool).await.unwrap();
    assert_eq!(events, 5);
    let rows = again.hot_user(user_id!("@alice:example.org")).await.unwrap().memberships;
    assert_eq!(rows.iter().map(|row| row.room_nid).collect::<Vec<_>>(), [room_nid]);
}
