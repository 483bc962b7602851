use std::sync::atomic::{AtomicUsize, Ordering};

use tradewind_types::BundleFile;

use super::*;

/// A source in memory that counts what it is asked for.
#[derive(Default)]
struct Memory {
    bundles: Mutex<HashMap<BundleHash, Bundle>>,
    blobs: Mutex<HashMap<BlobHash, Vec<u8>>>,
    manifests: AtomicUsize,
    sent: AtomicUsize,
}

impl Memory {
    fn add(&self, files: &[(&str, &str)]) -> BundleHash {
        let files = files
            .iter()
            .map(|(path, text)| {
                let blob = BlobHash::from(sha256_hex(text.as_bytes()));
                self.blobs.lock().unwrap().insert(blob.clone(), text.as_bytes().to_vec());
                BundleFile {
                    path: (*path).to_owned(),
                    blob,
                    size: text.len() as u64,
                    executable: path.ends_with(".sh"),
                }
            })
            .collect();
        let bundle = Bundle::new(files);
        let hash = bundle.hash.clone();
        self.bundles.lock().unwrap().insert(hash.clone(), bundle);
        hash
    }
}

#[async_trait]
impl BundleSource for Memory {
    async fn manifest(&self, hash: &BundleHash) -> Result<Bundle, ApiError> {
        self.manifests.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let bundles = self.bundles.lock().unwrap();
        bundles.get(hash).cloned().ok_or_else(|| ApiError::not_found("no such bundle"))
    }

