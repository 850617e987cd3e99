//! When to send: a bucket of one token for the rate, pauses that the endpoint asks for, back-off, and an end to all waiting
//! when the call is stopped.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ends a call: whoever waits is woken.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    bell: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stop {
    pub fn stop(&self) {
        *lock(&self.stopped) = true;
        self.bell.notify_all();
    }

    pub fn stopped(&self) -> bool {
        *lock(&self.stopped)
    }

    /// Sleeps, or wakes early because of the stop; says whether it is stopped.
    pub fn sleep(&self, time: Duration) -> bool {
        let waited = self
            .bell
            .wait_timeout_while(lock(&self.stopped), time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The pace of all requests to one endpoint. The bucket holds one token, so that requests are never nearer to each other than
/// the rate says: endpoints count by short windows, too.
pub(crate) struct Pace {
    interval: Duration,
    /// When the next token is there; when a pause ends.
    next: Mutex<(Instant, Instant)>,
}

impl Pace {
    pub fn new(per_minute: Option<f64>) -> Self {
        let now = Instant::now();
        Self {
            interval: per_minute
                .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(60.0 / rate)),
            next: Mutex::new((now, now)),
        }
    }

    /// Waits for a token and takes it; false if the call was stopped instead.
    pub fn turn(&self, stop: &Stop) -> bool {
        loop {
            let wait = {
                let mut next = lock(&self.next);
                let now = Instant::now();
                let at = next.0.max(next.1);
                if at <= now {
                    next.0 = now + self.interval;
                    return !stop.stopped();
                }
                at - now
            };
            if stop.sleep(wait) {
                return false;
            }
        }
    }

    /// Nobody sends for a while.
    pub fn pause(&self, time: Duration) {
        let mut next = lock(&self.next);
        next.1 = next.1.max(Instant::now() + time);
    }
}

/// How long to wait before attempt `attempt` (from 1): the first wait, doubled each time, at most `longest`, and of that
/// between a half and all, by `jitter` in `0.0..1.0`.
pub(crate) fn back_off(first: Duration, longest: Duration, attempt: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(0.5 + 0.5 * jitter)
}

/// What a Retry-After header asks: seconds or a date, which counts from the server's own Date if it gave one. `None` if it is
/// neither.
pub(crate) fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        // Finite, not negative, and not longer than a clock can hold.
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = http_date(header)?;
    let now = date.and_then(http_date).or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Some(now.as_secs())
    })?;
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since 1970 of a date as HTTP writes it (RFC 9110, IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let parts: Vec<&str> = text.split_whitespace().collect();
    let &[_, day, month, year, time, "GMT"] = parts.as_slice() else {
        return None;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let (day, year) = (number(day)?, number(year)?);
    let clock: Vec<u64> = time.split(':').map(number).collect::<Option<_>>()?;
    let &[hour, minute, second] = clock.as_slice() else {
        return None;
    };
    let possible = (1..=31).contains(&day)
        && (1970..10_000).contains(&year)
        && hour < 24
        && minute < 60
        && second <= 60;
    // Days since 1970, in years that begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let of_era = year * 365 + year / 4 - year / 100 + year / 400;
    let days = (of_era + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)?;
    possible.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        for (header, seconds) in [
            ("120", Some(120.0)),
            (" 0.5 ", Some(0.5)),
            ("Wed, 21 Oct 2015 07:29:30 GMT", Some(90.0)),
            ("Thu, 22 Oct 2015 07:28:00 GMT", Some(86400.0)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0.0)),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("Wed, 99 Oct 2015 07:28:00 GMT", None),
            ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
            ("", None),
        ] {
            let asked = retry_after(header, date).map(|time| time.as_secs_f64());
            assert_eq!(asked, seconds, "{header:?}");
        }
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT", None),
            Some(Duration::ZERO),
            "long ago"
        );
    }

    // Expected: Python's `calendar.timegm`.
    #[test]
    fn dates_of_http_are_seconds_since_1970() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Sat, 31 Dec 2050 23:59:59 GMT", 2_556_143_999),
        ] {
            assert_eq!(http_date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn back_off_doubles_up_to_its_bound() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<u128> = (1..=6)
            .map(|attempt| back_off(first, longest, attempt, 1.0).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(back_off(first, longest, 1, 0.0).as_millis(), 50);
        assert_eq!(back_off(first, longest, u32::MAX, 1.0), longest);
    }
}
