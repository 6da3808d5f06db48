-- What a person or an OAuth client has begun, and goes on with by refreshing. Kept until it would have
-- ended by itself.
CREATE TABLE sessions (
    tenant_id        uuid NOT NULL,
    session_id       uuid NOT NULL,
    -- Whose it is: a user's, or a client's with these scopes.
    user_id          uuid,
    oauth_client_id  uuid,
    scopes           text,
    created_at       bigint NOT NULL,
    expires_at       bigint NOT NULL,
    ended_at         bigint,
    PRIMARY KEY (tenant_id, session_id)
);
CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at, tenant_id);

-- The refresh tokens of a session: the newest, and those that were used before it.
CREATE TABLE refresh_tokens (
    tenant_id    uuid NOT NULL,
    secret_hash  bytea NOT NULL,
    session_id   uuid NOT NULL,
    created_at   bigint NOT NULL,
    used_at      bigint,
    PRIMARY KEY (tenant_id, secret_hash)
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (tenant_id, session_id);

-- Attempts to sign in that have failed, by a digest of the account or of the address; kept for a day.
CREATE TABLE sign_in_failures (
    tenant_id  uuid NOT NULL,
    subject    bytea NOT NULL,
    failures   bigint NOT NULL,
    last_at    bigint NOT NULL,
    PRIMARY KEY (tenant_id, subject)
);
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last_at, tenant_id);

-- One-time tokens by which users set their passwords.
CREATE TABLE invitations (
    tenant_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    secret_hash  bytea NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE UNIQUE INDEX invitations_by_secret ON invitations (tenant_id, secret_hash);
CREATE INDEX invitations_by_expiry ON invitations (expires_at, tenant_id);
