-- Which installation this is: what it shares with others, storage for large XComs say, it can mark as its own.

CREATE TABLE installation (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    id UUID NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO installation DEFAULT VALUES;
