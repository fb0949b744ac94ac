-- Read whole whenever a node does not know who was erased: few users are.
CREATE INDEX users_erased ON users (user_id) WHERE erased;
