//! Two schedulers on one store: one leads, the other stands by, and a change of leader loses nothing.

use tradewind_proto::{ClientOptions, LeaderClient, v1};
use tradewind_types::{AttemptOutcome, ErrorCode};

use crate::harness::{ADMIN, Hand, Installation, PROCESSOR, WORKER, dag, eventually, publish, run_state, trigger};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_answers_reads_and_names_the_leader_for_writes() {
    let installation = Installation::new().await;
    let first = installation.scheduler("a").await;
    first.leads().await;
    let second = installation.scheduler("b").await;
    publish(&first.client(PROCESSOR), &dag("pair", &[("first", &[])])).await;

    let standby = second.client(ADMIN);
    let dags = standby
        .call(std::time::Duration::from_secs(5), |channel| async move {
            tradewind_proto::admin_client(channel).list_dags(v1::ListDagsRequest::default()).await
        })
        .await
        .unwrap();
    assert_eq!(dags.dags.len(), 1);

    let pause = v1::SetDagPausedRequest { dag_id: "pair".to_owned(), paused: true };
    let error = eventually("the standby knows the leader", || {
        let (pause, client) = (pause.clone(), second.client(ADMIN));
        async move {
            let error = client
                .once(|channel| {
                    let pause = pause.clone();
                    async move { tradewind_proto::admin_client(channel).set_dag_paused(pause).await }
                })
                .await
                .unwrap_err();
            error.leader.is_some().then_some(error)
        }
    })
    .await;
    assert_eq!(error.code, ErrorCode::NotLeader);
    assert_eq!(error.leader.as_deref(), Some(first.running.address.as_str()));
    // A client that was told finds the leader by itself.
    trigger(&second.client(ADMIN), "pair").await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_attempt_survives_a_change_of_leader() {
    let installation = Installation::new().await;
    let first = installation.scheduler("a").await;
    first.leads().await;
    let second = installation.scheduler("b").await;
    publish(&first.client(PROCESSOR), &dag("pair", &[("first", &[]), ("second", &["first"])])).await;
    let client = LeaderClient::new(ClientOptions {
        addresses: vec![first.running.address.clone(), second.running.address.clone()],
        token: Some(WORKER.to_owned()),
        ..ClientOptions::default()
    })
    .unwrap();
    let hand = Hand::new(client, "w");
    hand.register(&["default"]).await.unwrap();
    let run = trigger(&first.client(ADMIN), "pair").await;
    let (_, key, token) = hand.next().await;

    first.stop().await;
    second.leads().await;
    // The new leader does not know the worker yet, and asks it to register; the attempt is still its own.
    let heard = hand.heartbeat(&[(key, token)]).await;
    assert!(heard.register);
    assert!(heard.cancel.is_empty());
    hand.register(&["default"]).await.unwrap();
    let answer = hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "");
    let (grant, key, token) = hand.next().await;
    let ti = grant.ti.unwrap();
    assert_eq!((ti.task_id.as_str(), ti.try_number), ("second", 1));
    hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(run_state(&second.client(ADMIN), &run).await.run.unwrap().state, "success");
    second.stop().await;
}
