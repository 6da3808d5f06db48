-- When and from where each text of an API key was last used: here where the call was a change, and in
-- the book of calls else.
CREATE TABLE api_key_uses (
    tenant_id    BLOB NOT NULL,
    key_id       BLOB NOT NULL,
    secret_hash  BLOB NOT NULL,
    slot         INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    used_from    TEXT,
    PRIMARY KEY (tenant_id, key_id, secret_hash, slot)
) STRICT, WITHOUT ROWID;

ALTER TABLE api_keys DROP COLUMN last_used_at;
-- How many calls a minute; NULL: as many as can be.
ALTER TABLE api_keys ADD COLUMN rate_limit INTEGER;

-- Of texts that were replaced before this was kept, it is not known any more.
ALTER TABLE api_key_secrets ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_key_secrets ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE api_key_secrets SET
    prefix = coalesce((SELECT k.prefix FROM api_keys k
        WHERE k.tenant_id = api_key_secrets.tenant_id AND k.key_id = api_key_secrets.key_id
            AND api_key_secrets.ends_at IS NULL), ''),
    created_at = coalesce((SELECT k.created_at FROM api_keys k
        WHERE k.tenant_id = api_key_secrets.tenant_id AND k.key_id = api_key_secrets.key_id), 0);
