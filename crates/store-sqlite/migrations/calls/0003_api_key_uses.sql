-- When and from where each text of an API key was last used, as in the main database.
CREATE TABLE api_key_uses (
    tenant_id    BLOB NOT NULL,
    key_id       BLOB NOT NULL,
    secret_hash  BLOB NOT NULL,
    slot         INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    used_from    TEXT,
    PRIMARY KEY (tenant_id, key_id, secret_hash, slot)
) STRICT, WITHOUT ROWID;
