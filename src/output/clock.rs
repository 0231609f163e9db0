//! Owns how a point in time is written: RFC 3339, in UTC, to the second.

use std::time::{Duration, SystemTime};

use x509_cert::der::DateTime;

/// This moment.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now())
}

/// A number of seconds since 1970; none for what no calendar holds.
pub(crate) fn of_seconds(seconds: i64) -> Option<String> {
    let seconds = u64::try_from(seconds).ok()?;
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).ok()?;
    Some(time.to_string())
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::from_system_time(time).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_time_in_utc() {
        assert_eq!(
            of_seconds(1_764_089_971).as_deref(),
            Some("2025-11-25T16:59:31Z")
        );
        assert_eq!(of_seconds(-1), None);
        assert_eq!(of_seconds(i64::MAX), None);
        assert_eq!(now().len(), "2025-11-25T16:59:31Z".len());
    }
}
