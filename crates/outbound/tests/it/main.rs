//! Requests over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy takes for production code")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::post};
use myelin_model::Secret;
use myelin_outbound::{AddressRules, Answer, Outbound, OutboundError, Reach};
use serde_json::json;
use tokio::net::TcpListener;

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

fn outbound(blocked: &[&str], allowed: &[&str]) -> Outbound {
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Outbound::new(AddressRules::new(networks(blocked), networks(allowed))).unwrap()
}

/// A server on this machine: its port, and how often it was called. `/there` leads to `/here`.
async fn listen() -> (u16, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let count = move || counted.fetch_add(1, Ordering::Relaxed);
    let here = post(async move || {
        count();
        "x".repeat(1000)
    });
    let there = post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/here")]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/here", here).route("/there", there);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, calls)
}

async fn send(outbound: &Outbound, reach: Reach, url: &str) -> Result<Answer, OutboundError> {
    outbound.post_json(reach, url, &Secret::new("token".to_owned()), &json!({})).await
}

#[tokio::test]
async fn what_strangers_name_leads_to_no_neighbor() {
    let (port, calls) = listen().await;
    let guarded = outbound(&LOOPBACK, &[]);
    for host in [
        "127.0.0.1",
        "127.9.9.9",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        // By its name, which is looked up.
        "localhost",
    ] {
        let url = format!("http://{host}:{port}/here");
        let refused = send(&guarded, Reach::ByTheRules, &url).await;
        assert!(matches!(refused, Err(OutboundError::Blocked(_))), "{host}: {refused:?}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);

    let url = format!("http://localhost:{port}/here");
    assert_eq!(send(&guarded, Reach::Anywhere, &url).await.unwrap().status(), 200);
    let allowing = outbound(&LOOPBACK, &LOOPBACK);
    assert_eq!(send(&allowing, Reach::ByTheRules, &url).await.unwrap().status(), 200);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn answers_are_read_up_to_a_size_and_lead_nowhere() {
    let (port, calls) = listen().await;
    let client = outbound(&[], &[]);
    let here = format!("http://127.0.0.1:{port}/here");
    let there = format!("http://127.0.0.1:{port}/there");
    let answer = async || send(&client, Reach::Anywhere, &here).await.unwrap();
    assert_eq!(answer().await.read(1000).await.unwrap().len(), 1000);
    let cut = answer().await.read(999).await;
    assert!(matches!(cut, Err(OutboundError::TooLarge(999))), "{cut:?}");
    let redirect = send(&client, Reach::Anywhere, &there).await.unwrap();
    assert_eq!(redirect.status(), 307);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    for url in ["ftp://127.0.0.1/here", "/here", "http://"] {
        let refused = send(&client, Reach::Anywhere, url).await;
        assert!(matches!(refused, Err(OutboundError::Url(_))), "{url}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/here", listener.local_addr().unwrap());
    let answer = send(&outbound(&[], &[]), Reach::Anywhere, &url).await;
    assert!(matches!(answer, Err(OutboundError::Timeout)), "{answer:?}");
}
