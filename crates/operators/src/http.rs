//! `http`: one request, its answer as the return value.

use std::{sync::OnceLock, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Client, Method, Response, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use tradewind_types::{Connection, HttpOptions};

use crate::{
    Finished, LogLevel, Operator, OperatorError, OperatorIo, OperatorResult, Renderer, TaskContext, operator::too_large,
};

/// How much of the body of a refused request is quoted.
const QUOTED_BODY: usize = 500;

#[async_trait]
impl Operator for HttpOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let request = Prepared::new(self, ctx, io).await?;
        let client = client()?;
        let line = format!("{} {}", request.method, shown(&request.url));
        io.log(LogLevel::Info, "tradewind.http", vec![line.clone()]).await;
        let exchange = async {
            let response = request.send(client).await?;
            let status = response.status();
            let fine = match self.expect.as_slice() {
                [] => status.is_success(),
                expected => expected.contains(&status.as_u16()),
            };
            if !fine {
                return Err(refused(&line, response).await);
            }
            io.log(LogLevel::Info, "tradewind.http", vec![format!("answered {status}")]).await;
            if ctx.task.do_xcom_push { body(response, ctx.xcom_max_bytes).await.map(Some) } else { Ok(None) }
        };
        tokio::select! {
            _ = ctx.stop.requested() => Err(OperatorError::Stopped),
            value = exchange => value.map(Finished::Success),
        }
    }
}

/// A request, rendered and checked.
struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    login: Option<(String, Option<String>)>,
    body: Option<Vec<u8>>,
    timeout: Duration,
}

impl Prepared {
    async fn new(options: &HttpOptions, ctx: &TaskContext, io: &dyn OperatorIo) -> Result<Self, OperatorError> {
        let timeout =
            Duration::try_from_secs_f64(options.timeout).ok().filter(|timeout| !timeout.is_zero()).ok_or_else(
                || OperatorError::Fatal(format!("timeout: {} is not a number of seconds above 0", options.timeout)),
            )?;
        let method = Method::from_bytes(options.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| OperatorError::Fatal(format!("method: \"{}\" is not an HTTP method", options.method)))?;
        if options.body.is_some() && options.json.is_some() {
            return Err(OperatorError::Fatal("body and json exclude each other".to_owned()));
        }

        let mut renderer = Renderer::new(ctx, io);
        let url = renderer.text("url", &options.url).await?;
        let mut named = Vec::new();
        for (name, value) in &options.headers {
            named.push((name.clone(), renderer.text(&format!("headers.{name}"), value).await?));
        }
        let mut body = None;
        if let Some(text) = &options.body {
            body = Some(renderer.text("body", text).await?.into_bytes());
        }
        let is_json = options.json.is_some();
        if let Some(value) = &options.json {
            body = Some(renderer.json("json", value).await?.to_string().into_bytes());
        }
        renderer.report().await?;

        let connection = match &options.connection {
            Some(id) => Some(
                io.connection(id)
                    .await?
                    .ok_or_else(|| OperatorError::Failed(format!("connection: there is no connection \"{id}\"")))?,
            ),
            None => None,
        };
        let url = match &connection {
            Some(connection) => below(connection, &url)?,
            None => absolute(&url)?,
        };
        let mut headers = HeaderMap::new();
        if is_json {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(connection) = &connection {
            for (name, value) in extra_headers(connection) {
                insert(&mut headers, &name, &value)?;
            }
        }
        for (name, value) in named {
            insert(&mut headers, &name, &value)?;
        }
        let login = connection.and_then(|connection| Some((connection.login?, connection.password)));
        Ok(Self { method, url, headers, login: login.filter(|(login, _)| !login.is_empty()), body, timeout })
    }

    async fn send(self, client: &Client) -> Result<Response, OperatorError> {
        let shown = format!("{} {}", self.method, shown(&self.url));
        let mut request = client.request(self.method, self.url).headers(self.headers).timeout(self.timeout);
        if let Some((login, password)) = self.login {
            request = request.basic_auth(login, password);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        request.send().await.map_err(|error| {
            if error.is_timeout() {
                let limit = self.timeout.as_secs_f64();
                OperatorError::Failed(format!("{shown} took longer than {limit} s (timeout)"))
            } else {
                OperatorError::Failed(format!("{shown} failed: {}", chain(&error)))
            }
        })
    }
}

/// An error with its causes; the address stays out, since its query may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() {
        causes.push("the request could not be sent".to_owned());
    }
    causes.join(": ")
}

/// An address for logs: no user, no query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both only fail for addresses without a host, which `absolute` refuses.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    url.set_query(None);
    url.set_fragment(None);
    format!("{url}{query}")
}

fn absolute(text: &str) -> Result<Url, OperatorError> {
    let url = Url::parse(text.trim()).map_err(|error| {
        OperatorError::Failed(format!(
            "url: \"{text}\" is not an address ({error}); write it as https://host/path, or name a connection"
        ))
    })?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(OperatorError::Failed(format!("url: \"{other}\" is not http or https"))),
    }
}

