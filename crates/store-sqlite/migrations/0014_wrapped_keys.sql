-- Master keys, each sealed under another one.
CREATE TABLE wrapped_keys (
    key_id      TEXT NOT NULL,
    under       TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (key_id, under)
) STRICT, WITHOUT ROWID;
