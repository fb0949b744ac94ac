//! Reading a request's body, and saying what is wrong with it as Synapse does.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use ruma::api::error::{DeserializationError, ErrorKind, FromHttpRequestError};

use crate::ApiError;

/// The size of a request's body: as much as Synapse takes.
pub(crate) const BODY_SIZE_BYTES_MAX: usize = 200 * 65_536;

/// The time in which the whole body must come. A client that stalls must not hold a connection for ever.
const BODY_READ_MAX: Duration = Duration::from_secs(120);

/// The size of the body of a request that need not say who sends it. Strangers have little to say, and what they send is read before
/// any limit counts it.
pub(crate) const STRANGERS_BODY_SIZE_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn read(body: Body, size_bytes_max: usize) -> Result<Bytes, ApiError> {
    let read = Limited::new(body, size_bytes_max).collect();
    let read = tokio::time::timeout(BODY_READ_MAX, read).await.map_err(|_| too_slow())?;
    let read = read.map_err(|_| ApiError::too_large("Request content is too large"))?;
    Ok(read.to_bytes())
}

fn too_slow() -> ApiError {
    ApiError::client(
        StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Unknown,
        "The body took too long to come",
    )
}

impl From<FromHttpRequestError> for ApiError {
    fn from(error: FromHttpRequestError) -> Self {
        match error {
            FromHttpRequestError::Deserialization(DeserializationError::Json(error)) => {
                error.into()
            }
            FromHttpRequestError::Deserialization(DeserializationError::Query(error)) => {
                let message = error.to_string();
                if message.contains("missing field") {
                    Self::missing_param(message)
                } else {
                    Self::invalid_param(message)
                }
            }
            FromHttpRequestError::Deserialization(error) => Self::invalid_param(error.to_string()),
            error => Self::unknown(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    /// Blames the client. It is meant for request bodies only: a failure to write JSON of our own is
    /// [`ApiError::internal`].
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        match error.classify() {
            Category::Syntax | Category::Eof | Category::Io => Self::not_json(),
            Category::Data => {
                let message = error.to_string();
                if message.starts_with("missing field") {
                    Self::missing_param(message)
                } else {
                    Self::bad_json(message)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_ends() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let begun = tokio::time::Instant::now();
        let error = read(stalled, BODY_SIZE_BYTES_MAX).await.unwrap_err();
        assert_eq!((error.status(), begun.elapsed()), (StatusCode::REQUEST_TIMEOUT, BODY_READ_MAX));
    }
}
