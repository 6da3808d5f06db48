-- Instants are milliseconds since 1970-01-01T00:00:00Z, months are counted from January of the year 0,
-- hours from 1970. Every table of a tenant's leads its key with tenant_id. Text is compared byte by
-- byte, which in UTF-8 is the order of code points, whatever the database's own collation.

CREATE TABLE installation (
    only_row       bigint PRIMARY KEY CHECK (only_row = 1),
    master_key_id  text,
    -- When a store last showed that it can write.
    pinged_at      bigint
);
INSERT INTO installation (only_row) VALUES (1);

CREATE TABLE signing_keys (
    kid         text COLLATE "C" PRIMARY KEY,
    algorithm   text NOT NULL,
    sealed      bytea NOT NULL,
    created_at  bigint NOT NULL
);

CREATE TABLE tenants (
    tenant_id                uuid PRIMARY KEY,
    name                     text NOT NULL,
    name_key                 text COLLATE "C" NOT NULL,
    display_name             text,
    display_name_key         text COLLATE "C",
    server_url               text,
    realm_name               text COLLATE "C",
    -- active, suspended, or deleted: a deleted tenant's row stays, so that its id is never reused.
    status                   text COLLATE "C" NOT NULL,
    settings                 text NOT NULL,
    plan                     text,
    users_limit              bigint CHECK (users_limit >= 0),
    subscription_expires_at  bigint,
    storage_quota            bigint CHECK (storage_quota >= 0),
    created_at               bigint NOT NULL,
    updated_at               bigint NOT NULL
);
CREATE INDEX tenants_by_creation ON tenants (created_at, tenant_id);

-- The newest entry of each tenant's ledger: what the statistics read, and what a change locks.
-- It is written by every change and no index has any of it, so a page has room for new versions.
CREATE TABLE ledger_heads (
    tenant_id               uuid PRIMARY KEY,
    seq                     bigint NOT NULL CHECK (seq >= 0),
    hash                    bytea NOT NULL,
    at                      bigint NOT NULL,
    last_activity_at        bigint,
    users_active            bigint NOT NULL CHECK (users_active >= 0),
    users_inactive          bigint NOT NULL CHECK (users_inactive >= 0),
    admins                  bigint NOT NULL CHECK (admins >= 0),
    credentials_active      bigint NOT NULL CHECK (credentials_active >= 0),
    credentials_expired     bigint NOT NULL CHECK (credentials_expired >= 0),
    api_keys_active         bigint NOT NULL CHECK (api_keys_active >= 0),
    api_keys_expired        bigint NOT NULL CHECK (api_keys_expired >= 0),
    api_keys_revoked        bigint NOT NULL CHECK (api_keys_revoked >= 0),
    oauth_clients_active    bigint NOT NULL CHECK (oauth_clients_active >= 0),
    oauth_clients_disabled  bigint NOT NULL CHECK (oauth_clients_disabled >= 0)
) WITH (fillfactor = 50);

