//! Frames and values on the request socket of a task: a 4-byte big-endian length, then msgpack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest request that is read where the host does not say otherwise.
pub const LARGEST_REQUEST: usize = 64 << 20;

/// A longer frame is not one: the task speaks another language.
const MAX_FRAME_BYTES: usize = 3 << 30;

/// The kind of a request that was not read since it is too large: its body says how large.
pub(crate) const OVERSIZED: &str = "\u{0}oversized";

/// The extension type of a msgpack timestamp.
const TIMESTAMP: i8 = -1;

/// One request of a task.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) body: Map<String, Value>,
    /// In the trigger host: which trigger asks.
    pub(crate) trigger: Option<u64>,
}

/// Why a frame cannot be understood. The stream is lost after it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("read from the task: {0}")]
    Io(#[from] std::io::Error),
    #[error("the task sent a frame of {0} bytes; the limit is {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    #[error("the task sent a frame that breaks off after {got} of {expected} bytes")]
    Truncated { got: usize, expected: usize },
    #[error("the task sent a malformed frame: {0}")]
    Malformed(String),
}

/// Reads the next request; `None` at a clean end.
pub(crate) async fn read_request(
    from: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<Option<Request>, WireError> {
    let mut header = [0_u8; 4];
    let mut filled = 0;
    while filled < header.len() {
        match from.read(&mut header[filled..]).await {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => {
                return Err(WireError::Truncated { got: filled, expected: header.len() });
            }
            Ok(read) => filled += read,
            // The task ended with an answer of ours unread.
            Err(error) if filled == 0 && error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let expected = u32::from_be_bytes(header) as usize;
    if expected > MAX_FRAME_BYTES {
        return Err(WireError::TooLarge(expected));
    }
    if expected > limit {
        return skip_request(from, expected, limit).await.map(Some);
    }
    // Grows with what arrives: a false length must not cost memory.
    let mut payload = Vec::with_capacity(expected.min(1 << 16));
    let got = from.take(expected as u64).read_to_end(&mut payload).await?;
    if got < expected {
        return Err(WireError::Truncated { got, expected });
    }
    decode_request(&payload).map(Some)
}

/// Reads over a request that is too large, but for its id: it is to be answered.
async fn skip_request(
    from: &mut (impl AsyncRead + Unpin),
    expected: usize,
    limit: usize,
) -> Result<Request, WireError> {
    let mut head = [0_u8; 16];
    let started = from.read_exact(&mut head).await;
    let rest = (expected - head.len()) as u64;
    let skipped = tokio::io::copy(&mut from.take(rest), &mut tokio::io::sink()).await?;
    if started.is_err() || skipped < rest {
        return Err(WireError::Truncated { got: head.len(), expected });
    }
    // An array of a few items, the first of which is the id.
    let id = match head.split_first() {
        Some((0x92..=0x9f, id)) => u64::deserialize(&mut rmp_serde::Deserializer::new(id)).ok(),
        _ => None,
    };
    let id = id.ok_or_else(|| WireError::Malformed("it has no id".to_owned()))?;
    let body = Map::from_iter([("bytes".to_owned(), expected.into()), ("limit".to_owned(), limit.into())]);
    Ok(Request { id, kind: OVERSIZED.to_owned(), body, trigger: None })
}

fn decode_request(payload: &[u8]) -> Result<Request, WireError> {
    let malformed = |reason: &str| WireError::Malformed(reason.to_owned());
    let Wire(frame) = rmp_serde::from_slice(payload).map_err(|error| WireError::Malformed(error.to_string()))?;
    let Value::Array(mut parts) = frame else {
        return Err(malformed("it is not an array"));
    };
    if parts.len() < 2 {
        return Err(malformed("it has no body"));
    }
    let id = parts[0].as_u64().ok_or_else(|| malformed("its id is not a number"))?;
    let trigger = parts.get(3).and_then(Value::as_u64);
    let Value::Object(mut body) = parts.swap_remove(1) else {
        return Err(malformed("its body is not a map"));
    };
    let Some(Value::String(kind)) = body.remove("type") else {
        return Err(malformed("its body has no type"));
    };
    Ok(Request { id, kind, body, trigger })
}

/// Encodes a response frame.
pub(crate) fn response(id: u64, body: Option<&Value>, error: Option<&Value>) -> Result<Vec<u8>, WireError> {
    let mut frame = vec![0; 4];
    rmp_serde::encode::write(&mut frame, &(id, body, error))
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    let length = frame.len() - 4;
    let header = u32::try_from(length).map_err(|_| WireError::TooLarge(length))?.to_be_bytes();
    frame[..4].copy_from_slice(&header);
    Ok(frame)
}

/// Encodes a length-prefixed JSON object, the form of a prelude.
pub(crate) fn json_frame(body: &Value) -> std::io::Result<Vec<u8>> {
    let data = serde_json::to_vec(body)?;
    let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&data);
    Ok(frame)
}

/// Writes all of a frame. A task that is gone is no error here: its end is noticed by reading.
pub(crate) async fn write_all(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    match to.write_all(frame).await {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset) => {
            Ok(())
        }
        done => done,
    }
}

/// A msgpack value as JSON: instants become RFC 3339 text; what JSON cannot hold is an error.
struct Wire(Value);

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireVisitor).map(Wire)
    }
}

