-- Who logs in or registers is looked for whatever the case of the letters.
CREATE INDEX users_lower ON users (lower(user_id));

-- The refresh tokens that were exchanged for one: they go when that is used.
CREATE INDEX refresh_tokens_next ON refresh_tokens (next_nid) WHERE next_nid IS NOT NULL;
