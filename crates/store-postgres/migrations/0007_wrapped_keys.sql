-- Master keys, each sealed under another one.
CREATE TABLE wrapped_keys (
    key_id      text COLLATE "C" NOT NULL,
    under       text COLLATE "C" NOT NULL,
    sealed      bytea NOT NULL,
    created_at  bigint NOT NULL,
    PRIMARY KEY (key_id, under)
);
