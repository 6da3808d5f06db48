-- What there is once, as in the main database: whoever asks whether calls can be counted has the
-- instant written here.
CREATE TABLE installation (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    pinged_at  INTEGER NOT NULL
) STRICT;
