//! Single calls, without the ceremony of clients that retry.

/// `admin!(node, method, request)`: what the admin service answers, once.
macro_rules! admin {
    ($node:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $node
            .client($crate::harness::ADMIN)
            .once(|channel| {
                let request = request.clone();
                async move { tradewind_proto::admin_client(channel).$method(request).await }
            })
            .await
    }};
}

/// `worker!(node, method, request)`: what the worker service answers, once.
macro_rules! worker {
    ($node:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $node
            .client($crate::harness::WORKER)
            .once(|channel| {
                let request = request.clone();
                async move { tradewind_proto::worker_client(channel).$method(request).await }
            })
            .await
    }};
}

/// `processor!(node, method, request)`: what the DAG service answers, once.
macro_rules! processor {
    ($node:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $node
            .client($crate::harness::PROCESSOR)
            .once(|channel| {
                let request = request.clone();
                async move { tradewind_proto::dag_client(channel).$method(request).await }
            })
            .await
    }};
}
