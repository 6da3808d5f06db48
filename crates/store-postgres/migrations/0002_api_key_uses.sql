-- When and from where each text of an API key was last used, in the slots of the usage rows.
CREATE TABLE api_key_uses (
    tenant_id    uuid NOT NULL,
    key_id       uuid NOT NULL,
    secret_hash  bytea NOT NULL,
    slot         bigint NOT NULL,
    used_at      bigint NOT NULL,
    used_from    text,
    PRIMARY KEY (tenant_id, key_id, secret_hash, slot)
);

ALTER TABLE api_keys DROP COLUMN last_used_at;
-- How many calls a minute; NULL: as many as can be.
ALTER TABLE api_keys ADD COLUMN rate_limit bigint;

-- Of texts that were replaced before this was kept, it is not known any more.
ALTER TABLE api_key_secrets ADD COLUMN prefix text NOT NULL DEFAULT '';
ALTER TABLE api_key_secrets ADD COLUMN created_at bigint NOT NULL DEFAULT 0;
UPDATE api_key_secrets SET created_at = k.created_at,
    prefix = CASE WHEN api_key_secrets.ends_at IS NULL THEN k.prefix ELSE '' END
FROM api_keys k
WHERE k.tenant_id = api_key_secrets.tenant_id AND k.key_id = api_key_secrets.key_id;
