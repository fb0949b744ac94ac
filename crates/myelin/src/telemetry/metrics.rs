//! Metrics in Prometheus's text form: what the parts record, and what the system knows of the process.

use std::{fmt::Write, sync::Arc};

use axum::{Router, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of histograms of durations, in seconds.
const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds of histograms of counts: batch sizes and the like.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// Ticks of the processor's clock in `/proc`, a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Renders the metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    started_s: f64,
}

impl Metrics {
    /// Starts to record. Every metric carries the server's name, as Synapse's do.
    ///
    /// # Errors
    ///
    /// Something records already.
    pub fn start(server_name: &str) -> anyhow::Result<Arc<Metrics>> {
        let handle = PrometheusBuilder::new()
            .add_global_label("server_name", server_name)
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
            .set_buckets(COUNT_BUCKETS)?
            .install_recorder()?;
        metrics::gauge!("synapse_build_info", "version" => env!("CARGO_PKG_VERSION"), "pythonversion" => "none",
            "osversion" => std::env::consts::OS)
        .set(1.0);
        metrics::gauge!("synapse_server_name_info").set(1.0);
        let started =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Arc::new(Metrics { handle, started_s: started.as_secs_f64() }))
    }

    /// Throws away what histograms no longer need. To be called every few seconds.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }

    /// All metrics as text.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        self.process(&mut text);
        text
    }

    fn process(&self, text: &mut String) {
        let mut put = |name: &str, kind: &str, value: f64| {
            _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        };
        put("process_start_time_seconds", "gauge", self.started_s);
        if let Some((user, system)) = processor_seconds() {
            put("process_cpu_seconds_total", "counter", user + system);
            put("process_cpu_user_seconds_total", "counter", user);
            put("process_cpu_system_seconds_total", "counter", system);
        }
        for (field, name) in [
            ("VmRSS:", "process_resident_memory_bytes"),
            ("VmSize:", "process_virtual_memory_bytes"),
        ] {
            if let Some(bytes) = memory_bytes(field) {
                put(name, "gauge", bytes);
            }
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            put("process_open_fds", "gauge", entries.count() as f64);
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            put("process_max_fds", "gauge", limit as f64);
        }
    }
}

/// Seconds of the processor for the program itself and for the system on its behalf.
fn processor_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user / TICKS_PER_SECOND, system / TICKS_PER_SECOND))
}

fn memory_bytes(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

async fn answer(metrics: Arc<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

/// Every path, for listeners of type `metrics`.
pub fn metrics_everywhere(metrics: &Arc<Metrics>) -> Router {
    let metrics = metrics.clone();
    Router::new().fallback(get(move || answer(metrics.clone())))
}

/// `/_synapse/metrics`, for http listeners with the resource `metrics`.
pub fn metrics_routes(metrics: &Arc<Metrics>) -> Router {
    let metrics = metrics.clone();
    Router::new().route("/_synapse/metrics", get(move || answer(metrics.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        assert!(processor_seconds().is_some());
        assert!(memory_bytes("VmRSS:").unwrap() > 1e6);
    }
}
