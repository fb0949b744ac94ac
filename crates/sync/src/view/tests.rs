//! Stories of changes, and of what a user is told of them.

use myelin_model::EventNid;
use ruma::{device_id, user_id};

use super::{state::changed_rooms, *};
use crate::test_events::event;

fn view(settings: &ViewSettings) -> View {
    View::new(StreamPos(0), settings, mpsc::channel(1).0)
}

fn row(room: i64) -> MembershipRow {
    MembershipRow {
        room_nid: RoomNid(room),
        membership: Membership::Join,
        event_nid: EventNid(room),
        pos: StreamPos(0),
        forgotten: false,
    }
}

fn rows(memberships: impl IntoIterator<Item = MembershipRow>) -> HotUserRows {
    let memberships = memberships.into_iter().collect();
    HotUserRows { memberships, ..HotUserRows::default() }
}

fn entry(pos: i64, room: i64, own: Option<Membership>) -> Arc<LogEntry> {
    let member = own.map(|membership| ("@bob:h", membership));
    let event = event(1_000_000 + pos, room, pos, member);
    Arc::new(LogEntry { pos: StreamPos(pos), change: Change::Event(Arc::new(event)) })
}

fn apply(view: &View, entries: &[Arc<LogEntry>]) {
    LogSubscriber::apply(view, entries);
}

#[test]
fn news_are_those_of_the_users_rooms() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    assert!(view.add_user(bob, rows([row(1), row(2)]), StreamPos(0)));
    let sample = view.sample(bob, None, StreamPos(0), true).unwrap();
    assert_eq!((sample.rooms.len(), sample.wake.has_changed().unwrap()), (2, false));
    apply(&view, &[entry(1, 2, None), entry(2, 9, None), entry(3, 2, None)]);
    assert!(sample.wake.has_changed().unwrap());
    let sample = view.sample(bob, Some(StreamPos(0)), StreamPos(0), false).unwrap();
    let rooms = sample.changes.unwrap().rooms;
    assert_eq!((sample.upto, rooms.len(), rooms[0].1.len()), (StreamPos(3), 1, 2));

    apply(&view, &[entry(4, 9, None)]);
    assert!(!sample.wake.has_changed().unwrap(), "others' rooms wake nobody");
    apply(&view, &[entry(5, 9, Some(Membership::Join))]);
    assert!(sample.wake.has_changed().unwrap(), "joining does");
    let sample = view.sample(bob, Some(StreamPos(3)), StreamPos(0), false).unwrap();
    let rooms = sample.changes.unwrap().rooms;
    assert_eq!((rooms[0].0.room_nid, rooms[0].1.len()), (RoomNid(9), 2));
    apply(&view, &[entry(6, 9, Some(Membership::Leave))]);
    assert!(sample.wake.has_changed().unwrap(), "so does leaving");
    let sample = view.sample(bob, Some(StreamPos(6)), StreamPos(0), false).unwrap();
    apply(&view, &[entry(7, 9, None)]);
    assert!(!sample.wake.has_changed().unwrap());
}

#[test]
fn what_is_too_old_is_said_to_be_unknown() {
    let settings = ViewSettings { entries_max: 3, ..ViewSettings::default() };
    let (view, bob) = (view(&settings), user_id!("@bob:h"));
    view.add_user(bob, rows([row(1)]), StreamPos(0));
    for pos in 1..=9 {
        apply(&view, &[entry(pos, pos % 2, None)]);
    }
    let changes =
        |since| view.sample(bob, Some(StreamPos(since)), StreamPos(0), false).unwrap().changes;
    assert!(changes(5).is_none());
    assert_eq!(changes(6).unwrap().rooms[0].1.len(), 2);
    assert!(view.room_since(RoomNid(1), StreamPos(5)).is_none());
    assert!(!view.add_user(user_id!("@late:h"), rows([]), StreamPos(2)), "read again");
}

#[test]
fn memberships_that_changed_while_they_were_read_are_followed() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    apply(&view, &[entry(1, 5, Some(Membership::Join)), entry(2, 1, Some(Membership::Leave))]);
    // Read before the two, kept after them.
    assert!(view.add_user(bob, rows([row(1)]), StreamPos(0)));
    assert_eq!(view.joined_rooms(bob).unwrap(), [RoomNid(5)]);
}

#[test]
fn quiet_rooms_are_not_looked_at() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    view.add_user(bob, rows((1..=1_000).map(row)), StreamPos(0));
    apply(&view, &[entry(1, 3, None), entry(2, 4, None), entry(3, 5_000, None)]);

    let state = view.state.lock();
    let user = state.users.get(&state.keys[bob]).unwrap();
    let mut looked_at = Vec::new();
    let changed = changed_rooms(&state.ring, StreamPos(0), user.rooms.len(), |room_nid| {
        looked_at.push(room_nid);
        user.is_joined(room_nid)
    });
    assert_eq!(changed, Some(vec![RoomNid(4), RoomNid(3)]));
    assert_eq!(looked_at.len(), 3);
}

#[test]
fn of_many_changed_rooms_only_the_own_ones_are_looked_at() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    view.add_user(bob, rows([row(1), row(2)]), StreamPos(0));
    let entries: Vec<_> = (1..=100).map(|pos| entry(pos, pos, None)).collect();
    apply(&view, &entries);

    let mut looked_at = 0;
    let changed = changed_rooms(&view.state.lock().ring, StreamPos(0), 2, |_| {
        looked_at += 1;
        false
    });
    assert_eq!((changed, looked_at), (None, 3));
    let sample = view.sample(bob, Some(StreamPos(0)), StreamPos(0), false).unwrap();
    assert_eq!(sample.changes.unwrap().rooms.len(), 2);
}

