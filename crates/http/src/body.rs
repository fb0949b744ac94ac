//! Reading a request's body, and saying what is wrong with it as Synapse does.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use ruma::api::error::{DeserializationError, FromHttpRequestError};

use crate::ApiError;

/// The size of a request's body: as much as Synapse takes.
pub(crate) const BODY_SIZE_BYTES_MAX: usize = 200 * 65_536;

pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    let read = Limited::new(body, BODY_SIZE_BYTES_MAX)
        .collect()
        .await
        .map_err(|_| ApiError::too_large("Request content is too large"))?;
    Ok(read.to_bytes())
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
    /// For request bodies only: what we cannot write ourselves is [`ApiError::internal`].
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
