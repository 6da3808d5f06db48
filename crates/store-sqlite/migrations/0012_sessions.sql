-- What a person or an OAuth client has begun, and goes on with by refreshing. Kept until it would have
-- ended by itself.
CREATE TABLE sessions (
    tenant_id        BLOB NOT NULL,
    session_id       BLOB NOT NULL,
    -- Whose it is: a user's, or a client's with these scopes.
    user_id          BLOB,
    oauth_client_id  BLOB,
    scopes           TEXT,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    ended_at         INTEGER,
    PRIMARY KEY (tenant_id, session_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- The refresh tokens of a session: the newest, and those that were used before it.
CREATE TABLE refresh_tokens (
    tenant_id    BLOB NOT NULL,
    secret_hash  BLOB NOT NULL,
    session_id   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    used_at      INTEGER,
    PRIMARY KEY (tenant_id, secret_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (tenant_id, session_id);

-- Attempts to sign in that have failed, by a digest of the account or of the address; kept for a day.
CREATE TABLE sign_in_failures (
    tenant_id  BLOB NOT NULL,
    subject    BLOB NOT NULL,
    failures   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last_at);

-- One-time tokens by which users set their passwords.
CREATE TABLE invitations (
    tenant_id    BLOB NOT NULL,
    user_id      BLOB NOT NULL,
    secret_hash  BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX invitations_by_secret ON invitations (tenant_id, secret_hash);
CREATE INDEX invitations_by_expiry ON invitations (expires_at);
