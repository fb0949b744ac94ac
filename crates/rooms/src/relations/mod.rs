//! Relations of events: aggregations, the related events themselves, and threads.

mod aggregate;
mod relating;
mod threads;

pub use self::{
    relating::{RelatingQuery, RelationsError, RelationsPage, relating},
    threads::{ThreadsQuery, threads},
};