/// The address of `path` below a connection, by the rules of Airflow's `HttpHook`.
fn below(connection: &Connection, path: &str) -> Result<Url, OperatorError> {
    let id = &connection.conn_id;
    let host = connection.host.as_deref().unwrap_or_default();
    let mut base = if host.contains("://") {
        host.to_owned()
    } else {
        let scheme = connection.schema.as_deref().filter(|schema| !schema.is_empty());
        format!("{}://{host}", scheme.unwrap_or("http"))
    };
    if let Some(port) = connection.port {
        base = format!("{}:{port}", base.trim_end_matches('/'));
    }
    let base_url =
        Url::parse(&base).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https")).ok_or_else(
            || OperatorError::Failed(format!("connection: host and schema of \"{id}\" make no http address")),
        )?;
    let path = path.trim();
    if let Ok(url) = Url::parse(path) {
        // The connection's credential must not go anywhere else.
        if url.origin() == base_url.origin() {
            return Ok(url);
        }
        return Err(OperatorError::Failed(format!(
            "url: {} is not on the host of the connection \"{id}\"",
            shown(&url)
        )));
    }
    let joined = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
    let url = absolute(&joined)?;
    if url.origin() == base_url.origin() {
        Ok(url)
    } else {
        Err(OperatorError::Failed(format!("url: \"{path}\" leads away from the host of the connection \"{id}\"")))
    }
}

/// The headers of a connection's extra: the object `headers`, and texts beside it that are no settings of the hook.
fn extra_headers(connection: &Connection) -> Vec<(String, String)> {
    const SETTINGS: [&str; 11] = [
        "headers",
        "timeout",
        "allow_redirects",
        "proxies",
        "proxy",
        "verify",
        "cert",
        "stream",
        "max_redirects",
        "trust_env",
        "check_response",
    ];
    let extra = connection.extra.as_deref().unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::from_str(extra) else {
        return Vec::new();
    };
    let nested = fields.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
    fields
        .into_iter()
        .filter(|(name, _)| !SETTINGS.contains(&name.as_str()))
        .chain(nested)
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), OperatorError> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| OperatorError::Fatal(format!("headers: \"{name}\" is not the name of a header")))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        OperatorError::Failed(format!("headers.{name}: the value has characters that a header cannot carry"))
    })?;
    value.set_sensitive(true);
    headers.insert(header, value);
    Ok(())
}

async fn refused(line: &str, response: Response) -> OperatorError {
    let status = response.status();
    let text = read(response, QUOTED_BODY as u64 * 4)
        .await
        .map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let quoted: String = text.trim().chars().take(QUOTED_BODY).collect();
    let colon = if quoted.is_empty() { "" } else { ": " };
    OperatorError::Failed(format!("{line} answered {status}{colon}{quoted}"))
}

/// The body: JSON when the answer says so, else text.
async fn body(response: Response, max: u64) -> Result<Value, OperatorError> {
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = content_type == "application/json" || content_type.ends_with("+json");
    let (bytes, whole) = read(response, max).await?;
    if !whole {
        return Err(too_large(bytes.len() as u64, max));
    }
    if is_json && !bytes.is_empty() {
        return serde_json::from_slice(&bytes)
            .map_err(|error| OperatorError::Failed(format!("the answer says that it is JSON and is not: {error}")));
    }
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads up to `max` bytes, and whether that was all.
async fn read(mut response: Response, max: u64) -> Result<(Vec<u8>, bool), OperatorError> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                bytes.extend_from_slice(&chunk);
                if bytes.len() as u64 > max {
                    return Ok((bytes, false));
                }
            }
            Ok(None) => return Ok((bytes, true)),
            Err(error) if error.is_timeout() => {
                return Err(OperatorError::Failed("the answer did not come whole in time (timeout)".to_owned()));
            }
            Err(error) => {
                return Err(OperatorError::Failed(format!("the answer broke off: {}", chain(&error))));
            }
        }
    }
}

/// One client for all attempts: it keeps connections.
fn client() -> Result<&'static Client, OperatorError> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been faster: then its provider is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Client::builder()
            .user_agent(concat!("tradewind/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client cannot start: {}", chain(&error)))
    });
    client.as_ref().map_err(|error| OperatorError::Failed(error.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(host: &str, schema: &str, port: Option<u16>) -> Connection {
        Connection {
            conn_id: "api".to_owned(),
            conn_type: "http".to_owned(),
            host: Some(host.to_owned()),
            schema: Some(schema.to_owned()).filter(|schema| !schema.is_empty()),
            port,
            ..Connection::default()
        }
    }

    #[test]
    fn addresses_below_a_connection() {
        let of = |connection: &Connection, path: &str| below(connection, path).map(|url| url.to_string());
        let plain = connection("example.test", "", None);
        assert_eq!(of(&plain, "a/b").unwrap(), "http://example.test/a/b");
        let tls = connection("example.test", "https", Some(8443));
        assert_eq!(of(&tls, "/a?x=1").unwrap(), "https://example.test:8443/a?x=1");
        let based = connection("https://example.test/v2/", "", None);
        assert_eq!(of(&based, "/a").unwrap(), "https://example.test/v2/a");
    }

    #[test]
    fn a_credential_goes_only_to_its_own_host() {
        let own = connection("example.test", "https", None);
        assert!(below(&own, "https://example.test/x").is_ok());
        for path in ["https://evil.test/x", "http://example.test/x", "https://example.test:1/x"] {
            assert!(below(&own, path).is_err(), "{path}");
        }
    }

    #[test]
    fn logged_addresses_hide_user_and_query() {
        let url = Url::parse("https://me:secret@example.test/a?token=abc#x").unwrap();
        assert_eq!(shown(&url), "https://example.test/a?…");
    }
}
