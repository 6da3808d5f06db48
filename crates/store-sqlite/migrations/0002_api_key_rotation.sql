-- The secrets of API keys, by their hashes. ends_at is NULL for a key's newest; an older one is good
-- until then. What is over stays, so that whoever still uses it can be told why it fails.
CREATE TABLE api_key_secrets (
    tenant_id    BLOB NOT NULL,
    secret_hash  BLOB NOT NULL,
    key_id       BLOB NOT NULL,
    ends_at      INTEGER,
    PRIMARY KEY (tenant_id, secret_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_secrets_by_key ON api_key_secrets (tenant_id, key_id);

INSERT INTO api_key_secrets (tenant_id, secret_hash, key_id)
    SELECT tenant_id, secret_hash, key_id FROM api_keys;

DROP INDEX api_keys_by_secret;
ALTER TABLE api_keys DROP COLUMN secret_hash;
