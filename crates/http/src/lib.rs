//! The parts that all HTTP surfaces share: the router, the extractors with proof of the caller, the response, the error
//! and the rate limits.

mod auth;
mod body;
mod client_address;
mod credentials;
mod disabled;
mod error;
mod extract;
mod forwarded;
mod page;
mod rate_limits;
mod restricted;
mod router;
mod wrap;

pub use self::{
    auth::{Authenticate, BearerToken},
    client_address::{ClientAddress, Listener},
    disabled::check_not_disabled,
    error::ApiError,
    extract::{Raw, Ruma, RumaResponse},
    page::Page,
    rate_limits::{RateLimit, RateLimitSettings, RateLimits},
    router::{AuthKind, Route, RumaRouter},
};
