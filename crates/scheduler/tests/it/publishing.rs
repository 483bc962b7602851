//! What DAG processors publish: versions, refusals, and files that vanish.

use tradewind_proto::{admin_client, dag_client, v1};

use crate::harness::{ADMIN, Hand, Installation, Node, PROCESSOR, WORKER, dag, publish, run_state, trigger};

async fn dags(node: &Node) -> Vec<v1::Dag> {
    let request = v1::ListDagsRequest { include_stale: true, ..v1::ListDagsRequest::default() };
    node.client(ADMIN)
        .once(|channel| {
            let request = request.clone();
            async move { admin_client(channel).list_dags(request).await }
        })
        .await
        .unwrap()
        .dags
}

async fn import_errors(node: &Node) -> Vec<v1::ImportError> {
    node.client(ADMIN)
        .once(|channel| async move { admin_client(channel).list_import_errors(v1::ListRequest::default()).await })
        .await
        .unwrap()
        .errors
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_count_and_a_run_keeps_the_one_that_it_started_with() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let processor = node.client(PROCESSOR);
    publish(&processor, &dag("d", &[("old", &[])])).await;
    publish(&processor, &dag("d", &[("old", &[])])).await;
    assert_eq!(dags(&node).await[0].version_number, 1, "the same content is the same version");
    trigger(&node.client(ADMIN), "d").await;
    publish(&processor, &dag("d", &[("new", &[])])).await;
    assert_eq!(dags(&node).await[0].version_number, 2);
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    let (grant, ..) = hand.next().await;
    assert_eq!(grant.ti.unwrap().task_id, "old");
    assert_eq!(grant.dag.unwrap().version_number, 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_another_file_defines_is_refused_and_named() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let mut spec = dag("d", &[("t", &[])]);
    publish(&node.client(PROCESSOR), &spec).await;
    spec.source.rel_path = "other.yaml".to_owned();
    let answer = publish(&node.client(PROCESSOR), &spec).await;
    assert!(answer.refused[0].message.contains("d.yaml"), "{answer:?}");
    assert_eq!(import_errors(&node).await[0].rel_path, "other.yaml");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_that_cannot_be_scheduled_is_an_import_error() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let answer = publish(&node.client(PROCESSOR), &dag("d", &[("a", &["b"]), ("b", &["a"])])).await;
    assert!(answer.refused[0].message.contains("cycle"), "{answer:?}");
    assert!(dags(&node).await.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pool_and_an_unserved_queue_are_warnings() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let mut spec = dag("d", &[("t", &[])]);
    spec.tasks[0].pool = "nowhere".into();
    let warnings = publish(&node.client(PROCESSOR), &spec).await.warnings;
    assert!(warnings.iter().any(|text| text.contains("nowhere")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("default")), "{warnings:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dags_of_files_that_are_gone_become_stale() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &dag("d", &[("t", &[])])).await;
    let request = v1::CompleteScanRequest { rel_paths: vec!["other.py".to_owned()] };
    let answer = node
        .client(PROCESSOR)
        .once(|channel| {
            let request = request.clone();
            async move { dag_client(channel).complete_scan(request).await }
        })
        .await
        .unwrap();
    assert_eq!(answer.stale, ["d"]);
    assert!(dags(&node).await[0].is_stale);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_checked_against_its_hash() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let chunk = v1::BlobChunk { hash: "0".repeat(64), data: b"something else".to_vec(), last: true };
    let error = node
        .client(PROCESSOR)
        .once(|channel| {
            let chunk = chunk.clone();
            async move { dag_client(channel).put_blobs(tokio_stream::iter([chunk])).await }
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, tradewind_types::ErrorCode::Invalid);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_back_keeps_its_number() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let processor = node.client(PROCESSOR);
    for (task, number) in [("old", 1), ("new", 2), ("old", 1)] {
        publish(&processor, &dag("d", &[(task, &[])])).await;
        assert_eq!(dags(&node).await[0].version_number, number, "{task}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_id_or_date_that_was_used_long_ago_is_refused_and_the_leader_leads_on() {
    let mut installation = Installation::new().await;
    // The engine forgets a finished run after twice the lease.
    installation.lease = std::time::Duration::from_millis(50);
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &dag("d", &[])).await;
    let run = trigger(&node.client(ADMIN), "d").await;
    crate::harness::eventually("the end of the empty run", || async {
        (run_state(&node.client(ADMIN), &run).await.run.unwrap().state == "success").then_some(())
    })
    .await;
    tokio::time::sleep(installation.lease * 4).await;
    let again = v1::TriggerRunRequest {
        dag_id: "d".to_owned(),
        run_id: Some(run.run_id.clone()),
        ..v1::TriggerRunRequest::default()
    };
    let same_date = v1::TriggerRunRequest {
        dag_id: "d".to_owned(),
        logical_date: run.logical_date,
        ..v1::TriggerRunRequest::default()
    };
    for request in [again, same_date] {
        let error = node
            .client(ADMIN)
            .once(|channel| {
                let request = request.clone();
                async move { admin_client(channel).trigger_run(request).await }
            })
            .await
            .unwrap_err();
        assert_eq!(error.code, tradewind_types::ErrorCode::AlreadyExists);
    }
    assert!(node.running.is_leader());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_about_a_file_are_shown_with_its_dags_until_they_are_gone() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let spec = dag("d", &[]);
    let published = |warnings: &[&str]| v1::PublishFileRequest {
        rel_path: "d.yaml".to_owned(),
        dags: vec![v1::PublishedDag { version: "v1".to_owned(), spec_json: tradewind_proto::to_json(&spec) }],
        warnings: warnings.iter().map(ToString::to_string).collect(),
        deprecations: warnings
            .iter()
            .map(|old| v1::Deprecation { file: "d.yaml".to_owned(), old: old.to_string(), ..Default::default() })
            .collect(),
        ..v1::PublishFileRequest::default()
    };
    let listed = || async {
        let answer = admin!(node, list_import_errors, v1::ListRequest::default()).unwrap();
        answer.deprecations.into_iter().map(|name| name.old).collect::<Vec<_>>()
    };
    let shown = || async {
        let dag = admin!(node, get_dag, v1::GetDagRequest { dag_id: "d".to_owned() }).unwrap();
        let spec: serde_json::Value = serde_json::from_str(&dag.spec_json.unwrap()).unwrap();
        assert_eq!(spec["dag_id"], "d");
        spec["warnings"].clone()
    };
    processor!(node, publish_file, published(&["line 3: old import"])).unwrap();
    assert_eq!(shown().await, serde_json::json!(["line 3: old import"]));
    assert_eq!(listed().await, ["line 3: old import"]);
    processor!(node, publish_file, published(&[])).unwrap();
    assert_eq!(listed().await, Vec::<String>::new());
    assert_eq!(shown().await, serde_json::Value::Null);
    processor!(node, publish_file, published(&["again"])).unwrap();
    processor!(node, complete_scan, v1::CompleteScanRequest { rel_paths: vec!["other.yaml".to_owned()] }).unwrap();
    assert_eq!(shown().await, serde_json::Value::Null, "the file is gone");
    assert_eq!(listed().await, Vec::<String>::new(), "the file is gone");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_keeps_its_rate() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    let pool = v1::Pool {
        name: "api".to_owned(),
        slots: 3,
        rate_starts: Some(10),
        rate_per_secs: Some(60),
        ..v1::Pool::default()
    };
    admin!(node, set_pool, pool.clone()).unwrap();
    let pools = admin!(node, list_pools, v1::Empty {}).unwrap().pools;
    let kept = pools.iter().find(|kept| kept.name == "api").unwrap();
    assert_eq!((kept.rate_starts, kept.rate_per_secs), (Some(10), Some(60)));
    let half = v1::Pool { rate_per_secs: None, ..pool };
    let error = admin!(node, set_pool, half).unwrap_err();
    assert_eq!(error.code, tradewind_types::ErrorCode::Invalid);
    assert!(error.message.contains("\"api\""));
    node.stop().await;
}
