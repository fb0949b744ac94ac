//! An application service asks whether this server reaches it.

use std::time::{Duration, Instant};

use myelin_model::Appservice;
use myelin_outbound::{OutboundError, Reach};
use serde_json::{Value, json};

use crate::Accounts;

/// The size of an answer that is read, in bytes. What an application service says when it refuses is told to whoever looks after it.
const ANSWER_SIZE_BYTES_MAX: usize = 64 * 1024;

/// The reason why a ping did not do.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Its registration names no URL.
    #[error("The application service does not have a URL set")]
    NoUrl,
    /// It answered, but not that all is well.
    #[error("The application service answered with status {status}")]
    BadStatus {
        /// The status code of its answer.
        status: u16,
        /// The body of its answer, if it is text and not too large.
        body: Option<String>,
    },
    /// It answered that all is well, with a body that is no JSON: another program may listen there.
    #[error("The application service answered with a body that is no JSON")]
    NotJson,
    #[error("The application service did not answer in time")]
    Timeout,
    #[error("The application service was not reached: {0}")]
    NotReached(#[source] OutboundError),
}

impl From<OutboundError> for PingError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Timeout => Self::Timeout,
            OutboundError::Url(_)
            | OutboundError::Token
            | OutboundError::Blocked(_)
            | OutboundError::TooLarge(_)
            | OutboundError::Connection(_) => Self::NotReached(error),
        }
    }
}

/// Call an application service, with its transaction ID. The time from the call to its answer.
///
/// Its URL is the admin's choice: it may be any address, as the loopback that bridges on the same machine have.
pub async fn ping_appservice(
    accounts: &Accounts,
    appservice: &Appservice,
    transaction_id: Option<&Value>,
) -> Result<Duration, PingError> {
    let registration = &appservice.registration;
    let url = registration.url.as_deref().ok_or(PingError::NoUrl)?;
    let url = format!("{}/_matrix/app/v1/ping", url.trim_end_matches('/'));
    let body = json!({ "transaction_id": transaction_id });
    let started = Instant::now();
    let outbound = accounts.outbound();
    let answer = outbound.post_json(Reach::Anywhere, &url, &registration.hs_token, &body).await?;
    let (status, is_success) = (answer.status(), answer.is_success());
    let body = answer.read(ANSWER_SIZE_BYTES_MAX).await;
    if !is_success {
        let body = body.ok().and_then(|body| String::from_utf8(body.into()).ok());
        return Err(PingError::BadStatus { status, body });
    }
    serde_json::from_slice::<Value>(&body?).map_err(|_| PingError::NotJson)?;
    Ok(started.elapsed())
}
