-- Large XComs are kept in file or object storage; the row has the reference. Whatever way a row goes or gets another
-- reference, its object is noted here to be removed.

ALTER TABLE xcom
    ADD COLUMN object_url TEXT,
    ADD COLUMN object_size BIGINT,
    ADD COLUMN object_sha256 TEXT;
CREATE INDEX xcom_by_object ON xcom (object_url) WHERE object_url IS NOT NULL;

CREATE TABLE xcom_object_dropped (
    url TEXT PRIMARY KEY,
    dropped_at TIMESTAMPTZ NOT NULL
);

CREATE FUNCTION xcom_object_drop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO xcom_object_dropped (url, dropped_at) VALUES (OLD.object_url, clock_timestamp())
    ON CONFLICT (url) DO UPDATE SET dropped_at = excluded.dropped_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER xcom_deleted AFTER DELETE ON xcom FOR EACH ROW
    WHEN (OLD.object_url IS NOT NULL) EXECUTE FUNCTION xcom_object_drop();

CREATE TRIGGER xcom_replaced AFTER UPDATE ON xcom FOR EACH ROW
    WHEN (OLD.object_url IS NOT NULL AND OLD.object_url IS DISTINCT FROM NEW.object_url)
    EXECUTE FUNCTION xcom_object_drop();
