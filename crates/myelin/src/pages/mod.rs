//! Pages that are not Matrix: health, landing page, well-known documents.

mod health;
mod landing;
mod well_known;

pub use self::{
    health::health_routes,
    landing::landing_routes,
    well_known::{WellKnownDocuments, well_known_routes},
};
