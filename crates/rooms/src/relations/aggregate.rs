//! The bundling of events with those that relate to them (client-server API, "Aggregations of child events").

use std::sync::Arc;

use myelin_engine::Related;
use myelin_model::{EventNid, StreamPos};
use myelin_storage::StorageError;

use crate::{
    Rooms,
    history::{RoomView, Shown},
};

impl Rooms {
    /// Bundle with events what relates to them. It takes at most three queries, one if nothing does.
    pub(crate) async fn aggregate(
        &self,
        view: &RoomView,
        shown: &mut [Shown],
    ) -> Result<(), StorageError> {
        let sight = &view.sight;
        let parents: Vec<(EventNid, StreamPos)> = shown
            .iter()
            .filter(|shown| !shown.event.is_state())
            .map(|shown| (shown.event.nid, view.upto()))
            .collect();
        let may_see = |pos| sight.may_see_at(pos);
        let related =
            Related::find(self.db(), &parents, sight.user_id(), sight.ignored(), may_see).await?;
        if related.is_empty() {
            return Ok(());
        }
        let nids: Vec<EventNid> = related.nids().collect();
        let events = self.db().events().find_many(&nids).await?;
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
