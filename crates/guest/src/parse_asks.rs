//! What top-level code of a DAG file asks while it is parsed: variables and connections.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{questions::ConnectionInfo, wire};

/// How a question begins. The one other frame that a child sends is its result.
const QUESTION: &[u8] = br#"{"ask":"#;

/// Answers the top-level code of a DAG file. An error says why there is no answer now.
#[async_trait]
pub trait ParseHost: Debug + Send + Sync {
    /// A variable, `None` when there is none.
    async fn variable(&self, key: &str) -> Result<Option<String>, String>;

    /// A connection, `None` when there is none.
    async fn connection(&self, conn_id: &str) -> Result<Option<ConnectionInfo>, String>;
}

#[derive(Debug, Deserialize)]
struct Question {
    ask: Kind,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Variable,
    Connection,
}

/// Answers questions until the result comes, and gives its body, of `max_bytes` at most.
pub(crate) async fn answer_until_result(
    channel: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: Option<&dyn ParseHost>,
    max_bytes: u64,
) -> std::io::Result<Vec<u8>> {
    loop {
        let mut header = [0; 4];
        channel.read_exact(&mut header).await?;
        let size = u64::from(u32::from_be_bytes(header));
        if size > max_bytes {
            return Err(std::io::Error::other(format!("the result has {size} bytes, at most {max_bytes} are taken")));
        }
        let mut body = Vec::new();
        (&mut *channel).take(size).read_to_end(&mut body).await?;
        if body.len() as u64 != size {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if !body.starts_with(QUESTION) {
            return Ok(body);
        }
        let question: Question = serde_json::from_slice(&body)?;
        let answer = match host {
            Some(host) => ask(host, &question).await,
            None => json!({ "value": null }),
        };
        wire::write_all(channel, &wire::json_frame(&answer)?).await?;
    }
}

async fn ask(host: &dyn ParseHost, question: &Question) -> serde_json::Value {
    let answer = match question.ask {
        Kind::Variable => host.variable(&question.name).await.map(|value| json!({ "value": value })),
        Kind::Connection => host.connection(&question.name).await.map(|found| json!({ "value": found })),
    };
    answer.unwrap_or_else(|why| json!({ "error": why }))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[derive(Debug)]
    struct One;

    #[async_trait]
    impl ParseHost for One {
        async fn variable(&self, key: &str) -> Result<Option<String>, String> {
            Ok((key == "region").then(|| "north".to_owned()))
        }

        async fn connection(&self, _: &str) -> Result<Option<ConnectionInfo>, String> {
            Err("no leader answers".to_owned())
        }
    }

    async fn reply(ours: &mut tokio::io::DuplexStream, question: serde_json::Value) -> serde_json::Value {
        ours.write_all(&wire::json_frame(&question).unwrap()).await.unwrap();
        let mut body = vec![0; ours.read_u32().await.unwrap() as usize];
        ours.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn questions_are_answered_and_the_result_ends_it() {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let listening = tokio::spawn(async move { answer_until_result(&mut theirs, Some(&One), 1000).await });
        assert_eq!(reply(&mut ours, json!({"ask": "variable", "name": "region"})).await, json!({"value": "north"}));
        assert_eq!(reply(&mut ours, json!({"ask": "variable", "name": "other"})).await, json!({"value": null}));
        let refused = reply(&mut ours, json!({"ask": "connection", "name": "db"})).await;
        assert_eq!(refused, json!({"error": "no leader answers"}));
        ours.write_all(&wire::json_frame(&json!({"dags": []})).unwrap()).await.unwrap();
        assert_eq!(listening.await.unwrap().unwrap(), br#"{"dags":[]}"#);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_large_or_cut_off_is_no_result() {
        for sent in [&[0, 0, 4, 0][..], &[0, 0, 0, 9, b'{']] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            ours.write_all(sent).await.unwrap();
            drop(ours);
            assert!(answer_until_result(&mut theirs, None, 100).await.is_err(), "{sent:?}");
        }
    }
}
