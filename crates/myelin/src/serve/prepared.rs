//! The faults of a config beyond its keys: regular expressions, files, addresses. `serve` and `check-config` both go
//! through here, so that neither takes what the other refuses.

use std::sync::Arc;

use anyhow::bail;
use myelin_config::Config;
use myelin_events::SigningKey;
use myelin_model::Appservices;
use myelin_outbound::Outbound;
use myelin_rooms::RoomSettings;
use myelin_sync::SyncSettings;
use ruma::OwnedServerName;

use super::{database, settings};
use crate::{
    listeners::{TlsFiles, TlsReloader},
    telemetry::logs,
};

/// A config that was found right, as the parts take it.
pub struct Prepared {
    pub server_name: OwnedServerName,
    /// The key that signs events and answers.
    pub signing_key: Arc<SigningKey>,
    pub appservices: Appservices,
    /// The settings of the read side.
    pub sync: SyncSettings,
    pub rooms: RoomSettings,
    /// The client for requests to others.
    pub outbound: Outbound,
    /// The certificate, if a listener needs one.
    pub tls: Option<TlsReloader>,
}

impl Prepared {
    /// Prepares what a start needs. Reads files, writes none, and speaks to nobody.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, for an admin to read.
    pub fn new(config: &Config) -> anyhow::Result<Prepared> {
        let server_name = settings::server_name(config)?;
        let mut faults = Faults::default();
        faults.keep(logs::check(config));
        faults.keep(database::check(&config.database));
        let signing_key = faults.keep(settings::signing_key(config));
        let sync = faults.keep(settings::sync(config));
        let appservices = faults.keep(settings::appservices(config, &server_name));
        let known = appservices.clone().unwrap_or_default();
        let rooms = faults.keep(settings::rooms(config, &server_name, known));
        let outbound =
            faults.keep(Outbound::new(settings::address_rules(config)).map_err(Into::into));
        let tls = faults.keep(read_tls(config));
        match (signing_key, sync, appservices, rooms, outbound, tls) {
            (
                Some(signing_key),
                Some(sync),
                Some(appservices),
                Some(rooms),
                Some(outbound),
                Some(tls),
            ) if faults.0.is_empty() => {
                Ok(Prepared { server_name, signing_key, appservices, sync, rooms, outbound, tls })
            }
            _ => bail!("{}", faults.0.join("\n")),
        }
    }
}

/// The faults that were found, one a line.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn keep<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|fault| self.0.push(format!("{fault:#}"))).ok()
    }
}

fn read_tls(config: &Config) -> anyhow::Result<Option<TlsReloader>> {
    let is_needed = config.listeners.iter().any(|listener| listener.tls);
    match &config.tls {
        Some(tls) if is_needed => {
            let files = TlsFiles {
                certificate: tls.certificate_path.clone(),
                key: tls.private_key_path.clone(),
            };
            Ok(Some(TlsReloader::load(files)?))
        }
        _ => Ok(None),
    }
}
