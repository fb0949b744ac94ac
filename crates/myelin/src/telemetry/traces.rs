//! Traces over OTLP: HTTP with protobuf, sent as all requests are.

use std::collections::HashMap;

use anyhow::Context;
use async_trait::async_trait;
use myelin_config::sections::own::Otlp;
use myelin_outbound::{Outbound, OutboundError, Reach};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing_subscriber::Layer;

use super::logs::{BoxedLayer, Filtered};

/// The path at which a collector takes traces when its URL has no path.
const TRACES_PATH: &str = "/v1/traces";

/// The size of a collector's answer that is read, in bytes.
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// Sends spans to a collector, in batches from a thread of its own.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Prepares to send. A collector that is not there is told in the logs and harms nothing.
    ///
    /// # Errors
    ///
    /// The endpoint is no URL.
    pub fn start(settings: &Otlp, outbound: Outbound) -> anyhow::Result<Traces> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { outbound, runtime: Handle::current() })
            .with_endpoint(traces_url(&settings.endpoint))
            .with_headers(settings.headers.clone().into_iter().collect::<HashMap<_, _>>())
            .build()
            .context("myelin.otlp")?;
        let sampler =
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(
                Resource::builder().with_service_name(settings.service_name.clone()).build(),
            )
            .build();
        Ok(Traces { provider })
    }

    /// Receives the spans.
    pub fn layer(&self) -> BoxedLayer<Filtered> {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("myelin")).boxed()
    }

    /// Sends what is left.
    pub async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.provider.shutdown()).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn traces_url(endpoint: &str) -> String {
    let host_on = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    match host_on.split_once('/') {
        None => format!("{endpoint}{TRACES_PATH}"),
        Some((_, "")) => format!("{}{TRACES_PATH}", endpoint.trim_end_matches('/')),
        Some(_) => endpoint.to_owned(),
    }
}

/// The exporter's thread has no async runtime: requests run on the server's.
#[derive(Debug)]
struct Client {
    outbound: Outbound,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outbound = self.outbound.clone();
        let exchange = async move {
            let answer = outbound.send(Reach::Anywhere, request).await?;
            let status = answer.status();
            Ok::<_, OutboundError>((status, answer.read(ANSWER_SIZE_BYTES_MAX).await?))
        };
        let (status, body) = self.runtime.spawn(exchange).await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::traces_url;

    #[test]
    fn the_path_is_added_once() {
        for (endpoint, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://otel.example/custom", "https://otel.example/custom"),
        ] {
            assert_eq!(traces_url(endpoint), url);
        }
    }
}