struct WireVisitor;

impl<'de> Visitor<'de> for WireVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has no NaN and no infinities. The request handler finds the marker and refuses with a reason.
        Ok(Number::from_f64(value).map_or_else(|| Value::String(not_finite(value)), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1 << 12));
        while let Some(Wire(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Wire(key), Wire(value))) = entries.next_entry()? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return Err(A::Error::custom("a map key is neither text nor a number")),
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Extension(kind, data) = Extension::deserialize(deserializer)?;
        if kind != TIMESTAMP {
            return Err(D::Error::custom(format!("unknown extension type {kind}")));
        }
        timestamp(&data).map(|at| Value::String(at.to_string())).ok_or_else(|| D::Error::custom("a broken timestamp"))
    }
}

/// How a float that JSON cannot hold is marked: no text of a user starts with this.
pub(crate) const NOT_FINITE: &str = "\u{0}not-finite:";

fn not_finite(value: f64) -> String {
    format!("{NOT_FINITE}{value}")
}

struct Extension(i8, Vec<u8>);

impl<'de> Deserialize<'de> for Extension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Extension;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a msgpack extension")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Extension, A::Error> {
                let kind = items.next_element()?.ok_or_else(|| A::Error::custom("no extension type"))?;
                let Bytes(data) = items.next_element()?.ok_or_else(|| A::Error::custom("no extension data"))?;
                Ok(Extension(kind, data))
            }
        }

        deserializer.deserialize_tuple(2, Parts)
    }
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Data;

        impl Visitor<'_> for Data {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, data: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(data.to_owned()))
            }
        }

        deserializer.deserialize_bytes(Data)
    }
}

/// The three forms of a msgpack timestamp: 32, 64 and 96 bits.
fn timestamp(data: &[u8]) -> Option<jiff::Timestamp> {
    let (seconds, nanos) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(data.try_into().ok()?)), 0),
        8 => {
            let packed = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(packed & 0x3_FFFF_FFFF).ok()?, i32::try_from(packed >> 34).ok()?)
        }
        12 => (
            i64::from_be_bytes(data[4..].try_into().ok()?),
            i32::try_from(u32::from_be_bytes(data[..4].try_into().ok()?)).ok()?,
        ),
        _ => return None,
    };
    jiff::Timestamp::new(seconds, nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Option<Request>, WireError> {
        let mut bytes = bytes;
        read_request(&mut bytes, LARGEST_REQUEST).await
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        frame
    }

    #[tokio::test]
    async fn a_request_is_read() {
        let payload = rmp_serde::to_vec(&(7, serde_json::json!({"type": "GetVariable", "key": "a"}))).unwrap();
        let request = read(&frame(&payload)).await.unwrap().unwrap();
        assert_eq!((request.id, request.kind.as_str()), (7, "GetVariable"));
        assert_eq!(request.body["key"], "a");
    }

    #[tokio::test]
    async fn timestamps_of_all_sizes_become_text() {
        // [1, {"type": "t", "at": ext}]
        let head = [0x92, 0x01, 0x82, 0xa4, b't', b'y', b'p', b'e', 0xa1, b't', 0xa2, b'a', b't'];
        let whole = [&head[..], &[0xd6, 0xff, 0, 0, 0, 1]].concat();
        assert_eq!(read(&frame(&whole)).await.unwrap().unwrap().body["at"], "1970-01-01T00:00:01Z");
        let packed = ((500_000_000_u64 << 34) | 2).to_be_bytes();
        let fraction = [&head[..], &[0xd7, 0xff], &packed].concat();
        assert_eq!(read(&frame(&fraction)).await.unwrap().unwrap().body["at"], "1970-01-01T00:00:02.5Z");
        let early = [&head[..], &[0xc7, 12, 0xff, 0, 0, 0, 0], &(-1_i64).to_be_bytes()].concat();
        assert_eq!(read(&frame(&early)).await.unwrap().unwrap().body["at"], "1969-12-31T23:59:59Z");
    }

    #[tokio::test]
    async fn an_end_between_frames_is_clean_and_one_inside_is_not() {
        assert!(read(&[]).await.unwrap().is_none());
        assert!(matches!(read(&[0, 0]).await, Err(WireError::Truncated { .. })));
        assert!(matches!(read(&[0, 0, 0, 9, 1]).await, Err(WireError::Truncated { got: 1, expected: 9 })));
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused_by_its_header() {
        assert!(matches!(read(&[0xff, 0xff, 0xff, 0xff]).await, Err(WireError::TooLarge(_))));
    }

    #[tokio::test]
    async fn what_is_no_request_is_malformed() {
        for payload in [&[0xc1][..], &[0x01], &[0x91, 0x01], &[0x92, 0x01, 0x01], &[0x92, 0xa1, b'x', 0x80]] {
            assert!(matches!(read(&frame(payload)).await, Err(WireError::Malformed(_))), "{payload:?}");
        }
    }
}
