//! The aliases that belong to application services (application service API, "Registration").

use myelin_model::Actor;
use ruma::RoomAliasId;

use crate::Rooms;

/// The reason why an alias is not the actor's to make or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// The application service has no namespace with such aliases.
    #[error("This application service has not reserved this kind of alias.")]
    NotReserved,
    /// An application service has such aliases for itself.
    #[error("This alias is reserved by an application service.")]
    Reserved,
}

/// Check that an application service keeps to its namespaces, and that everybody else keeps out of those that it has for itself.
pub(crate) fn check(
    rooms: &Rooms,
    actor: &Actor,
    alias: &RoomAliasId,
) -> Result<(), NamespaceError> {
    let appservices = &rooms.settings().appservices;
    match actor.appservice_id().and_then(|id| appservices.find(id)) {
        Some(appservice) if appservice.is_interested_in_alias(alias.as_str()) => Ok(()),
        Some(_) => Err(NamespaceError::NotReserved),
        None if appservices.is_alias_exclusive(alias.as_str(), None) => {
            Err(NamespaceError::Reserved)
        }
        None => Ok(()),
    }
}
