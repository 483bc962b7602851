//! Who may call which service: one bearer token a role, compared in constant time.

use subtle::ConstantTimeEq;
use tonic::{Request, Status, service::Interceptor};
use tradewind_proto::status;
use tradewind_types::{ApiError, ErrorCode};

/// The tokens of the three roles that call a scheduler.
#[derive(Clone)]
pub struct Tokens {
    /// People and the CLI.
    pub admin: String,
    /// Workers.
    pub worker: String,
    /// DAG processors.
    pub processor: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens { … }")
    }
}

/// Lets a request pass if it carries `token`.
#[derive(Clone)]
pub(crate) struct RequireToken {
    pub(crate) token: String,
    pub(crate) role: &'static str,
}

impl Interceptor for RequireToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(header) = request.metadata().get("authorization") else {
            return Err(status(ApiError::new(
                ErrorCode::Unauthenticated,
                format!("no credential was sent; this call needs the {} token", self.role),
            )));
        };
        let sent = header.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        // An empty token never matches: it would make a scheduler without tokens an open one.
        if !self.token.is_empty() && bool::from(sent.ct_eq(self.token.as_bytes())) {
            Ok(request)
        } else {
            Err(status(ApiError::new(
                ErrorCode::Unauthenticated,
                format!("the credential is not the {} token of this installation", self.role),
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(required: &str, header: Option<&str>) -> Result<(), Status> {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        RequireToken { token: required.to_owned(), role: "admin" }.call(request).map(|_| ())
    }

    #[test]
    fn only_the_right_token_passes() {
        assert!(call("secret", Some("Bearer secret")).is_ok());
        for wrong in [None, Some("Bearer secre"), Some("Bearer secrets"), Some("secret"), Some("Bearer ")] {
            let refused = call("secret", wrong).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{wrong:?}");
        }
        assert!(call("", Some("Bearer ")).is_err(), "an empty configured token must not open the door");
    }
}
