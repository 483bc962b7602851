-- Which installation this is: what it shares with others, storage for large XComs say, it can mark as its own.

CREATE TABLE installation (
    one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    id TEXT NOT NULL
) STRICT;

INSERT INTO installation (id) VALUES (lower(hex(randomblob(16))));
