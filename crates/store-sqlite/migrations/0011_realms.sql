-- External realms. revision is the number of the entry in the platform's ledger that made a realm what
-- it is, so that no two states of any realms share one.
CREATE TABLE realms (
    realm_id        BLOB PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    name_key        TEXT NOT NULL,
    issuer          TEXT NOT NULL UNIQUE,
    jwks_uri        TEXT,
    audience        TEXT NOT NULL,
    algorithms      TEXT NOT NULL,
    tenant_claim    TEXT NOT NULL,
    roles_claim     TEXT NOT NULL,
    -- JSON; NULL: roles are named as here.
    role_mapping    TEXT,
    leeway_seconds  INTEGER NOT NULL,
    platform        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    revision        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
