//! Noting from where users call.

use std::net::{IpAddr, Ipv4Addr};

use myelin_model::Actor;

use crate::Accounts;

/// Note that the user of a session called, for `GET /devices` and for admins. Costs no query. `address` is `None` for
/// who calls over a unix socket: that is this machine.
pub fn note_seen(accounts: &Accounts, actor: &Actor, address: Option<IpAddr>, user_agent: &str) {
    // An application service calls for many users from one address, which is none of theirs.
    if actor.appservice_id().is_some() {
        return;
    }
    accounts.db().user_ips().note(
        &actor.user_id,
        actor.device_id(),
        address.unwrap_or(Ipv4Addr::LOCALHOST.into()),
        user_agent,
        accounts.now_ms(),
    );
}
