//! Authentication: from the credentials of a request to the proven identity of its caller.

use http::request::Parts;
use myelin_accounts::{
    Accounts,
    session::{self, AuthenticateError, Authenticated, Credentials},
};
use myelin_model::{Actor, TokenHash};
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceToken, AppserviceTokenOptional, AuthScheme,
    NoAccessToken, NoAuthentication,
};

use crate::{
    ApiError, ClientAddress,
    credentials::{RequestQuery, find_token},
    disabled, restricted,
    router::AuthKind,
};

/// Turns the credentials an endpoint declares in ruma into the caller's identity.
///
/// There is no way to write a handler that forgets this: the endpoint type picks the implementation, and the
/// caller's type is what the handler gets.
pub trait Authenticate: AuthScheme {
    /// The identity of a caller that has proved it: an [`Actor`], an `Option` of one, or `()` where nobody is asked.
    type Requester: Send;

    /// The kind of authentication that the endpoint asks for.
    const KIND: AuthKind;

    /// Check the credentials.
    fn authenticate(
        accounts: &Accounts,
        parts: &mut Parts,
        route: &str,
    ) -> impl Future<Output = Result<Self::Requester, ApiError>> + Send;
}

impl Authenticate for NoAuthentication {
    type Requester = ();
    const KIND: AuthKind = AuthKind::None;
    async fn authenticate(_: &Accounts, _: &mut Parts, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

impl Authenticate for NoAccessToken {
    type Requester = ();
    const KIND: AuthKind = AuthKind::None;
    async fn authenticate(_: &Accounts, _: &mut Parts, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

impl Authenticate for AccessToken {
    type Requester = Actor;
    const KIND: AuthKind = AuthKind::Required;
    async fn authenticate(
        accounts: &Accounts,
        parts: &mut Parts,
        route: &str,
    ) -> Result<Actor, ApiError> {
        let token = find_token(parts)?.ok_or_else(ApiError::missing_token)?;
        find_session(accounts, parts, route, &token).await
    }
}

impl Authenticate for AccessTokenOptional {
    type Requester = Option<Actor>;
    const KIND: AuthKind = AuthKind::Optional;
    async fn authenticate(
        accounts: &Accounts,
        parts: &mut Parts,
        route: &str,
    ) -> Result<Option<Actor>, ApiError> {
        match find_token(parts)? {
            Some(token) => find_session(accounts, parts, route, &token).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Authenticate for AppserviceToken {
    type Requester = Actor;
    const KIND: AuthKind = AuthKind::Required;
    async fn authenticate(
        accounts: &Accounts,
        parts: &mut Parts,
        route: &str,
    ) -> Result<Actor, ApiError> {
        let actor = AccessToken::authenticate(accounts, parts, route).await?;
        if actor.appservice_id().is_none() {
            return Err(ApiError::forbidden("Only application services may do this"));
        }
        Ok(actor)
    }
}

impl Authenticate for AppserviceTokenOptional {
    type Requester = Option<Actor>;
    const KIND: AuthKind = AuthKind::Optional;
    async fn authenticate(
        accounts: &Accounts,
        parts: &mut Parts,
        _: &str,
    ) -> Result<Option<Actor>, ApiError> {
        // Clients may send an old token of theirs when they log in or register: it counts for nothing.
        let Ok(Some(token)) = find_token(parts) else { return Ok(None) };
        let credentials = Credentials { token: &token, ..Credentials::default() };
        match session::authenticate(accounts, &credentials).await {
            Ok(caller) => Ok(Some(caller.actor).filter(|actor| actor.appservice_id().is_some())),
            Err(AuthenticateError::Storage(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

async fn find_session(
    accounts: &Accounts,
    parts: &mut Parts,
    route: &str,
    token: &str,
) -> Result<Actor, ApiError> {
    let mut credentials = Credentials { token, ..Credentials::default() };
    let query;
    // Whom users name in a query is the endpoint's business.
    if session::is_of_appservice(accounts, token) {
        query = RequestQuery::read(parts)?;
        credentials.acts_as = query.acts_as()?;
        credentials.acts_as_device = query.acts_as_device()?;
    }
    match session::authenticate(accounts, &credentials).await {
        Ok(Authenticated { actor, session }) => {
            restricted::check(&actor, &parts.method, route)?;
            // Application services go on, as they do not count as users.
            if actor.appservice_id().is_none() {
                disabled::check_route(accounts, &parts.method, route)?;
            }
            let user_agent = parts.headers.get(http::header::USER_AGENT);
            let user_agent = user_agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
            session::note_seen(accounts, &actor, ClientAddress::of(parts).0, user_agent);
            if let Some(session) = session {
                parts.extensions.insert(session);
            }
            Ok(actor)
        }
        // Who is locked out may still log out.
        Err(AuthenticateError::Locked(actor))
            if route.ends_with("/logout") || route.ends_with("/logout/all") =>
        {
            Ok(*actor)
        }
        Err(error) => Err(to_api_error(error)),
    }
}

pub(crate) fn to_api_error(error: AuthenticateError) -> ApiError {
    let message = error.to_string();
    match error {
        AuthenticateError::UnknownToken => ApiError::unknown_token(false, message),
        AuthenticateError::Expired => ApiError::unknown_token(true, message),
        AuthenticateError::Locked(_) => ApiError::user_locked(),
        AuthenticateError::OutsideNamespace(_) | AuthenticateError::NotRegistered(_) => {
            ApiError::forbidden(message)
        }
        AuthenticateError::Deactivated => ApiError::client(
            http::StatusCode::FORBIDDEN,
            ruma::api::error::ErrorKind::UserDeactivated,
            message,
        ),
        AuthenticateError::UnknownDevice(..) => ApiError::client(
            http::StatusCode::BAD_REQUEST,
            ruma::api::error::ErrorKind::UnknownDevice,
            message,
        ),
        AuthenticateError::Storage(error) => error.into(),
    }
}

/// The hash of the token that a request brought, for endpoints that end just that session. Take it before the
/// extractor that proves who the caller is.
#[derive(Debug, Clone)]
pub struct BearerToken(pub TokenHash);

impl<S: Sync> axum::extract::FromRequestParts<S> for BearerToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let token = find_token(parts)?.ok_or_else(ApiError::missing_token)?;
        Ok(Self(TokenHash::of(&token)))
    }
}
