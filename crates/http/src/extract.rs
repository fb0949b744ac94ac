//! Requests with the proven identity of their caller: parsed by ruma, or raw.

use axum::{
    body::Body,
    extract::{FromRef, FromRequest, FromRequestParts as _, MatchedPath, RawPathParams, Request},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use myelin_accounts::{Accounts, session::LiveSession};
use myelin_model::has_nul;
use ruma::api::{
    IncomingRequest, IncomingRequestExt as _, OutgoingResponse, OutgoingResponseExt as _,
    auth_scheme::AccessToken,
};
use serde::de::DeserializeOwned;

use crate::{ApiError, Authenticate, ClientAddress, auth, body, router::AuthKind};

/// A parsed request together with the proven identity of its caller.
pub struct Ruma<T: IncomingRequest<Authentication: Authenticate>> {
    /// The request, as the Matrix specification defines it.
    pub body: T,
    /// The caller. `()` for endpoints without authentication.
    pub requester: <T::Authentication as Authenticate>::Requester,
    /// The address that the request comes from.
    pub address: ClientAddress,
}

impl<T, S> FromRequest<S> for Ruma<T>
where
    S: Send + Sync,
    Accounts: FromRef<S>,
    T: IncomingRequest<Authentication: Authenticate> + Send,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let raw = Raw::<T::Authentication>::from_request(request, state).await?;
        let path: Vec<&str> = raw.path.iter().map(String::as_str).collect();
        let request = http::Request::from_parts(raw.parts, raw.body.as_ref());
        let body = T::try_from_http_request(request, &path)?;
        Ok(Self { body, requester: raw.requester, address: raw.address })
    }
}

/// A request as it came, together with the proven identity of its caller: for endpoints where ruma's type is slower
/// or stricter than the endpoint may be. `A` is what the endpoint asks for, as ruma names it.
pub struct Raw<A: Authenticate = AccessToken> {
    /// The caller. `()` for endpoints without authentication.
    pub requester: A::Requester,
    /// The parameters of the path, percent-decoded, in their order.
    pub path: Vec<String>,
    /// The body, at most as long as a body may be.
    pub body: Bytes,
    /// The method, URI and headers.
    pub parts: Parts,
    /// The address that the request comes from.
    pub address: ClientAddress,
}

impl<A: Authenticate> Raw<A> {
    /// A parameter of the path.
    pub fn path_arg(&self, index: usize) -> Result<&str, ApiError> {
        self.path.get(index).map(String::as_str).ok_or_else(ApiError::unrecognized)
    }

    /// The parameters of the query.
    pub fn query<Q: DeserializeOwned>(&self) -> Result<Q, ApiError> {
        axum::extract::Query::<Q>::try_from_uri(&self.parts.uri).map(|query| query.0).map_err(
            |error| {
                let message = error.body_text();
                if message.contains("missing field") {
                    ApiError::missing_param(message)
                } else {
                    ApiError::invalid_param(message)
                }
            },
        )
    }

    /// The body, as JSON.
    pub fn json<'a, B: serde::Deserialize<'a>>(&'a self) -> Result<B, ApiError> {
        self.check_body()?;
        // Where nobody looks at a text, it is not checked otherwise.
        let text = std::str::from_utf8(&self.body).map_err(|_| ApiError::not_json())?;
        Ok(serde_json::from_str(text)?)
    }

    /// The body as a JSON object. Nothing at all, or null, counts as an empty one if `may_be_empty`.
    pub fn json_object(
        &self,
        may_be_empty: bool,
    ) -> Result<serde_json::Map<String, serde_json::Value>, ApiError> {
        if may_be_empty && self.body.is_empty() {
            return Ok(serde_json::Map::new());
        }
        self.check_body()?;
        match serde_json::from_slice(&self.body)? {
            serde_json::Value::Object(object) => Ok(object),
            serde_json::Value::Null if may_be_empty => Ok(serde_json::Map::new()),
            _ => Err(ApiError::bad_json("Content must be a JSON object.")),
        }
    }
}

impl Raw<AccessToken> {
    /// Wait for an answer as long as the caller's session lasts.
    ///
    /// # Errors
    ///
    /// The refusal that the token would meet now.
    pub async fn hold<T>(
        &self,
        accounts: &Accounts,
        answer: impl Future<Output = T>,
    ) -> Result<T, ApiError> {
        match self.parts.extensions.get::<LiveSession>() {
            Some(session) => session.hold(accounts, answer).await.map_err(auth::to_api_error),
            None => Ok(answer.await),
        }
    }
}

impl<A: Authenticate> Raw<A> {
    /// Refuse a NUL character in the body of a caller who need not be known: it is looked up and stored as text, in
    /// which the database takes none, and each would make an error in the logs. Users may have a NUL in what is kept as
    /// JSON.
    fn check_body(&self) -> Result<(), ApiError> {
        if A::KIND != AuthKind::Required && has_nul(&self.body) {
            return Err(no_nul());
        }
        Ok(())
    }
}

impl<A, S> FromRequest<S> for Raw<A>
where
    A: Authenticate,
    S: Send + Sync,
    Accounts: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let route = parts.extensions.get::<MatchedPath>().cloned();
        let route = route.as_ref().map_or("", MatchedPath::as_str);
        let accounts = Accounts::from_ref(state);
        let address = ClientAddress::of(&parts);
        let requester = A::authenticate(&accounts, &mut parts, route).await?;
        // Parameters that are not UTF-8 when decoded fail here.
        let path = RawPathParams::from_request_parts(&mut parts, state)
            .await
            .map_err(|error| ApiError::invalid_param(error.body_text()))?;
        let path: Vec<String> = path.iter().map(|(_, value)| value.to_owned()).collect();
        check_no_nul(&path, &parts)?;
        let size_bytes_max = match A::KIND {
            AuthKind::Required => body::BODY_SIZE_BYTES_MAX,
            _ => body::STRANGERS_BODY_SIZE_BYTES_MAX,
        };
        let body = body::read(body, size_bytes_max).await?;
        Ok(Self { requester, path, body, parts, address })
    }
}

/// No name in a path or a query has a NUL character: the database takes none, and Matrix has no name with one.
fn check_no_nul(path: &[String], parts: &Parts) -> Result<(), ApiError> {
    // A query is percent-encoded, which has one spelling for it.
    let in_query = parts.uri.query().is_some_and(|query| query.contains("%00"));
    if in_query || path.iter().any(|value| value.contains('\0')) {
        return Err(no_nul());
    }
    Ok(())
}

fn no_nul() -> ApiError {
    ApiError::invalid_param("Parameters must not contain NUL characters")
}

/// A ruma response as an axum response.
#[derive(Debug)]
pub struct RumaResponse<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for RumaResponse<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<BytesMut>() {
            Ok(response) => response.map(|body| Body::from(body.freeze())),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}
