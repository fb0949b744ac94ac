//! The error a handler answers with (client-server API, "Standard error response").

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::StatusCode;
use myelin_model::Suspended;
use myelin_storage::StorageError;
use ruma::api::{
    OutgoingResponseExt as _,
    error::{
        Error, ErrorBody, ErrorKind, LimitExceededErrorData, RetryAfter, StandardErrorBody,
        UnknownTokenErrorData,
    },
};
use serde_json::Value;

/// The one error type a handler may return.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    kind: ErrorKind,
    message: String,
    /// The whole body, where it is not the standard one.
    body: Option<Value>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    /// An error the client caused and may read.
    pub fn client(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), body: None, source: None }
    }

    /// A failure of ours. The cause is logged, never sent.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: ErrorKind::Unknown,
            message: "Internal server error".to_owned(),
            body: None,
            source: Some(Box::new(source)),
        }
    }

    /// An answer with a body of its own, as user-interactive authentication has.
    pub fn json(status: StatusCode, body: Value) -> Self {
        let message = body.get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { status, kind: ErrorKind::Unknown, message, body: Some(body), source: None }
    }

    /// An error with fields beside `errcode` and `error`, or with a code that ruma does not know.
    pub fn with_fields(
        status: StatusCode,
        errcode: &str,
        message: impl Into<String>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let mut body = serde_json::Map::new();
        body.insert("errcode".to_owned(), errcode.into());
        body.insert("error".to_owned(), message.into().into());
        body.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Self::json(status, Value::Object(body))
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::client(StatusCode::FORBIDDEN, ErrorKind::Forbidden, message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::client(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    pub fn unrecognized() -> Self {
        Self::client(StatusCode::NOT_FOUND, ErrorKind::Unrecognized, "Unrecognized request")
    }

    /// 405 `M_UNRECOGNIZED`: the endpoint has no such method.
    pub fn method_not_allowed() -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::client(status, ErrorKind::Unrecognized, "Unrecognized request")
    }

    /// 400 `M_BAD_JSON`: JSON, but not what the endpoint takes.
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, ErrorKind::BadJson, message)
    }

    /// 400 `M_NOT_JSON`.
    pub fn not_json() -> Self {
        Self::client(StatusCode::BAD_REQUEST, ErrorKind::NotJson, "Content not JSON.")
    }

    /// 400 `M_MISSING_PARAM`.
    pub fn missing_param(message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, ErrorKind::MissingParam, message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid_param(message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, ErrorKind::InvalidParam, message)
    }

    /// 400 `M_UNKNOWN`.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, ErrorKind::Unknown, message)
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::client(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, message)
    }

    /// 401 `M_MISSING_TOKEN`.
    pub fn missing_token() -> Self {
        Self::client(StatusCode::UNAUTHORIZED, ErrorKind::MissingToken, "Missing access token")
    }

    /// 401 `M_UNKNOWN_TOKEN`. With `soft_logout` the client may log in again and go on with its device.
    pub fn unknown_token(soft_logout: bool, message: impl Into<String>) -> Self {
        let mut data = UnknownTokenErrorData::new();
        data.soft_logout = soft_logout;
        Self::client(StatusCode::UNAUTHORIZED, ErrorKind::UnknownToken(data), message)
    }

    /// 401 `M_USER_LOCKED`.
    pub fn user_locked() -> Self {
        Self::with_fields(
            StatusCode::UNAUTHORIZED,
            "M_USER_LOCKED",
            "User account has been locked",
            [("soft_logout", Value::Bool(true))],
        )
    }

    /// 403 `M_GUEST_ACCESS_FORBIDDEN`.
    pub fn guest_access_forbidden(message: impl Into<String>) -> Self {
        Self::client(StatusCode::FORBIDDEN, ErrorKind::GuestAccessForbidden, message)
    }

    /// 429 `M_LIMIT_EXCEEDED`.
    pub fn limit_exceeded(retry_after: Duration) -> Self {
        let mut data = LimitExceededErrorData::new();
        data.retry_after = Some(RetryAfter::Delay(retry_after));
        Self::client(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::LimitExceeded(data),
            "Too Many Requests",
        )
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Suspended> for ApiError {
    fn from(error: Suspended) -> Self {
        Self::client(StatusCode::FORBIDDEN, ErrorKind::UserSuspended, error.to_string())
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StorageError>> for ApiError {
    fn from(error: Arc<StorageError>) -> Self {
        if error.is_unstorable_text() {
            return Self::invalid_param("Text must not contain NUL characters");
        }
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        // What has no cause of ours was brought about by the request, as when it names a server that cannot be reached.
        if self.source.is_some() {
            tracing::error!(error = &self as &dyn std::error::Error, "request failed");
        }
        let retry_after_s = match &self.kind {
            ErrorKind::LimitExceeded(LimitExceededErrorData {
                retry_after: Some(RetryAfter::Delay(delay)),
                ..
            }) => Some((delay.as_millis().div_ceil(1000), delay.as_millis())),
            _ => None,
        };
        let body = match (self.body.take(), retry_after_s) {
            (Some(body), _) => ErrorBody::Json(body),
            // The body says it in milliseconds and the header in seconds; ruma writes the header only.
            (None, Some((_, retry_after_ms))) => ErrorBody::Json(serde_json::json!({
                "errcode": "M_LIMIT_EXCEEDED",
                "error": self.message,
                "retry_after_ms": u64::try_from(retry_after_ms).unwrap_or(u64::MAX),
            })),
            (None, None) => ErrorBody::Standard(StandardErrorBody::new(self.kind, self.message)),
        };
        match Error::new(self.status, body).try_into_http_response::<BytesMut>() {
            Ok(mut response) => {
                if let Some((seconds, _)) = retry_after_s
                    && let Ok(value) = http::HeaderValue::from_str(&seconds.to_string())
                {
                    response.headers_mut().insert(http::header::RETRY_AFTER, value);
                }
                response.map(|body| axum::body::Body::from(body.freeze()))
            }
            Err(_) => self.status.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(error: ApiError) -> Value {
        let bytes = error.into_response().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn bodies_are_as_the_specification_has_them() {
        let limit = body(ApiError::limit_exceeded(Duration::from_millis(1500))).await;
        assert_eq!(
            (&limit["errcode"], &limit["retry_after_ms"]),
            (&"M_LIMIT_EXCEEDED".into(), &1500.into())
        );
        let token = body(ApiError::unknown_token(true, "gone")).await;
        assert_eq!(
            (&token["errcode"], &token["soft_logout"]),
            (&"M_UNKNOWN_TOKEN".into(), &true.into())
        );
        let header = ApiError::limit_exceeded(Duration::from_millis(1500)).into_response();
        assert_eq!(header.headers()["retry-after"], "2");
    }
}
