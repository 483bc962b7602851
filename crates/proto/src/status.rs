//! The one place where error codes become gRPC statuses and back.

use prost::Message;
use tonic::{Code, Status};
use tradewind_types::{ApiError, ErrorCode};

use crate::v1::ErrorDetail;

/// The gRPC status of an error: code, message, and an [`ErrorDetail`] for programs.
pub fn status(error: ApiError) -> Status {
    let code = match error.code {
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::Invalid => Code::InvalidArgument,
        ErrorCode::Conflict | ErrorCode::StaleAttempt | ErrorCode::NotLeader => Code::FailedPrecondition,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::Forbidden => Code::PermissionDenied,
        ErrorCode::TooLarge => Code::ResourceExhausted,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::Internal => Code::Internal,
    };
    let detail = ErrorDetail { code: error.code.as_str().to_owned(), leader: error.leader };
    Status::with_details(code, error.message, detail.encode_to_vec().into())
}

/// The error behind a gRPC status. Statuses that Tradewind did not make (no connection, a deadline, a proxy's answer)
/// become the nearest code.
pub fn api_error(status: &Status) -> ApiError {
    let detail = ErrorDetail::decode(status.details()).unwrap_or_default();
    let code = match detail.code.as_str() {
        "not_found" => ErrorCode::NotFound,
        "already_exists" => ErrorCode::AlreadyExists,
        "invalid" => ErrorCode::Invalid,
        "conflict" => ErrorCode::Conflict,
        "stale_attempt" => ErrorCode::StaleAttempt,
        "not_leader" => ErrorCode::NotLeader,
        "unauthenticated" => ErrorCode::Unauthenticated,
        "forbidden" => ErrorCode::Forbidden,
        "too_large" => ErrorCode::TooLarge,
        "unavailable" => ErrorCode::Unavailable,
        "internal" => ErrorCode::Internal,
        _ => foreign_code(status.code()),
    };
    ApiError { code, message: status.message().to_owned(), leader: detail.leader }
}

fn foreign_code(code: Code) -> ErrorCode {
    match code {
        Code::NotFound => ErrorCode::NotFound,
        Code::AlreadyExists => ErrorCode::AlreadyExists,
        Code::InvalidArgument => ErrorCode::Invalid,
        Code::FailedPrecondition => ErrorCode::Conflict,
        Code::Unauthenticated => ErrorCode::Unauthenticated,
        Code::PermissionDenied => ErrorCode::Forbidden,
        Code::ResourceExhausted | Code::OutOfRange => ErrorCode::TooLarge,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown => {
            ErrorCode::Unavailable
        }
        Code::Ok | Code::Internal | Code::Unimplemented | Code::DataLoss => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        use ErrorCode::*;
        for code in [
            NotFound,
            AlreadyExists,
            Invalid,
            Conflict,
            StaleAttempt,
            NotLeader,
            Unauthenticated,
            Forbidden,
            TooLarge,
            Unavailable,
            Internal,
        ] {
            let error = ApiError { code, message: "why".to_owned(), leader: Some("http://a:1".to_owned()) };
            assert_eq!(api_error(&status(error.clone())), error);
        }
    }
}
