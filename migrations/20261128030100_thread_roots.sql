-- The root of the thread in which an event counts that notifies and relates to another one: by itself, or by what it relates to. Empty: in
-- none, or it does not notify. NULL: it is of a time before, when replies in threads were counted by their types alone.
ALTER TABLE event_relations ADD COLUMN thread_root text COLLATE "C";
