//! The router that knows its routes: what is mounted where, and what it asks of the caller.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    handler::Handler,
    middleware,
    routing::{MethodFilter, on},
};
use http::Method;
use ruma::api::{IncomingRequest, path_builder::PathBuilder as _};

use crate::{ApiError, Authenticate, wrap};

/// The authentication that an endpoint asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// The endpoint asks for no token.
    None,
    /// The endpoint takes a token, but does without.
    Optional,
    /// The endpoint refuses callers without a token.
    Required,
}

/// A mounted endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    /// The path, with parameters as `{name}`.
    pub path: String,
    /// The name of the endpoint in metrics and traces.
    pub name: &'static str,
    /// The authentication that the endpoint asks for.
    pub auth: AuthKind,
}

/// A router and the list of its routes.
#[derive(Debug)]
pub struct RumaRouter<S> {
    router: Router<S>,
    routes: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for RumaRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> RumaRouter<S> {
    /// Begin without any route.
    pub fn new() -> Self {
        Self { router: Router::new(), routes: vec![] }
    }

    /// Mount a handler on every path ruma knows for the endpoint `T`.
    #[must_use]
    pub fn endpoint<T, H, A>(self, handler: H) -> Self
    where
        T: IncomingRequest<Authentication: Authenticate>,
        H: Handler<A, S>,
        A: 'static,
    {
        let auth = <T::Authentication as Authenticate>::KIND;
        let paths: Vec<&str> = T::PATH_BUILDER.all_paths().collect();
        self.mount(name_of(std::any::type_name::<T>()), T::METHOD, auth, &paths, handler)
    }

    /// Mount a handler on paths that ruma does not know, or not as we want them. `A` is what the handler's
    /// [`crate::Raw`] asks for.
    #[must_use]
    pub fn raw<A, H, X>(
        self,
        name: &'static str,
        method: Method,
        paths: &[&str],
        handler: H,
    ) -> Self
    where
        A: Authenticate,
        H: Handler<X, S>,
        X: 'static,
    {
        self.mount(name, method, A::KIND, paths, handler)
    }

    fn mount<H, A>(
        mut self,
        name: &'static str,
        method: Method,
        auth: AuthKind,
        paths: &[&str],
        handler: H,
    ) -> Self
    where
        H: Handler<A, S>,
        A: 'static,
    {
        let Ok(filter) = MethodFilter::try_from(method.clone()) else {
            tracing::error!(%method, name, "no route can have this method");
            return self;
        };
        for path in paths {
            self.router = self.router.route(path, on(filter, handler.clone()));
            self.routes.push(Route {
                method: method.clone(),
                path: (*path).to_owned(),
                name,
                auth,
            });
        }
        self
    }

    /// Take in the routes of another router.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.routes.extend(other.routes);
        self
    }

    /// All mounted routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Give the handlers their state.
    pub fn with_state(self, state: S) -> RumaRouter<()> {
        RumaRouter { router: self.router.with_state(state), routes: self.routes }
    }
}

impl RumaRouter<()> {
    /// The router to serve: unknown endpoints are answered as the specification asks, pages of other origins may call,
    /// and each request has an id, a span and its place in the metrics. A panic answers 500.
    pub fn finish(self) -> Router {
        let names: HashMap<String, &'static str> = self
            .routes
            .into_iter()
            .map(|route| (format!("{} {}", route.method, route.path), route.name))
            .collect();
        self.router
            .fallback(async || ApiError::unrecognized())
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
            .layer(middleware::from_fn_with_state(Arc::new(names), wrap::wrap))
    }
}

/// `ruma_client_api::session::login::v3::Request` is called `session.login`.
fn name_of(type_name: &'static str) -> &'static str {
    let path = type_name.strip_suffix("::Request").unwrap_or(type_name);
    let path = path.rsplit_once("::").map_or(path, |(path, _version)| path);
    path.split_once("::").map_or(path, |(_crate, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_called_by_section_and_name() {
        assert_eq!(name_of("ruma_client_api::session::login::v3::Request"), "session::login");
    }
}
