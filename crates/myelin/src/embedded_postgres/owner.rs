//! The owner of the cluster's processes and files.

use std::os::unix::process::CommandExt;

use anyhow::Context;

/// A user of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    /// Whether it is another user than the one we run as.
    pub is_other: bool,
}

impl Owner {
    /// The user the cluster is to have: ourselves, or when we are root the configured one, `postgres` or `nobody`.
    ///
    /// # Errors
    ///
    /// There is no such user.
    pub fn choose(configured: Option<&str>) -> anyhow::Result<Owner> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            return Ok(Owner { uid: uid.as_raw(), gid: gid.as_raw(), is_other: false });
        }
        let passwd =
            std::fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        let find = |name: &str| {
            passwd.lines().find_map(|line| {
                let mut fields = line.split(':');
                let is_named = fields.next() == Some(name);
                let uid: u32 = fields.nth(1)?.parse().ok()?;
                let gid: u32 = fields.next()?.parse().ok()?;
                (is_named && uid != 0).then_some(Owner { uid, gid, is_other: true })
            })
        };
        match configured {
            Some(name) => find(name).with_context(|| {
                format!("myelin.embedded_postgres.user: {name:?} is no unprivileged user of this system")
            }),
            None => find("postgres").or_else(|| find("nobody")).context(
                "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`. Run Myelin \
                 as another user, or name one in myelin.embedded_postgres.user",
            ),
        }
    }

    /// Makes a program run as this user.
    pub fn become_in(self, command: &mut std::process::Command) {
        if self.is_other {
            command.uid(self.uid).gid(self.gid);
        }
    }
}
