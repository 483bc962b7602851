//! Values in the encoding of Airflow's Task SDK (`airflow.sdk.serde`), for what the engine itself tells tasks.

use serde_json::{Value, json};

use crate::Timestamp;

/// An instant as the SDK writes a `datetime` in UTC.
pub fn sdk_datetime(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "Python's own timestamps are floats of this precision")]
    let seconds = at.as_microsecond() as f64 / 1e6;
    let zone = json!(["UTC", "pendulum.tz.timezone.Timezone", 1, true]);
    let zone = json!({"__classname__": "builtins.tuple", "__version__": 1, "__data__": zone});
    json!({"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": seconds, "tz": zone}})
}
