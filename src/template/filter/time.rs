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
    let Some(time) = timestamp(value) else {
        return Ok(text_of(value).into_owned());
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
pub fn duration(value: &Value, end: Option<&Value>) -> String {
    let seconds = match end {
        Some(end) => match (timestamp(value), timestamp(end)) {
            (Some(start), Some(end)) => end.duration_since(start).as_secs(),
            _ => return String::new(),
        },
        None => match seconds(value) {
            Some(seconds) => seconds as i64,
            None => return String::new(),
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
    match parts.is_empty() {
        true => "0 s".to_owned(),
        false => sign.to_owned() + &parts.join(" "),
    }
}

/// The number that a value is, also where it is written as text.
fn seconds(value: &Value) -> Option<f64> {
    let number = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => text_of(value).trim().parse().ok(),
    };
    number.filter(|number| number.is_finite() && number.abs() < 1e15)
}

/// Later than this, in seconds, is a number of milliseconds.
const MILLISECONDS: f64 = 1e11;

fn timestamp(value: &Value) -> Option<Timestamp> {
    if let Some(number) = seconds(value) {
        let seconds = if number.abs() >= MILLISECONDS {
            number / 1000.0
        } else {
            number
        };
        return Timestamp::from_second(seconds as i64).ok();
    }
    text_of(value).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_it_is_asked_for() {
        let time = |value: Value, zone| time(&value, "%Y-%m-%d %H:%M", zone).ok();
        let six = Some("2026-11-22 06:00".to_owned());
        for value in [
            Value::from("2026-11-22T06:00:00Z"),
            Value::from("2026-11-22T07:00:00.5+01:00"),
            Value::from(1_795_327_200),
            Value::from(1_795_327_200_000_i64),
            Value::from("1795327200"),
        ] {
            assert_eq!(time(value.clone(), None), six, "{value}");
        }
        assert_eq!(time(Value::from("soon"), None), Some("soon".to_owned()));
        assert_eq!(time(Value::from(1), Some("Nowhere/At all")), None);
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let told = |value: Value| duration(&value, None);
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3725, "1 h 2 min"),
            (3605, "1 h"),
            (90_000, "1 d 1 h"),
            (-60, "-1 min"),
        ] {
            assert_eq!(told(Value::from(seconds)), text, "{seconds}");
        }
        assert_eq!(told(Value::from("soon")), "");
        let (start, end) = ("2026-11-22T06:00:00Z", "2026-11-22T06:12:01Z");
        let between = duration(&Value::from(start), Some(&Value::from(end)));
        assert_eq!(between, "12 min 1 s");
    }
}