    async fn blobs(&self, hashes: Vec<BlobHash>, into: mpsc::Sender<BlobPart>) -> Result<(), ApiError> {
        for hash in hashes {
            let bytes = self.blobs.lock().unwrap()[&hash].clone();
            self.sent.fetch_add(1, Ordering::SeqCst);
            let (first, second) = bytes.split_at(bytes.len() / 2);
            for (data, last) in [(first, false), (second, true)] {
                let part = BlobPart { hash: hash.clone(), data: data.to_vec(), last };
                if into.send(part).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn cache(dir: &Path, max_bytes: u64) -> (Arc<Memory>, BundleCache) {
    let source = Arc::new(Memory::default());
    (Arc::clone(&source), reopen(dir, max_bytes, &source))
}

fn reopen(dir: &Path, max_bytes: u64, source: &Arc<Memory>) -> BundleCache {
    BundleCache::open(dir.to_owned(), max_bytes, source.clone()).unwrap()
}

#[tokio::test]
async fn a_bundle_is_unpacked_once_for_all() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = cache(dir.path(), 1 << 20);
    let hash = source.add(&[("a.py", "one"), ("lib/b.py", "two"), ("run.sh", "three"), ("copy.py", "one")]);
    let (first, second, third) = tokio::join!(cache.get(&hash), cache.get(&hash), cache.get(&hash));
    let bundle = first.unwrap();
    assert_eq!((second.unwrap().dir(), third.unwrap().dir()), (bundle.dir(), bundle.dir()));
    assert_eq!(source.manifests.load(Ordering::SeqCst), 1);
    assert_eq!(source.sent.load(Ordering::SeqCst), 3, "equal files are one blob");
    assert_eq!(std::fs::read_to_string(bundle.dir().join("lib/b.py")).unwrap(), "two");
    let mode = |name: &str| bundle.dir().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("a.py")), (0o555, 0o444));

    // Another version of the same DAG shares what did not change.
    let next = source.add(&[("a.py", "one"), ("lib/b.py", "changed")]);
    cache.get(&next).await.unwrap();
    assert_eq!(source.sent.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_earlier_process_has_left_what_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (source, first) = cache(dir.path(), 1 << 20);
    let hash = source.add(&[("a.py", "one"), ("b.py", "two")]);
    let path = first.get(&hash).await.unwrap().dir().to_owned();
    drop(first);

    reopen(dir.path(), 1 << 20, &source).get(&hash).await.unwrap();
    assert_eq!(source.manifests.load(Ordering::SeqCst), 1, "nothing was fetched again");

    set_mode(&path.join("a.py"), 0o644).unwrap();
    std::fs::write(path.join("a.py"), "bad").unwrap();
    std::fs::create_dir(dir.path().join("bundles/.half")).unwrap();
    reopen(dir.path(), 1 << 20, &source).get(&hash).await.unwrap();
    assert_eq!(std::fs::read_to_string(path.join("a.py")).unwrap(), "one", "a changed file is mended");
    assert!(!dir.path().join("bundles/.half").exists());

    // Also when the blob that it would be mended from is damaged.
    std::fs::remove_file(path.join("a.py")).unwrap();
    std::fs::write(dir.path().join("blobs").join(sha256_hex(b"one")), "bad").unwrap();
    reopen(dir.path(), 1 << 20, &source).get(&hash).await.unwrap();
    assert_eq!(std::fs::read_to_string(path.join("a.py")).unwrap(), "one");
}

#[tokio::test]
async fn wrong_bytes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = cache(dir.path(), 1 << 20);
    let hash = source.add(&[("a.py", "one")]);
    source.blobs.lock().unwrap().insert(sha256_hex(b"one").into(), b"eno".to_vec());
    let error = cache.get(&hash).await.unwrap_err();
    assert!(error.message.contains("does not fit its address"), "{error}");
    source.blobs.lock().unwrap().insert(sha256_hex(b"one").into(), b"one and more".to_vec());
    let error = cache.get(&hash).await.unwrap_err();
    assert!(error.message.contains("larger"), "{error}");
    assert!(std::fs::read_dir(dir.path().join("blobs")).unwrap().next().is_none());
    assert!(std::fs::read_dir(dir.path().join("bundles")).unwrap().next().is_none());

    // The source is mended: the failure was not remembered.
    source.blobs.lock().unwrap().insert(sha256_hex(b"one").into(), b"one".to_vec());
    cache.get(&hash).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_outside() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = cache(&dir.path().join("cache"), 1 << 20);
    for path in ["../evil", "/evil", "a/../../evil", "a//b", "./a", "a\\b"] {
        let hash = source.add(&[(path, "x")]);
        assert!(cache.get(&hash).await.is_err(), "{path}");
    }
    for hash in ["", "../x", &"A".repeat(64), &"a/".repeat(32)] {
        assert!(cache.get(&BundleHash::from(hash)).await.is_err(), "{hash}");
    }
    // A sound manifest under another address.
    let sound = source.add(&[("a.py", "one")]);
    let other = BundleHash::from("0".repeat(64));
    let bundle = source.bundles.lock().unwrap()[&sound].clone();
    source.bundles.lock().unwrap().insert(other.clone(), bundle);
    assert!(cache.get(&other).await.is_err());
    // A blob address that is a path.
    let crafted = Bundle::new(vec![BundleFile {
        path: "a.py".to_owned(),
        blob: "../../evil".into(),
        size: 1,
        executable: false,
    }]);
    source.bundles.lock().unwrap().insert(crafted.hash.clone(), crafted.clone());
    assert!(cache.get(&crafted.hash).await.is_err());
    let outside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["cache"]);
}

#[tokio::test]
async fn the_least_recently_used_bundles_go() {
    let dir = tempfile::tempdir().unwrap();
    // Room for two bundles of 100 bytes with their blobs.
    let (source, cache) = cache(dir.path(), 400);
    let hashes: Vec<BundleHash> =
        ["a", "b", "c", "d"].map(|text| source.add(&[("x.py", text.repeat(100).as_str())])).to_vec();
    cache.get(&hashes[0]).await.unwrap();
    cache.get(&hashes[1]).await.unwrap();
    cache.get(&hashes[0]).await.unwrap();
    let held = cache.get(&hashes[2]).await.unwrap();
    let there = |hash: &BundleHash| cache.bundle_dir(hash).exists();
    assert_eq!(hashes.iter().map(there).collect::<Vec<_>>(), [true, false, true, false]);
    let blobs = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(blobs, 2, "blobs go with the last bundle that has them");

    // The one in use stays, although the other one was used later.
    cache.get(&hashes[0]).await.unwrap();
    cache.get(&hashes[3]).await.unwrap();
    assert_eq!(hashes.iter().map(there).collect::<Vec<_>>(), [false, false, true, true]);
    assert!(held.dir().join("x.py").exists());

    // And one that went can come back.
    cache.get(&hashes[1]).await.unwrap();
    assert!(there(&hashes[1]) && there(&hashes[2]));
}