-- Append-only. The salt and the text of an erased part are NULL; its digest stays.
CREATE TABLE ledger (
    tenant_id               uuid NOT NULL,
    seq                     bigint NOT NULL CHECK (seq > 0),
    entry_id                uuid NOT NULL,
    at                      bigint NOT NULL,
    action                  text COLLATE "C" NOT NULL,
    actor_kind              text COLLATE "C" NOT NULL,
    actor_id                text COLLATE "C" NOT NULL,
    actor_salt              bytea,
    actor_info              text,
    actor_digest            bytea NOT NULL,
    resource_id             text COLLATE "C" NOT NULL,
    rows                    bigint NOT NULL CHECK (rows >= 0),
    details_salt            bytea,
    details                 text,
    details_digest          bytea NOT NULL,
    users_active            bigint NOT NULL,
    users_inactive          bigint NOT NULL,
    admins                  bigint NOT NULL,
    credentials_active      bigint NOT NULL,
    credentials_expired     bigint NOT NULL,
    api_keys_active         bigint NOT NULL,
    api_keys_expired        bigint NOT NULL,
    api_keys_revoked        bigint NOT NULL,
    oauth_clients_active    bigint NOT NULL,
    oauth_clients_disabled  bigint NOT NULL,
    hash                    bytea NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX ledger_by_time ON ledger (tenant_id, at, seq);
CREATE INDEX ledger_by_action ON ledger (tenant_id, action, seq);
CREATE INDEX ledger_by_actor ON ledger (tenant_id, actor_id, seq);
CREATE INDEX ledger_by_resource ON ledger (tenant_id, resource_id, seq);

-- The schedule: how many of a tenant's things expire at an instant that has no entry yet. Every
-- instant in it is later than the tenant's ledger_heads.at.
CREATE TABLE expiries (
    tenant_id  uuid NOT NULL,
    due_at     bigint NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    rows       bigint NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (tenant_id, due_at, kind)
);
CREATE INDEX expiries_by_time ON expiries (due_at, tenant_id);

CREATE TABLE users (
    tenant_id         uuid NOT NULL,
    user_id           uuid NOT NULL,
    email             text NOT NULL,
    email_key         text COLLATE "C" NOT NULL,
    name              text,
    name_key          text COLLATE "C",
    status            text COLLATE "C" NOT NULL,
    tenant_admin      boolean NOT NULL,
    member            boolean NOT NULL,
    external_realm    text COLLATE "C",
    external_subject  text COLLATE "C",
    password_hash     text,
    created_at        bigint NOT NULL,
    updated_at        bigint NOT NULL,
    last_login_at     bigint,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE UNIQUE INDEX users_by_email ON users (tenant_id, email_key);
CREATE UNIQUE INDEX users_by_external_id ON users (tenant_id, external_realm, external_subject)
    WHERE external_realm IS NOT NULL;
CREATE INDEX users_by_creation ON users (tenant_id, created_at, user_id);
CREATE INDEX users_by_status ON users (tenant_id, status, created_at, user_id);
CREATE INDEX users_by_admin ON users (tenant_id, created_at, user_id) WHERE tenant_admin;

CREATE TABLE api_keys (
    tenant_id     uuid NOT NULL,
    key_id        uuid NOT NULL,
    name          text NOT NULL,
    name_key      text COLLATE "C" NOT NULL,
    prefix        text NOT NULL,
    scopes        text NOT NULL,
    expires_at    bigint,
    ip_allowlist  text NOT NULL,
    created_at    bigint NOT NULL,
    last_used_at  bigint,
    revoked_at    bigint,
    PRIMARY KEY (tenant_id, key_id)
);
CREATE INDEX api_keys_by_creation ON api_keys (tenant_id, created_at, key_id);

-- The secrets of API keys, by their hashes. ends_at is NULL for a key's newest; an older one is good
-- until then. What is over stays, so that whoever still uses it can be told why it fails.
CREATE TABLE api_key_secrets (
    tenant_id    uuid NOT NULL,
    secret_hash  bytea NOT NULL,
    key_id       uuid NOT NULL,
    ends_at      bigint,
    PRIMARY KEY (tenant_id, secret_hash)
);
CREATE INDEX api_key_secrets_by_key ON api_key_secrets (tenant_id, key_id);

CREATE TABLE oauth_clients (
    tenant_id        uuid NOT NULL,
    oauth_client_id  uuid NOT NULL,
    client_id        text COLLATE "C" NOT NULL,
    secret_hash      bytea,
    name             text NOT NULL,
    name_key         text COLLATE "C" NOT NULL,
    client_type      text NOT NULL,
    redirect_uris    text NOT NULL,
    grant_types      text NOT NULL,
    scopes           text NOT NULL,
    allowed_origins  text NOT NULL,
    ip_allowlist     text NOT NULL,
    status           text COLLATE "C" NOT NULL,
    created_at       bigint NOT NULL,
    PRIMARY KEY (tenant_id, oauth_client_id)
);
CREATE UNIQUE INDEX oauth_clients_by_client_id ON oauth_clients (tenant_id, client_id);
CREATE INDEX oauth_clients_by_creation ON oauth_clients (tenant_id, created_at, oauth_client_id);

CREATE TABLE credentials (
    tenant_id               uuid NOT NULL,
    credential_id           uuid NOT NULL,
    integration_id          text COLLATE "C" NOT NULL,
    credential_name         text NOT NULL,
    credential_name_key     text COLLATE "C" NOT NULL,
    description             text,
    auth_type               text NOT NULL,
    scopes                  text NOT NULL,
    token_endpoint          text,
    authorization_endpoint  text,
    metadata                text NOT NULL,
    expires_at              bigint,
    secret                  bytea NOT NULL,
    created_at              bigint NOT NULL,
    updated_at              bigint NOT NULL,
    PRIMARY KEY (tenant_id, credential_id)
);
CREATE INDEX credentials_by_creation ON credentials (tenant_id, created_at, credential_id);
CREATE INDEX credentials_by_integration
    ON credentials (tenant_id, integration_id, created_at, credential_id);

-- Calls. Slot 0 is what other services report, slot 1 the calls that are changes; both are written by
-- whoever holds the tenant's lock. Every other slot is one server's own: it alone writes its rows,
-- with absolute numbers.
CREATE TABLE usage_months (
    tenant_id  uuid NOT NULL,
    month      bigint NOT NULL,
    slot       bigint NOT NULL,
    calls      bigint NOT NULL CHECK (calls >= 0),
    PRIMARY KEY (tenant_id, month, slot)
) WITH (fillfactor = 70);

CREATE TABLE usage_hours (
    tenant_id  uuid NOT NULL,
    hour       bigint NOT NULL,
    slot       bigint NOT NULL,
    calls      bigint NOT NULL CHECK (calls >= 0),
    PRIMARY KEY (tenant_id, hour, slot)
) WITH (fillfactor = 70);

CREATE TABLE usage_heartbeats (
    tenant_id         uuid NOT NULL,
    slot              bigint NOT NULL,
    last_call_at      bigint NOT NULL,
    last_activity_at  bigint,
    PRIMARY KEY (tenant_id, slot)
) WITH (fillfactor = 70);

-- Who has a slot, by a number that is drawn when it is taken.
CREATE TABLE usage_slots (
    slot    bigint PRIMARY KEY,
    holder  uuid NOT NULL
);

-- The marks by which a repeated report is told.
CREATE TABLE usage_events (
    tenant_id    uuid NOT NULL,
    source       text COLLATE "C" NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    received_at  bigint NOT NULL,
    PRIMARY KEY (tenant_id, source, event_id)
);

CREATE TABLE storage_sources (
    tenant_id    uuid NOT NULL,
    source       text COLLATE "C" NOT NULL,
    bytes        bigint NOT NULL CHECK (bytes >= 0),
    reported_at  bigint NOT NULL,
    PRIMARY KEY (tenant_id, source)
);

CREATE TABLE storage_totals (
    tenant_id  uuid PRIMARY KEY,
    bytes      bigint NOT NULL CHECK (bytes >= 0)
);

-- Deleted tenants of which rows may be left.
CREATE TABLE purges (
    tenant_id  uuid PRIMARY KEY
);

-- Marks of requests that may be repeated, each with the sealed answer that a repetition gets. A mark
-- is written by the change that it is about, and removed after its 24 hours.
CREATE TABLE idempotency_marks (
    tenant_id   uuid NOT NULL,
    -- A digest of principal, route and key.
    mark_id     bytea NOT NULL,
    -- A digest of method, path and body.
    request     bytea NOT NULL,
    answer      bytea NOT NULL,
    expires_at  bigint NOT NULL,
    -- Whom the answer tells of, if it tells of a person: erasing the person empties the answer.
    user_id     uuid,
    PRIMARY KEY (tenant_id, mark_id)
);
CREATE INDEX idempotency_marks_by_time ON idempotency_marks (expires_at);
CREATE INDEX idempotency_marks_by_user ON idempotency_marks (tenant_id, user_id)
    WHERE user_id IS NOT NULL;
