//! The bundling of events with those that relate to them (client-server API, "Aggregations of child events").

use std::{collections::HashMap, sync::Arc};

use myelin_engine::Related;
use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::StorageError;

use crate::{
    Rooms,
    history::{RoomView, Shown},
};

impl Rooms {
    /// Bundle with events what relates to them. It takes at most three queries, one if nothing does.
    pub(crate) async fn aggregate(
        &self,
        view: &mut RoomView,
        shown: &mut [Shown],
    ) -> Result<(), StorageError> {
        let parents: Vec<(EventNid, StreamPos)> = shown
            .iter()
            .filter(|shown| !shown.event.is_state())
            .map(|shown| (shown.event.nid, view.upto()))
            .collect();
        let related = Related::find_in(self.db(), &parents, &mut view.sight).await?;
        if related.is_empty() {
            return Ok(());
        }
        let nids: Vec<EventNid> = related.nids().collect();
        let events = self.db().events().list(&nids).await?;
        view.look_up(self.engine(), &events).await?;
        let events: HashMap<EventNid, Arc<Event>> =
            events.into_iter().map(|event| (event.nid, event)).collect();
        let sight = &view.sight;
        let see = |nid: EventNid| {
            let event = events.get(&nid).filter(|event| sight.may_see(event))?;
            Some(sight.shown(Arc::clone(event), view.version))
        };
        for shown in shown {
            shown.related = related.aggregations(shown.event.nid, &see);
        }
        Ok(())
    }
}
