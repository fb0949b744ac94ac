//! The credentials that a request brings to prove who sent it.

use axum::extract::Query;
use http::{StatusCode, header::AUTHORIZATION, request::Parts};
use ruma::api::error::ErrorKind;

use crate::ApiError;

/// The names under which an application service gives the device that it acts as.
const DEVICE_KEYS: [&str; 2] = ["device_id", "org.matrix.msc3202.device_id"];

/// The parameters of a request's query, decoded, in their order.
pub(crate) struct RequestQuery(Vec<(String, String)>);

impl RequestQuery {
    pub(crate) fn read(parts: &Parts) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| ApiError::invalid_param(error.body_text()))
    }

    fn all<'q>(&'q self, keys: &'q [&str]) -> impl Iterator<Item = &'q str> {
        let is_named = move |parameter: &&(String, String)| keys.contains(&parameter.0.as_str());
        self.0.iter().filter(is_named).map(|(_, value)| value.as_str())
    }

    /// The user that an application service acts as. What is given twice must be the same both times: nobody can tell which
    /// one the application service means.
    pub(crate) fn acts_as(&self) -> Result<Option<&str>, ApiError> {
        let contradiction = || ApiError::forbidden("Application service names more than one user");
        find_only(self.all(&["user_id"])).ok_or_else(contradiction)
    }

    /// The device that an application service acts as.
    pub(crate) fn acts_as_device(&self) -> Result<Option<&str>, ApiError> {
        let contradiction = || {
            let text = "Application service names more than one device";
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::UnknownDevice, text)
        };
        find_only(self.all(&DEVICE_KEYS)).ok_or_else(contradiction)
    }
}

/// The value that all have in common: `Some(None)` if there is none at all, `None` if they differ.
fn find_only<'q>(mut values: impl Iterator<Item = &'q str>) -> Option<Option<&'q str>> {
    let first = values.next();
    values.all(|value| Some(value) == first).then_some(first)
}

/// The token in the header, or else in the query.
pub(crate) fn find_token(parts: &Parts) -> Result<Option<String>, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else {
        let query = RequestQuery::read(parts)?;
        let token = query.all(&["access_token"]).next().filter(|token| !token.is_empty());
        return Ok(token.map(ToOwned::to_owned));
    };
    if headers.next().is_some() {
        return Err(unclear_token("Too many Authorization headers."));
    }
    let text = header.to_str().map_err(|_| ApiError::missing_token())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(Some(token.trim().to_owned()))
        }
        Some(_) | None => Err(unclear_token("Invalid Authorization header.")),
    }
}

fn unclear_token(message: &str) -> ApiError {
    ApiError::client(StatusCode::UNAUTHORIZED, ErrorKind::MissingToken, message)
}
