//! The addresses from which users call: gathered in memory on each node, written to `user_ips` and `devices` once a
//! minute.
//!
//! Noting a call costs no query and waits for nothing. What a node that dies had not written yet is lost.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::to_sql_ts;
use crate::StorageError;

/// The time between two writes of what was gathered.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);

/// The number of calls that are gathered, at most, between two writes: one a user, device and address. Others are
/// passed over.
const CALLS_MAX: usize = 50_000;

/// The number of those among them that may be one user's.
const CALLS_OF_A_USER_MAX: usize = 64;

/// The length of a user agent that is kept, in bytes.
const USER_AGENT_LENGTH_BYTES_MAX: usize = 512;

/// The last call of a user's device from an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The device of the access token, if it has one.
    pub(crate) device_id: Option<OwnedDeviceId>,
    /// The address from which the user called.
    pub(crate) address: IpAddr,
    /// The `User-Agent` of the client, cut off at the limit.
    pub(crate) user_agent: Box<str>,
    /// The time of the last call, in milliseconds since the epoch.
    pub(crate) last_seen_ts: u64,
}

type Calls = HashMap<OwnedUserId, Vec<Call>>;

#[derive(Debug, Default)]
struct Gathered {
    new: Calls,
    new_count: usize,
    /// Being written: still read from here.
    writing: Calls,
}

/// The addresses from which users called lately, as far as this node knows.
#[derive(Debug)]
pub struct UserIps {
    pool: PgPool,
    gathered: Mutex<Gathered>,
    one_write: tokio::sync::Mutex<()>,
}

impl UserIps {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, gathered: Mutex::default(), one_write: tokio::sync::Mutex::default() }
    }

    /// Note that a user called.
    pub fn note(
        &self,
        user_id: &UserId,
        device_id: Option<&DeviceId>,
        address: IpAddr,
        user_agent: &str,
        now_ms: u64,
    ) {
        let user_agent = shorten(user_agent);
        let mut gathered = self.gathered.lock();
        let gathered = &mut *gathered;
        if let Some(calls) = gathered.new.get_mut(user_id) {
            let known = calls
                .iter_mut()
                .find(|call| call.address == address && call.device_id.as_deref() == device_id);
            if let Some(call) = known {
                call.last_seen_ts = call.last_seen_ts.max(now_ms);
                if *call.user_agent != *user_agent {
                    call.user_agent = user_agent.into();
                }
                return;
            }
        }
        gathered.add(
            user_id,
            Call {
                device_id: device_id.map(ToOwned::to_owned),
                address,
                user_agent: user_agent.into(),
                last_seen_ts: now_ms,
            },
        );
    }

    /// A user's calls that are not in the database yet. Read them before the database: what is written meanwhile is in
    /// both then, and never in neither.
    pub(crate) fn list_unwritten(&self, user_id: &UserId) -> Vec<Call> {
        let gathered = self.gathered.lock();
        let of = |calls: &Calls| calls.get(user_id).cloned().unwrap_or_default();
        let mut calls = of(&gathered.writing);
        calls.extend(of(&gathered.new));
        calls
    }

    /// Write what was gathered. It takes one statement.
    #[tracing::instrument(name = "db.user_ips.write", skip_all)]
    pub async fn write(&self) -> Result<(), StorageError> {
        let _one = self.one_write.lock().await;
        let calls = {
            let mut gathered = self.gathered.lock();
            gathered.new_count = 0;
            gathered.writing = std::mem::take(&mut gathered.new);
            gathered.writing.clone()
        };
        if calls.is_empty() {
            return Ok(());
        }
        let written = write(&self.pool, &calls).await;
        let mut gathered = self.gathered.lock();
        let calls = std::mem::take(&mut gathered.writing);
        if written.is_err() {
            for (user_id, calls) in calls {
                for call in calls {
                    gathered.add_older(&user_id, call);
                }
            }
        }
        written
    }
}

impl Gathered {
    fn add(&mut self, user_id: &UserId, call: Call) {
        if self.new_count >= CALLS_MAX {
            metrics::counter!("myelin_user_ips_passed_over_total").increment(1);
            return;
        }
        let calls = match self.new.get_mut(user_id) {
            Some(calls) => calls,
            None => self.new.entry(user_id.to_owned()).or_default(),
        };
        if calls.len() < CALLS_OF_A_USER_MAX {
            calls.push(call);
            self.new_count += 1;
        }
    }

    /// Take back what could not be written, unless there is something newer.
    fn add_older(&mut self, user_id: &UserId, call: Call) {
        let newer = self.new.get(user_id).is_some_and(|calls| {
            let mut calls = calls.iter();
            calls.any(|new| new.address == call.address && new.device_id == call.device_id)
        });
        if !newer {
            self.add(user_id, call);
        }
    }
}

fn shorten(user_agent: &str) -> &str {
    let end = user_agent.floor_char_boundary(USER_AGENT_LENGTH_BYTES_MAX);
    user_agent.get(..end).unwrap_or_default()
}

