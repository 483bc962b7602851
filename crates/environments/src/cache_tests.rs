use std::os::unix::fs::PermissionsExt as _;

use tradewind_types::{BlobHash, PackageSource};

use super::*;

/// Stands in for `uv`: counts its builds, makes an empty environment, and fails where a requirement says so. What a real
/// one does is tested end to end (`tests/e2e/test_environments.py`).
const UV: &str = r#"#!/bin/sh
case "$1 $2" in
"venv "*)
    for target; do :; done
    echo x >>"$(dirname "$0")/builds"
    mkdir -p "$target/bin" && ln -s /bin/sh "$target/bin/python"
    head -c 100000 /dev/zero >"$target/ballast"
    ;;
"pip compile")
    if grep -q broken requirements.txt; then
        echo "error: No solution found when resolving dependencies" >&2
        echo "  cause: Because there is no version of broken" >&2
        exit 1
    fi
    grep -q slow requirements.txt && sleep 1
    exit 0
    ;;
esac
"#;
/// Stands in for the interpreter that is asked what it is.
const PYTHON: &str = "#!/bin/sh\necho cpython-311 3.11.7 linux-x86_64\n";
const LOCK: &str =
    "apache-airflow-core==3.3.2\napache-airflow-providers-standard==1.21.0\napache-airflow-task-sdk==1.3.2\n";

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for (name, text) in [("uv", UV), ("python", PYTHON), ("requirements.lock", LOCK)] {
            let path = world.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn environments(&self, cache_bytes: u64) -> Arc<Environments> {
        let guest = GuestEnv {
            python: self.path("python"),
            guest_package_dir: self.dir.path().to_owned(),
            home: self.path("home"),
            extra_env: Vec::new(),
            warm_dags: std::time::Duration::ZERO,
        };
        let dir = Some(self.path("environments"));
        Environments::new(EnvironmentOptions { dir, cache_bytes, ..EnvironmentOptions::default() }, guest)
    }

    /// A folder with a requirements file, and the environment that this means.
    fn define(&self, requirements: &str) -> (Environment, PathBuf) {
        let root = self.path(&format!("dags-{}", sha256_hex(requirements.as_bytes())));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("requirements.txt"), requirements).unwrap();
        let packages = PackageSource::Requirements { file: "requirements.txt".to_owned() };
        let blob = BlobHash::from(sha256_hex(requirements.as_bytes()));
        let hash = Environment::hash_of(&packages, None, [("requirements.txt", &blob)]);
        let environment = Environment {
            name: "test".to_owned(),
            hash,
            declared_in: "tradewind.toml".to_owned(),
            packages,
            python: None,
            files: vec!["requirements.txt".to_owned()],
        };
        (environment, root)
    }

    fn builds(&self) -> usize {
        std::fs::read_to_string(self.path("builds")).unwrap_or_default().lines().count()
    }
}

#[tokio::test]
async fn it_is_built_once_however_many_ask_and_found_again() {
    let world = World::new();
    let (environment, root) = world.define("slow==1\n");
    // Two processes would have two of these.
    let (one, other) = (world.environments(u64::MAX), world.environments(u64::MAX));
    let (a, b, c) = tokio::join!(
        one.prepare(&environment, &root),
        one.prepare(&environment, &root),
        other.prepare(&environment, &root)
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(Arc::ptr_eq(&a, &b));
    assert_eq!((a.key(), world.builds()), (c.key(), 1));
    assert!(a.guest().python.is_file());
    let path = &a.guest().extra_env.iter().find(|(name, _)| name == "PATH").unwrap().1;
    assert!(path.starts_with(a.guest().python.parent().unwrap().to_str().unwrap()));
    drop((a, b, c, one, other));
    world.environments(u64::MAX).prepare(&environment, &root).await.unwrap();
    assert_eq!(world.builds(), 1);
}

#[tokio::test]
async fn a_failure_names_everything_and_is_not_repeated_at_once() {
    let world = World::new();
    let (environment, root) = world.define("broken==1\n");
    let environments = world.environments(u64::MAX);
    let error = environments.prepare(&environment, &root).await.unwrap_err();
    for part in ["\"test\" (tradewind.toml)", "requirements.txt", "no version of broken", "correct"] {
        assert!(error.0.contains(part), "{error}");
    }
    assert_eq!(environments.prepare(&environment, &root).await.unwrap_err(), error);
    assert_eq!(world.builds(), 1);
    let left: Vec<_> = std::fs::read_dir(world.path("environments")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only the lock is left: {left:?}");
    // A definition that was mended is another one.
    let (mended, root) = world.define("fine==1\n");
    environments.prepare(&mended, &root).await.unwrap();
}

#[tokio::test]
async fn a_definition_that_changed_meanwhile_is_not_built() {
    let world = World::new();
    let (environment, root) = world.define("fine==1\n");
    std::fs::write(root.join("requirements.txt"), "fine==2\n").unwrap();
    let error = world.environments(u64::MAX).prepare(&environment, &root).await.unwrap_err();
    assert!(error.0.contains("changed meanwhile"), "{error}");
    assert_eq!(world.builds(), 0);
}

#[tokio::test]
async fn the_least_recently_used_go_but_never_one_in_use() {
    let world = World::new();
    // Room for two.
    let environments = world.environments(250_000);
    let mut keys = Vec::new();
    let mut used = None;
    for index in 0..3 {
        let (environment, root) = world.define(&format!("fine=={index}\n"));
        let prepared = environments.prepare(&environment, &root).await.unwrap();
        keys.push(prepared.key().to_owned());
        if index == 0 {
            used = Some(prepared);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let there: Vec<bool> = keys.iter().map(|key| is_whole(&world.path("environments").join(key))).collect();
    assert_eq!(there, [true, false, true], "the first is the oldest, but in use");
    drop(used);
    let (environment, root) = world.define("fine==3\n");
    environments.prepare(&environment, &root).await.unwrap();
    assert!(!world.path("environments").join(&keys[0]).exists(), "nobody uses it any more");
}

#[tokio::test]
async fn what_a_killed_build_left_is_swept_away() {
    let world = World::new();
    let left = world.path("environments/.build-0123");
    std::fs::create_dir_all(&left).unwrap();
    let (environment, root) = world.define("fine==1\n");
    world.environments(u64::MAX).prepare(&environment, &root).await.unwrap();
    assert!(!left.exists());
}

#[tokio::test]
async fn a_lock_without_the_guest_is_refused() {
    let world = World::new();
    std::fs::write(world.path("requirements.lock"), "apache-airflow-core==3.3.2\n").unwrap();
    let (environment, root) = world.define("fine==1\n");
    let error = world.environments(u64::MAX).prepare(&environment, &root).await.unwrap_err();
    assert!(error.0.contains("apache-airflow-task-sdk") && error.0.contains("requirements.lock"), "{error}");
}
