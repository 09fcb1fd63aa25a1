//! Filters for times and durations.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::{consume, text_of};

/// One conversion may be 255 bytes wide.
const LONGEST_FORMAT: usize = 200;
/// The fuel for a time zone, whose rules are read from a file.
const ZONE: usize = 100;

/// `time(format, zone)`: formats an RFC 3339 text, or seconds or milliseconds since 1970, as strftime does. `zone` is
/// an IANA name, by default UTC. A value that is not a time is unchanged.
///
/// # Errors
/// If the format is invalid, the system does not know the zone, or no fuel is left.
pub fn time(
    state: &State,
    value: &Value,
    format: &str,
    zone: Option<&str>,
) -> Result<String, Error> {
    let Some(time) = timestamp(state, value)? else {
        return Ok(text_of(state, value)?.into_owned());
    };
    let error = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    if format.len() > LONGEST_FORMAT {
        return Err(error(format!(
            "the format of a time has {} bytes; it may have {LONGEST_FORMAT}",
            format.len()
        )));
    }
    let zone_error = |fault: jiff::Error| error(fault.to_string());
    let zone = match zone {
        Some(name) => {
            consume(state, ZONE)?;
            TimeZone::get(name).map_err(zone_error)?
        }
        None => TimeZone::UTC,
    };
    jiff::fmt::strtime::format(format, &time.to_zoned_datetime(zone)).map_err(zone_error)
}

/// `duration`: formats seconds in the two largest units: `1 h 2 min`. With an argument, it formats the time between the
/// two. It is empty for other values.
///
/// # Errors
/// If no fuel is left.
pub fn duration(state: &State, value: &Value, end: Option<&Value>) -> Result<String, Error> {
    let seconds = match end {
        Some(end) => match (timestamp(state, value)?, timestamp(state, end)?) {
            (Some(start), Some(end)) => end.duration_since(start).as_secs(),
            _ => return Ok(String::new()),
        },
        None => match seconds(state, value)? {
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

/// The number of a value or of its text.
fn seconds(state: &State, value: &Value) -> Result<Option<f64>, Error> {
    let number = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => text_of(state, value)?.trim().parse().ok(),
    };
    Ok(number.filter(|number| number.is_finite() && number.abs() < 1e15))
}

/// A larger number counts milliseconds, not seconds.
const MILLISECONDS: f64 = 1e11;

fn timestamp(state: &State, value: &Value) -> Result<Option<Timestamp>, Error> {
    if let Some(number) = seconds(state, value)? {
        let seconds = if number.abs() >= MILLISECONDS {
            number / 1000.0
        } else {
            number
        };
        return Ok(Timestamp::from_second(seconds as i64).ok());
    }
    Ok(text_of(state, value)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_formatted_as_requested() {
        let environment = minijinja::Environment::new();
        let state = environment.empty_state();
        let time = |value: Value, zone| time(&state, &value, "%Y-%m-%d %H:%M", zone).ok();
        let expected = Some("2026-11-22 06:00".to_owned());
        for value in [
            Value::from("2026-11-22T06:00:00Z"),
            Value::from("2026-11-22T07:00:00.5+01:00"),
            Value::from(1_795_327_200),
            Value::from(1_795_327_200_000_i64),
            Value::from("1795327200"),
        ] {
            assert_eq!(time(value.clone(), None), expected, "{value}");
        }
        assert_eq!(time(Value::from("soon"), None), Some("soon".to_owned()));
        assert_eq!(time(Value::from(1), Some("Nowhere/At all")), None);
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let environment = minijinja::Environment::new();
        let state = environment.empty_state();
        let text_of = |value: Value| duration(&state, &value, None).expect("a duration");
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3725, "1 h 2 min"),
            (3605, "1 h"),
            (90_000, "1 d 1 h"),
            (-60, "-1 min"),
        ] {
            assert_eq!(text_of(Value::from(seconds)), text, "{seconds}");
        }
        assert_eq!(text_of(Value::from("soon")), "");
        let (start, end) = ("2026-11-22T06:00:00Z", "2026-11-22T06:12:01Z");
        let text = duration(&state, &Value::from(start), Some(&Value::from(end)));
        assert_eq!(text.ok().as_deref(), Some("12 min 1 s"));
    }
}
