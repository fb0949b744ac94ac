//! The frame around every request: its id, span and metrics, the headers for pages of other origins, and the answer
//! when a handler panics.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tracing::Instrument as _;

use crate::{ApiError, ClientAddress, Listener};

/// The header that carries a request's id: taken over from a proxy, made here otherwise.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The length of a request id that is taken over.
const REQUEST_ID_LENGTH_BYTES_MAX: usize = 64;

/// The methods that endpoints have. A request with any other is refused at the door: strangers invent methods at will, and each
/// would be a name of its own in metrics.
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];

/// The name of all unknown paths in metrics. Under their own names, strangers could fill them.
const UNKNOWN: &str = "unrecognized";

pub(crate) async fn wrap(
    State(names): State<Arc<HashMap<String, &'static str>>>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    if method == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        allow_other_origins(response.headers_mut());
        return response;
    }
    let Some(method) = METHODS.into_iter().find(|known| method == *known) else {
        let mut response = ApiError::method_not_allowed().into_response();
        allow_other_origins(response.headers_mut());
        return response;
    };
    let name = find_name(&names, &request);
    let (parts, body) = request.into_parts();
    let address = ClientAddress::of(&parts);
    let listener = parts.extensions.get::<Listener>().and_then(|listener| listener.name.as_deref());
    let id = request_id(&parts.headers);
    let span = tracing::info_span!(
        "http.request", otel.name = name, http.method = method, http.route = name, request.id = id,
        client.address = %address, listener, http.status = tracing::field::Empty
    );
    let request = Request::from_parts(parts, body);

    metrics::counter!("synapse_http_server_requests_received_total", "method" => method, "servlet" => name)
        .increment(1);
    let answered = answer(method, name, request, next).instrument(span);
    let mut response =
        if matches!(method, "GET" | "HEAD") { answered.await } else { finish(answered).await };
    allow_other_origins(response.headers_mut());
    // Nobody keeps an answer that does not say that it may be kept.
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Have the handler answer, and count it.
async fn answer(
    method: &'static str,
    name: &'static str,
    request: Request,
    next: Next,
) -> Response {
    let in_flight = InFlight::enter();
    let start = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answer.unwrap_or_else(|_| ApiError::internal(Panicked).into_response());
    let status = response.status().as_u16();
    tracing::Span::current().record("http.status", status);
    tracing::debug!(status, elapsed_us = start.elapsed().as_micros(), "answered");
    drop(in_flight);
    metrics::histogram!(
        "synapse_http_server_response_time_seconds",
        "method" => method, "servlet" => name, "code" => status.to_string(), "tag" => ""
    )
    .record(start.elapsed().as_secs_f64());
    response
}

/// Wait for an answer that comes to its end even if nobody waits any more. A change may take several steps, and a client that goes
/// away between them must not leave it half done.
async fn finish(answer: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(answer).await.unwrap_or_else(|_| ApiError::internal(Panicked).into_response())
}

/// A handler panicked. Where and why has been printed by the panic itself.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked")]
struct Panicked;

/// Counts a request as being served as long as it lives.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics::gauge!("synapse_http_server_in_flight_requests_count").increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("synapse_http_server_in_flight_requests_count").decrement(1.0);
    }
}

fn find_name(names: &HashMap<String, &'static str>, request: &Request) -> &'static str {
    let Some(path) = request.extensions().get::<MatchedPath>() else { return UNKNOWN };
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    names.get(&format!("{method} {}", path.as_str())).copied().unwrap_or(UNKNOWN)
}

fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_LENGTH_BYTES_MAX)
        .map_or_else(|| format!("{:016x}", rand::random::<u64>()), ToOwned::to_owned)
}

/// Client-server API, "Web browser clients".
fn allow_other_origins(headers: &mut HeaderMap) {
    headers.entry(header::ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(HeaderValue::from_static("*"));
    headers
        .entry(header::ACCESS_CONTROL_ALLOW_METHODS)
        .or_insert(HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    headers
        .entry(header::ACCESS_CONTROL_ALLOW_HEADERS)
        .or_insert(HeaderValue::from_static("X-Requested-With, Content-Type, Authorization, Date"));
    headers
        .entry(header::ACCESS_CONTROL_EXPOSE_HEADERS)
        .or_insert(HeaderValue::from_static("Synapse-Trace-Id, Server, X-Request-Id, Retry-After"));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::{Router, body::Body, middleware, routing::any};
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    /// Whether a handler goes on that waited for something when its client went away.
    async fn goes_on(method: &str) -> bool {
        let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let handler = {
            let (begun, may_end, ended) = (begun.clone(), may_end.clone(), ended.clone());
            async move || {
                begun.notify_one();
                may_end.notified().await;
                ended.store(true, Ordering::Relaxed);
            }
        };
        let names = Arc::new(HashMap::new());
        let router = Router::new()
            .route("/", any(handler))
            .layer(middleware::from_fn_with_state(names, wrap));
        let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();

        tokio::select! {
            _ = router.oneshot(request) => panic!("the handler did not wait"),
            () = begun.notified() => {}
        }
        may_end.notify_one();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        ended.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_change_is_not_left_half_done_by_a_client_that_goes_away() {
        for method in ["POST", "PUT", "DELETE"] {
            assert!(goes_on(method).await, "{method}");
        }
        // A long poll ends with its client.
        assert!(!goes_on("GET").await);
    }
}
