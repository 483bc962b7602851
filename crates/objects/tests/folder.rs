//! Values in a folder.

use std::{collections::BTreeMap, path::Path};

use futures::TryStreamExt;
use serde_json::{Value, json};
use tradewind_objects::{ObjectError, Owner, Storage};

const OWNER: Owner<'static> = Owner { dag_id: "d", run_id: "r", task_id: "t", map_index: -1, key: "k" };

fn storage(folder: &Path) -> Storage {
    Storage::open(&format!("file://{}", folder.display()), &BTreeMap::new()).unwrap()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| {
        entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
    })
}

#[tokio::test]
async fn a_value_comes_back_in_one_part_and_in_many() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    for value in [json!({"a": [1, 2.5, null, "ä"]}), Value::from("x".repeat(20_000_000)), json!(vec![7; 5_000_000])] {
        let object = storage.put(&OWNER, value.clone(), 1 << 30).await.unwrap();
        assert_eq!(object.size, value.to_string().len() as u64);
        assert!(storage.holds(&object.url));
        assert!(storage.get(&object).await.unwrap() == value);
        let listed: Vec<_> = storage.list().try_collect().await.unwrap();
        assert_eq!(listed.iter().map(|found| &found.url).collect::<Vec<_>>(), [&object.url]);
        storage.remove(&object.url).await.unwrap();
        storage.remove(&object.url).await.expect("gone is gone");
        assert!(matches!(storage.get(&object).await, Err(ObjectError::Missing(_))));
    }
}

#[tokio::test]
async fn the_first_installation_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    assert_eq!(storage.claim("one").await.unwrap(), "one");
    assert_eq!(storage.claim("two").await.unwrap(), "one");
    assert_eq!(storage.claim("one").await.unwrap(), "one");
    assert!(storage.list().try_collect::<Vec<_>>().await.unwrap().is_empty(), "the mark is no value");
}

#[tokio::test]
async fn a_value_over_the_limit_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    for limit in [100, 10_000_000] {
        let refused = storage.put(&OWNER, "x".repeat(20_000_000).into(), limit).await;
        assert!(matches!(refused, Err(ObjectError::TooLarge(max)) if max == limit), "{refused:?}");
        assert_eq!(files(folder.path()), 0);
    }
    assert!(storage.put(&OWNER, "x".repeat(98).into(), 100).await.is_ok());
}

#[tokio::test]
async fn a_changed_value_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    let object = storage.put(&OWNER, json!([1, 2, 3]), 100).await.unwrap();
    let path = object.url.strip_prefix("file://").unwrap();
    for text in ["[1,2,4]", "[1,2]"] {
        std::fs::write(path, text).unwrap();
        let error = storage.get(&object).await.unwrap_err();
        assert!(matches!(&error, ObjectError::Changed { url, .. } if *url == object.url), "{error}");
    }
}

#[tokio::test]
async fn a_value_is_found_where_the_storage_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (storage(&folder.path().join("old")), storage(&folder.path().join("new")));
    let object = old.put(&OWNER, json!(1), 100).await.unwrap();
    assert!(!new.holds(&object.url));
    assert_eq!(new.get(&object).await.unwrap(), json!(1));
}

#[test]
fn what_is_set_up_wrongly_is_named() {
    let open = |url: &str, options: &[(&str, &str)]| {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Storage::open(url, &options).unwrap_err().to_string()
    };
    assert!(open("xcoms", &[]).contains("file:///FOLDER"));
    assert!(open("file://xcoms", &[]).contains("root"));
    assert!(open("ftp://host/x", &[]).contains("s3://BUCKET"));
    assert!(open("s3://bucket", &[("endpiont", "http://x")]).contains("endpiont"));
    assert!(open("file:///proc/none", &[]).contains("/proc/none"));
    let outside = tempfile::tempdir().unwrap();
    let storage = storage(outside.path());
    for url in ["file:///etc/passwd", "s3://other/x"] {
        assert!(!storage.holds(url));
    }
    assert!(!storage.holds(&format!("{}/../x", storage.url())));
}
