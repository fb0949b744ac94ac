-- Whose devices changed while a client was away. The kind is that of crates/storage/src/log/change.rs.
CREATE INDEX log_device_lists ON log (pos) WHERE kind = 7;
