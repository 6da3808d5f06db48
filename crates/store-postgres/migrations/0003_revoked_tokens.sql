-- Tokens, and sessions with all of their tokens, that were ended before their time; kept until they
-- would have ended by themselves. It is also noted here which assertions were used.
CREATE TABLE revoked_tokens (
    tenant_id   uuid NOT NULL,
    token_id    uuid NOT NULL,
    expires_at  bigint NOT NULL,
    PRIMARY KEY (tenant_id, token_id)
);
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at, tenant_id);

-- The public keys of a client that signs assertions in place of having a secret.
ALTER TABLE oauth_clients ADD COLUMN jwks text;
