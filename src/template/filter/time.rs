//! Points in time and how long something lasts.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::text_of;

/// `time(format, zone)`: RFC 3339 text, or the seconds or milliseconds since 1970, as strftime formats it. `zone` is
/// a name of the IANA's, UTC where it is absent. What is no time stays as it is.
///
/// # Errors
/// Where the format is none, or the system does not know the zone.
pub fn time(value: &Value, format: &str, zone: Option<&str>) -> Result<String, Error> {
    let Some(time) = timestamp(value)? else {
        return Ok(text_of(value)?.into_owned());
    };
    let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let zone = match zone {
        Some(name) => TimeZone::get(name).map_err(wrong)?,
        None => TimeZone::UTC,
    };
    jiff::fmt::strtime::format(format, &time.to_zoned_datetime(zone)).map_err(wrong)
}

/// `duration`: so many seconds, in the two largest units: `1 h 2 min`. With an argument, from one point in time to
/// another. What is no time is an empty text.
///
/// # Errors
/// Where the value is undefined.
pub fn duration(value: &Value, end: Option<&Value>) -> Result<String, Error> {
    let seconds = match end {
        Some(end) => match (timestamp(value)?, timestamp(end)?) {
            (Some(start), Some(end)) => end.duration_since(start).as_secs(),
            _ => return Ok(String::new()),
        },
        None => match seconds(value)? {
            Some(seconds) => seconds as i64,
            None => return Ok(String::new()),
        },
    };
    let mut rest = seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        let count = rest / length;
        rest %= length;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    let sign = if seconds < 0 { "-" } else { "" };
    Ok(match parts.is_empty() {
        true => "0 s".to_owned(),
        false => sign.to_owned() + &parts.join(" "),
    })
}

/// The number that a value is, also where it is written as text.
fn seconds(value: &Value) -> Result<Option<f64>, Error> {
    let number = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => text_of(value)?.trim().parse().ok(),
    };
    Ok(number.filter(|number| number.is_finite() && number.abs() < 1e15))
}

/// Later than this, in seconds, is a number of milliseconds.
const MILLISECONDS: f64 = 1e11;

fn timestamp(value: &Value) -> Result<Option<Timestamp>, Error> {
    if let Some(number) = seconds(value)? {
        let seconds = if number.abs() >= MILLISECONDS {
            number / 1000.0
        } else {
            number
        };
        return Ok(Timestamp::from_second(seconds as i64).ok());
    }
    Ok(text_of(value)?.trim().parse().ok())
}
