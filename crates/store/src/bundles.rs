//! Bundles and the blobs they are made of, both content-addressed and never changed.

use std::collections::BTreeSet;

use tradewind_ports::StoreError;
use tradewind_types::{BlobHash, Bundle, BundleHash};

use crate::{
    db::Db,
    sql::{Arg, Sql, args},
};

const PRESENT: Sql = Sql::forked(
    "SELECT hash FROM blob WHERE hash = ANY ($1)",
    "SELECT hash FROM blob WHERE hash IN (SELECT value FROM json_each($1))",
);
const PUT_BLOB: Sql = Sql::both("INSERT INTO blob (hash, data) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING");
const BLOB: Sql = Sql::both("SELECT data FROM blob WHERE hash = $1");
const PUT_BUNDLE: Sql = Sql::both("INSERT INTO bundle (hash, files) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING");
const BUNDLE: Sql = Sql::both("SELECT files FROM bundle WHERE hash = $1");

pub(crate) async fn put_blobs(db: &Db, blobs: &[(BlobHash, Vec<u8>)]) -> Result<(), StoreError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    // In one order always, so that two publishers of the same files cannot wait for each other.
    let mut sorted: Vec<_> = blobs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for (hash, data) in sorted {
        tx.execute(PUT_BLOB, vec![hash.as_str().into(), Arg::Bytes(data.clone())]).await?;
    }
    tx.commit().await
}

pub(crate) async fn missing_blobs(db: &Db, hashes: &[BlobHash]) -> Result<Vec<BlobHash>, StoreError> {
    let texts = hashes.iter().map(ToString::to_string).collect();
    let rows = db.fetch(PRESENT, vec![Arg::Texts(texts)]).await?;
    let present: BTreeSet<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    Ok(hashes.iter().filter(|hash| !present.contains(hash.as_str())).cloned().collect())
}

pub(crate) async fn put_bundle(db: &Db, bundle: &Bundle) -> Result<(), StoreError> {
    let hashes: Vec<BlobHash> = bundle.files.iter().map(|file| file.blob.clone()).collect();
    let missing = missing_blobs(db, &hashes).await?;
    if let Some(first) = missing.first() {
        return Err(StoreError::Conflict(format!(
            "bundle {} lacks {} of its blobs, e.g. {first}",
            bundle.hash,
            missing.len()
        )));
    }
    let files = crate::db::to_json(&bundle.files)?;
    db.execute(PUT_BUNDLE, args![bundle.hash.as_str(), files.as_str()]).await.map(drop)
}

pub(crate) async fn bundle(db: &Db, hash: &BundleHash) -> Result<Option<Bundle>, StoreError> {
    let row = db.fetch_one(BUNDLE, args![hash.as_str()]).await?;
    row.map(|row| Ok(Bundle { hash: hash.clone(), files: row.json(0)? })).transpose()
}

pub(crate) async fn blob(db: &Db, hash: &BlobHash) -> Result<Option<Vec<u8>>, StoreError> {
    let row = db.fetch_one(BLOB, args![hash.as_str()]).await?;
    row.map(|row| row.bytes(0)).transpose()
}

pub(crate) const STATEMENTS: &[Sql] = &[PRESENT, PUT_BLOB, BLOB, PUT_BUNDLE, BUNDLE];
