//! What the server says of itself: logs, metrics, traces.

pub mod logs;
pub mod metrics;
pub mod traces;
