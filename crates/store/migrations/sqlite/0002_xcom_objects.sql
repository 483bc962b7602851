-- Large XComs are kept in file or object storage; the row has the reference. Whatever way a row goes or gets another
-- reference, its object is noted here to be removed.

ALTER TABLE xcom ADD COLUMN object_url TEXT;
ALTER TABLE xcom ADD COLUMN object_size INTEGER;
ALTER TABLE xcom ADD COLUMN object_sha256 TEXT;
CREATE INDEX xcom_by_object ON xcom (object_url) WHERE object_url IS NOT NULL;

CREATE TABLE xcom_object_dropped (
    url TEXT PRIMARY KEY,
    dropped_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER xcom_deleted AFTER DELETE ON xcom WHEN OLD.object_url IS NOT NULL
BEGIN
    INSERT INTO xcom_object_dropped (url, dropped_at)
    VALUES (OLD.object_url, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ON CONFLICT (url) DO UPDATE SET dropped_at = excluded.dropped_at;
END;

CREATE TRIGGER xcom_replaced AFTER UPDATE OF object_url ON xcom
WHEN OLD.object_url IS NOT NULL AND OLD.object_url IS NOT NEW.object_url
BEGIN
    INSERT INTO xcom_object_dropped (url, dropped_at)
    VALUES (OLD.object_url, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ON CONFLICT (url) DO UPDATE SET dropped_at = excluded.dropped_at;
END;
