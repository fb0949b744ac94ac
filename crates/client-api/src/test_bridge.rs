//! A server with an application service, for tests.

use myelin_accounts::AccountsSettings;
use myelin_model::{
    Appservice, AppserviceNamespace, AppserviceNamespaces, AppserviceRegistration, Appservices,
    Secret,
};
use myelin_testing::{TestServer, TestUser};
use ruma::server_name;
use sqlx::PgPool;

use crate::test_server::{self, TestSettings};

/// Start a server that knows an application service named `bridge`; `register` changes its registration, and `change` the settings. With
/// the server comes the application service's own user.
pub(crate) async fn open(
    pool: PgPool,
    register: impl FnOnce(&mut AppserviceRegistration),
    change: impl FnOnce(&mut TestSettings),
) -> (TestServer, TestUser) {
    let mut registration = AppserviceRegistration {
        id: "bridge".to_owned(),
        url: None,
        as_token: Secret::new("as_token".to_owned()),
        hs_token: Secret::new("hs_token".to_owned()),
        sender_localpart: "_bridge".to_owned(),
        namespaces: AppserviceNamespaces {
            users: vec![AppserviceNamespace { exclusive: true, regex: "@_?irc_.*".to_owned() }],
            aliases: vec![AppserviceNamespace { exclusive: true, regex: "#irc_.*".to_owned() }],
            ..AppserviceNamespaces::default()
        },
        rate_limited: Some(false),
        protocols: None,
        receive_ephemeral: false,
        manages_devices: false,
    };
    register(&mut registration);
    let bridge = Appservice::new(registration, server_name!("example.org")).unwrap();
    let settings = AccountsSettings { enable_registration: true, ..AccountsSettings::default() };
    let server = TestServer::open_with(pool, settings, Appservices::new(vec![bridge]), |parts| {
        let mut settings = TestSettings::default();
        change(&mut settings);
        crate::routes().with_state(test_server::state_with(parts, settings)).finish()
    })
    .await;
    let bridge = TestUser {
        user_id: "@_bridge:example.org".try_into().unwrap(),
        device_id: "none".into(),
        token: "as_token".to_owned(),
    };
    (server, bridge)
}