#[test]
fn what_is_not_known_wakes_whom_it_concerns_and_has_them_read_again() {
    let (alice, bob) = (user_id!("@alice:h"), user_id!("@bob:h"));
    let other = |pos, room_nid, user_id: Option<&UserId>| {
        let change = Change::Other { room_nid, user_id: user_id.map(ToOwned::to_owned) };
        [Arc::new(LogEntry { pos: StreamPos(pos), change })]
    };
    let cases = [
        (Some(RoomNid(1)), None, [true, false]),
        (None, Some(bob), [false, true]),
        (Some(RoomNid(9)), None, [false, false]),
        (None, None, [true, true]),
    ];
    for (room_nid, user_id, expected) in cases {
        let view = view(&ViewSettings::default());
        assert!(view.add_user(alice, rows([row(1)]), StreamPos(0)));
        assert!(view.add_user(bob, rows([row(2)]), StreamPos(0)));
        let wakes = [alice, bob]
            .map(|user_id| view.sample(user_id, None, StreamPos(0), false).unwrap().wake);
        apply(&view, &other(1, room_nid, user_id));
        assert_eq!([alice, bob].map(|user_id| !view.is_hot(user_id)), expected, "{room_nid:?}");
        // The waiting request finds that nobody keeps its user any more.
        assert_eq!(wakes.map(|wake| wake.has_changed().is_err()), expected);
    }
}

#[test]
fn what_is_not_known_is_not_taken_for_absent() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    assert_eq!(view.find_membership(bob, RoomNid(1)).map(|row| row.is_some()), Err(NotHot));
    assert_eq!(view.joined_rooms(bob), Err(NotHot));
    assert!(view.add_user(bob, rows([row(1)]), StreamPos(0)));
    assert_eq!(view.find_membership(bob, RoomNid(1)).map(|row| row.is_some()), Ok(true));
    assert_eq!(view.find_membership(bob, RoomNid(2)).map(|row| row.is_some()), Ok(false));
}

#[test]
fn what_may_change_memberships_has_them_read_again_and_wakes_who_looks_in() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h"));
    let other = |room_nid| Change::Other { room_nid, user_id: None };
    let changes = [other(Some(RoomNid(1))), other(None)];
    for (pos, change) in (1..).zip(changes) {
        let watch = view.watch_room(RoomNid(1));
        apply(&view, &[Arc::new(LogEntry { pos: StreamPos(pos), change })]);
        assert!(!view.add_user(bob, rows([row(1)]), StreamPos(pos - 1)), "read before it");
        assert!(watch.has_changed().unwrap());
    }
    assert!(view.add_user(bob, rows([row(1)]), StreamPos(2)), "read after them");
}

#[test]
fn counts_of_keys_hold_until_the_log_tells_of_a_change() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h").to_owned());
    let counts = |pos, change| [Arc::new(LogEntry { pos: StreamPos(pos), change })];
    assert!(view.add_user(&bob, rows([]), StreamPos(0)));
    let watch = view.sample(&bob, None, StreamPos(0), false).unwrap().wake;
    assert!(view.find_key_counts(&bob).is_ok());

    apply(&view, &counts(1, Change::KeyCounts { user_id: bob.clone() }));
    let version = view.find_key_counts(&bob).unwrap_err();
    apply(&view, &counts(2, Change::KeyCounts { user_id: bob.clone() }));
    view.set_key_counts(&bob, version, &Arc::default());
    let version = view.find_key_counts(&bob).expect_err("what was read meanwhile may be old");
    assert!(!watch.has_changed().unwrap(), "nobody is answered because of them");
    view.set_key_counts(&bob, version, &Arc::default());
    assert!(view.find_key_counts(&bob).is_ok());

    apply(&view, &counts(3, Change::DeviceList { user_id: bob.clone() }));
    let version = view.find_key_counts(&bob).expect_err("a device may have gone");
    assert!(watch.has_changed().unwrap());
    apply(&view, &counts(4, Change::Other { room_nid: None, user_id: Some(bob.clone()) }));
    assert!(view.add_user(&bob, rows([]), StreamPos(4)));
    apply(&view, &counts(5, Change::KeyCounts { user_id: bob.clone() }));
    view.set_key_counts(&bob, version, &Arc::default());
    assert!(view.find_key_counts(&bob).is_err(), "what was read for one let go of counts no more");
}

#[test]
fn an_inbox_is_empty_until_a_message_comes_and_after_a_look() {
    let (view, bob) = (view(&ViewSettings::default()), user_id!("@bob:h").to_owned());
    let (phone, desk) = (device_id!("PHONE"), device_id!("DESK"));
    let message = |pos| {
        let (user_id, device_ids) = (bob.clone(), vec![phone.to_owned()]);
        [Arc::new(LogEntry {
            pos: StreamPos(pos),
            change: Change::ToDevice { user_id, device_ids },
        })]
    };
    assert!(view.has_messages(&bob, phone), "nothing is known");
    // Read before a message that is in the log by now, and that another one follows.
    apply(&view, &message(1));
    let read = HotUserRows { inboxes: vec![desk.to_owned()], ..HotUserRows::default() };
    assert!(view.add_user(&bob, read, StreamPos(0)));
    assert!(view.has_messages(&bob, phone) && view.has_messages(&bob, desk));
    view.set_no_messages(&bob, desk, StreamPos(1));
    apply(&view, &message(3));
    view.set_no_messages(&bob, phone, StreamPos(2));
    assert!(view.has_messages(&bob, phone), "the look was before the second one");
    assert!(!view.has_messages(&bob, desk));
    view.set_no_messages(&bob, phone, StreamPos(3));
    assert!(!view.has_messages(&bob, phone));
}
