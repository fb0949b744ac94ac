//! The faults of a config beyond its keys: regular expressions, files, addresses. `serve` and `check-config` both go
//! through here, so that neither takes what the other refuses.

use std::sync::Arc;

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
    /// What is wrong, for an admin to read.
    pub fn new(config: &Config) -> anyhow::Result<Prepared> {
        logs::check(config)?;
        database::check(&config.database)?;
        let server_name = settings::server_name(config)?;
        let appservices = settings::appservices(config, &server_name)?;
        Ok(Prepared {
            signing_key: settings::signing_key(config)?,
            sync: settings::sync(config)?,
            rooms: settings::rooms(config, &server_name, appservices.clone())?,
            appservices,
            outbound: Outbound::new(settings::address_rules(config))?,
            tls: read_tls(config)?,
            server_name,
        })
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
