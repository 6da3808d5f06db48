-- Ids are the 16 bytes of a UUID. Instants are milliseconds since 1970-01-01T00:00:00Z, months are
-- counted from January of the year 0, hours from 1970. Every table of a tenant's leads its key
-- with tenant_id.

CREATE TABLE installation (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    master_key_id  TEXT,
    -- When the store last showed that it can write.
    pinged_at      INTEGER
) STRICT;

CREATE TABLE signing_keys (
    kid         TEXT PRIMARY KEY,
    algorithm   TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    tenant_id                BLOB PRIMARY KEY,
    name                     TEXT NOT NULL,
    display_name             TEXT,
    search_key               TEXT NOT NULL,
    server_url               TEXT,
    realm_name               TEXT,
    -- active, suspended, or deleted: a deleted tenant's row stays, so that its id is never reused.
    status                   TEXT NOT NULL,
    settings                 TEXT NOT NULL,
    plan                     TEXT,
    users_limit              INTEGER,
    subscription_expires_at  INTEGER,
    storage_quota            INTEGER,
    created_at               INTEGER NOT NULL,
    updated_at               INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tenants_by_creation ON tenants (created_at, tenant_id);

-- The newest entry of each tenant's ledger: what the statistics read.
CREATE TABLE ledger_heads (
    tenant_id               BLOB PRIMARY KEY,
    seq                     INTEGER NOT NULL,
    hash                    BLOB NOT NULL,
    at                      INTEGER NOT NULL,
    last_activity_at        INTEGER,
    users_active            INTEGER NOT NULL,
    users_inactive          INTEGER NOT NULL,
    admins                  INTEGER NOT NULL,
    credentials_active      INTEGER NOT NULL,
    credentials_expired     INTEGER NOT NULL,
    api_keys_active         INTEGER NOT NULL,
    api_keys_expired        INTEGER NOT NULL,
    api_keys_revoked        INTEGER NOT NULL,
    oauth_clients_active    INTEGER NOT NULL,
    oauth_clients_disabled  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Append-only. The salt and the text of an erased part are NULL; its digest stays.
CREATE TABLE ledger (
    tenant_id               BLOB NOT NULL,
    seq                     INTEGER NOT NULL,
    entry_id                BLOB NOT NULL,
    at                      INTEGER NOT NULL,
    action                  TEXT NOT NULL,
    actor_kind              TEXT NOT NULL,
    actor_id                TEXT NOT NULL,
    actor_salt              BLOB,
    actor_info              TEXT,
    actor_digest            BLOB NOT NULL,
    resource_id             TEXT NOT NULL,
    rows                    INTEGER NOT NULL,
    details_salt            BLOB,
    details                 TEXT,
    details_digest          BLOB NOT NULL,
    users_active            INTEGER NOT NULL,
    users_inactive          INTEGER NOT NULL,
    admins                  INTEGER NOT NULL,
    credentials_active      INTEGER NOT NULL,
    credentials_expired     INTEGER NOT NULL,
    api_keys_active         INTEGER NOT NULL,
    api_keys_expired        INTEGER NOT NULL,
    api_keys_revoked        INTEGER NOT NULL,
    oauth_clients_active    INTEGER NOT NULL,
    oauth_clients_disabled  INTEGER NOT NULL,
    hash                    BLOB NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) STRICT;
CREATE INDEX ledger_by_time ON ledger (tenant_id, at, seq);
CREATE INDEX ledger_by_action ON ledger (tenant_id, action, seq);
CREATE INDEX ledger_by_actor ON ledger (tenant_id, actor_id, seq);

-- The schedule: how many of a tenant's things expire at an instant that has no entry yet. Every
-- instant in it is later than the tenant's ledger_heads.at.
CREATE TABLE expiries (
    tenant_id  BLOB NOT NULL,
    due_at     INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    rows       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, due_at, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX expiries_by_time ON expiries (due_at, tenant_id);

CREATE TABLE users (
    tenant_id         BLOB NOT NULL,
    user_id           BLOB NOT NULL,
    email             TEXT NOT NULL,
    email_key         TEXT NOT NULL,
    name              TEXT,
    search_key        TEXT NOT NULL,
    status            TEXT NOT NULL,
    tenant_admin      INTEGER NOT NULL,
    member            INTEGER NOT NULL,
    external_realm    TEXT,
    external_subject  TEXT,
    password_hash     TEXT,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    last_login_at     INTEGER,
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_by_email ON users (tenant_id, email_key);
CREATE UNIQUE INDEX users_by_external_id ON users (tenant_id, external_realm, external_subject)
    WHERE external_realm IS NOT NULL;
CREATE INDEX users_by_creation ON users (tenant_id, created_at, user_id);
CREATE INDEX users_by_status ON users (tenant_id, status, created_at, user_id);
CREATE INDEX users_by_admin ON users (tenant_id, created_at, user_id) WHERE tenant_admin = 1;

CREATE TABLE api_keys (
    tenant_id     BLOB NOT NULL,
    key_id        BLOB NOT NULL,
    name          TEXT NOT NULL,
    prefix        TEXT NOT NULL,
    secret_hash   BLOB NOT NULL,
    scopes        TEXT NOT NULL,
    expires_at    INTEGER,
    ip_allowlist  TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER,
    revoked_at    INTEGER,
    PRIMARY KEY (tenant_id, key_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_keys_by_secret ON api_keys (tenant_id, secret_hash);
CREATE INDEX api_keys_by_creation ON api_keys (tenant_id, created_at, key_id);

CREATE TABLE oauth_clients (
    tenant_id        BLOB NOT NULL,
    oauth_client_id  BLOB NOT NULL,
    client_id        TEXT NOT NULL,
    secret_hash      BLOB,
    name             TEXT NOT NULL,
    client_type      TEXT NOT NULL,
    redirect_uris    TEXT NOT NULL,
    grant_types      TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    allowed_origins  TEXT NOT NULL,
    ip_allowlist     TEXT NOT NULL,
    status           TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, oauth_client_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX oauth_clients_by_client_id ON oauth_clients (tenant_id, client_id);
CREATE INDEX oauth_clients_by_creation ON oauth_clients (tenant_id, created_at, oauth_client_id);

CREATE TABLE credentials (
    tenant_id               BLOB NOT NULL,
    credential_id           BLOB NOT NULL,
    integration_id          TEXT NOT NULL,
    credential_name         TEXT NOT NULL,
    description             TEXT,
    auth_type               TEXT NOT NULL,
    scopes                  TEXT NOT NULL,
    token_endpoint          TEXT,
    authorization_endpoint  TEXT,
    metadata                TEXT NOT NULL,
    expires_at              INTEGER,
    secret                  BLOB NOT NULL,
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, credential_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_by_creation ON credentials (tenant_id, created_at, credential_id);
CREATE INDEX credentials_by_integration
    ON credentials (tenant_id, integration_id, created_at, credential_id);

-- Calls. A slot is one writer's own rows; slot 0 is what other services report.
CREATE TABLE usage_months (
    tenant_id  BLOB NOT NULL,
    month      INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, month, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hours (
    tenant_id  BLOB NOT NULL,
    hour       INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hour, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_heartbeats (
    tenant_id         BLOB NOT NULL,
    slot              INTEGER NOT NULL,
    last_call_at      INTEGER NOT NULL,
    last_activity_at  INTEGER,
    PRIMARY KEY (tenant_id, slot)
) STRICT, WITHOUT ROWID;

-- The marks by which a repeated report is told.
CREATE TABLE usage_events (
    tenant_id    BLOB NOT NULL,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    received_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_sources (
    tenant_id    BLOB NOT NULL,
    source       TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    reported_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_totals (
    tenant_id  BLOB PRIMARY KEY,
    bytes      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