/// Write down once a minute, and a last time when the node stops.
pub(crate) async fn run(user_ips: std::sync::Arc<UserIps>, stop: CancellationToken) {
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(WRITE_INTERVAL) => false,
        };
        if let Err(error) = user_ips.write().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not write from where users called"
            );
        }
        if stopping {
            return;
        }
    }
}

async fn write(pool: &PgPool, calls: &Calls) -> Result<(), StorageError> {
    let (mut users, mut devices, mut addresses, mut agents, mut times) =
        (vec![], vec![], vec![], vec![], vec![]);
    for (user_id, calls) in calls {
        for call in calls {
            users.push(user_id.to_string());
            devices.push(call.device_id.as_ref().map(ToString::to_string).unwrap_or_default());
            addresses.push(call.address.to_string());
            // PostgreSQL keeps no such character.
            agents.push(call.user_agent.replace('\0', ""));
            times.push(to_sql_ts(call.last_seen_ts));
        }
    }
    // In one order, so that nodes which write at once wait for each other rather than both for ever.
    sqlx::query!(
        "WITH calls AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
                 AS c (user_id, device_id, ip, user_agent, ts) ORDER BY user_id, device_id, ip
         ), kept AS (
             INSERT INTO user_ips AS old (user_id, device_id, ip, user_agent, last_seen_ts)
             SELECT user_id, device_id, ip, user_agent, ts FROM calls
             ON CONFLICT (user_id, device_id, ip) DO UPDATE
                 SET user_agent = EXCLUDED.user_agent, last_seen_ts = EXCLUDED.last_seen_ts
                 WHERE old.last_seen_ts < EXCLUDED.last_seen_ts
         )
         UPDATE devices d SET last_seen_ts = c.ts, last_seen_ip = c.ip, user_agent = c.user_agent
         FROM (
             SELECT DISTINCT ON (user_id, device_id) * FROM calls ORDER BY user_id, device_id, ts DESC
         ) AS c
         WHERE d.user_id = c.user_id AND d.device_id = c.device_id AND coalesce(d.last_seen_ts, 0) < c.ts",
        &users,
        &devices,
        &addresses,
        &agents,
        &times
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use sqlx::Row as _;

    use super::*;

    async fn rows(pool: &PgPool) -> Vec<(String, String, String, i64)> {
        let rows = sqlx::query(
            "SELECT device_id, ip, user_agent, last_seen_ts FROM user_ips ORDER BY device_id, ip",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn the_last_call_from_each_address_is_written(pool: PgPool) {
        let (alice, address) = (user_id!("@alice:example.org"), "10.0.0.1".parse().unwrap());
        let (here, there) = (UserIps::new(pool.clone()), UserIps::new(pool.clone()));
        here.note(alice, Some("A".into()), address, "old", 1_000);
        here.note(alice, Some("A".into()), address, "n\0ew", 3_000);
        here.note(alice, Some("A".into()), "::1".parse().unwrap(), "v6", 2_000);
        here.note(alice, None, address, "", 1_000);
        there.note(alice, Some("A".into()), address, "late", 2_500);
        assert_eq!(here.list_unwritten(alice).len(), 3);

        here.write().await.unwrap();
        there.write().await.unwrap();

        assert_eq!(here.list_unwritten(alice), []);
        let row = |device: &str, ip: &str, agent: &str, ts| {
            (device.to_owned(), ip.to_owned(), agent.to_owned(), ts)
        };
        let expected = [
            row("", "10.0.0.1", "", 1_000),
            row("A", "10.0.0.1", "new", 3_000),
            row("A", "::1", "v6", 2_000),
        ];
        assert_eq!(rows(&pool).await, expected);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn what_could_not_be_written_is_kept_and_bounded(pool: PgPool) {
        let (alice, address) = (user_id!("@alice:example.org"), "10.0.0.1".parse().unwrap());
        let user_ips = UserIps::new(pool.clone());
        for device in 0..CALLS_OF_A_USER_MAX + 5 {
            user_ips.note(alice, Some(format!("D{device}").as_str().into()), address, "x", 1_000);
        }
        assert_eq!(user_ips.list_unwritten(alice).len(), CALLS_OF_A_USER_MAX);
        sqlx::query("ALTER TABLE user_ips RENAME TO away").execute(&pool).await.unwrap();
        assert!(user_ips.write().await.is_err());
        user_ips.note(alice, Some("D0".into()), address, "x", 2_000);

        sqlx::query("ALTER TABLE away RENAME TO user_ips").execute(&pool).await.unwrap();
        user_ips.write().await.unwrap();

        let rows = rows(&pool).await;
        assert_eq!(rows.len(), CALLS_OF_A_USER_MAX);
        assert_eq!(rows[0].3, 2_000);
    }

    #[test]
    fn user_agents_are_cut_between_characters() {
        let long = "é".repeat(USER_AGENT_LENGTH_BYTES_MAX);
        assert_eq!(shorten(&long).len(), USER_AGENT_LENGTH_BYTES_MAX);
        assert_eq!(shorten(&long[2..]).len(), USER_AGENT_LENGTH_BYTES_MAX);
        assert_eq!(shorten("curl"), "curl");
    }
}
