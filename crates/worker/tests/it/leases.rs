use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    harness::eventually,
    support::{World, bash, pids, runs},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_leader_kills_its_tasks_before_their_leases_end() {
    let lease = Duration::from_secs(4);
    let world = World::with_lease(lease).await;
    let worker = world.worker("w");
    let file = world.dir.path().join("pids");
    let command = format!("trap '' TERM; sleep 1000 & echo $! >>{0}; echo $$ >>{0}; wait; sleep 1000", file.display());
    world.run("long", json!([bash("sleep", &[], &command)])).await;
    let pids = pids(&file, 2).await;
    world.node.stop().await;
    let gone = Instant::now();
    for pid in &pids {
        eventually("the end of the process", || async { (!runs(pid)).then_some(()) }).await;
    }
    // The last renewal came before the leader went, so the lease ends before this.
    assert!(gone.elapsed() < lease, "killed only after {:?}", gone.elapsed());
    worker.abort.cancel();
    worker.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_outlive_a_change_of_leader() {
    let world = World::with_lease(Duration::from_secs(6)).await;
    let worker_client = world.node.client(crate::harness::WORKER);
    drop(worker_client);
    let second = world.installation.scheduler("b").await;
    // The worker knows both schedulers.
    let client = tradewind_proto::LeaderClient::new(tradewind_proto::ClientOptions {
        addresses: vec![world.node.running.address.clone(), second.running.address.clone()],
        token: Some(crate::harness::WORKER.to_owned()),
        ..tradewind_proto::ClientOptions::default()
    })
    .unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let worker = tradewind_worker::Worker::new(world.settings("w"), client, world.installation.queue.clone(), None);
    let task = tokio::spawn(worker.run(shutdown.clone()));
    let file = world.dir.path().join("pids");
    let gate = world.dir.path().join("gate");
    let command =
        format!("echo $$ >>{0}; until [ -e {1} ]; do sleep 0.02; done; echo through", file.display(), gate.display());
    let run = world.run("long", json!([bash("wait", &[], &command), bash("after", &["wait"], "true")])).await;
    let pids = pids(&file, 1).await;
    let World { node, admin: _, installation, dir } = world;
    node.stop().await;
    second.leads().await;
    std::fs::write(&gate, "").unwrap();
    let world = World { admin: second.client(crate::harness::ADMIN), node: second, installation, dir };
    assert_eq!(world.ends(&run).await, "success");
    let ti = world.task(&run, "wait").await;
    assert_eq!((ti.attempt, ti.worker_losses), (1, 0), "it ran once, through the change");
    assert!(!runs(&pids[0]));
    shutdown.cancel();
    task.await.unwrap().unwrap();
    world.node.stop().await;
}
