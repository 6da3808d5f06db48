-- External realms. revision is the number of the entry in the platform's ledger that made a realm what
-- it is, so that no two states of any realms share one.
CREATE TABLE realms (
    realm_id        uuid PRIMARY KEY,
    name            text COLLATE "C" NOT NULL UNIQUE,
    name_key        text COLLATE "C" NOT NULL,
    issuer          text COLLATE "C" NOT NULL UNIQUE,
    jwks_uri        text,
    audience        text NOT NULL,
    algorithms      text NOT NULL,
    tenant_claim    text NOT NULL,
    roles_claim     text NOT NULL,
    -- JSON; NULL: roles are named as here.
    role_mapping    text,
    leeway_seconds  bigint NOT NULL CHECK (leeway_seconds >= 0),
    platform        boolean NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    revision        bigint NOT NULL CHECK (revision >= 0)
);
