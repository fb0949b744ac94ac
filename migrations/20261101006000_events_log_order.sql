-- The order of the log, for who reads the log. By the plain column this index gave the events of one room in order, too, and the
-- planner took it where it believed that the room's events are many: to find the last few of a quiet room it then read the log of
-- all rooms back to its beginning. Nobody but the log's readers asks for (pos + 0).
DROP INDEX events_pos;
CREATE UNIQUE INDEX events_log_order ON events ((pos + 0)) WHERE pos IS NOT NULL;
