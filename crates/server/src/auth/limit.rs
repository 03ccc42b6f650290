//! Slows down guessing: after a few failures an address, and a name, must wait, twice as long each time.
//!
//! In memory: a restart forgets it, which helps nobody who cannot restart us. A name that is attacked from many addresses
//! also waits: the price of not being guessed; tokens and sessions that exist are not touched by it.

use crate::answer::Refusal;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failures that cost nothing.
const FREE: u32 = 5;
/// The longest wait.
const WAIT_SECONDS_MAX: i64 = 15 * 60;
/// So long after the last failure all is forgotten.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Keys that are remembered at most.
const KEYS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Counts failures by address and by name.
#[derive(Default)]
pub struct Limiter {
    failures: Mutex<HashMap<String, Failures>>,
}

fn keys(address: IpAddr, name: &str) -> [String; 2] {
    // One holder of an IPv6 network has 2^64 addresses.
    let address = match address {
        IpAddr::V4(address) => format!("a:{address}"),
        IpAddr::V6(address) => format!("a:{:?}", &address.segments()[..4]),
    };
    [address, format!("n:{}", name.to_ascii_lowercase().chars().take(64).collect::<String>())]
}

impl Limiter {
    /// Refuses while a wait is on.
    pub fn check(&self, address: IpAddr, name: &str, now: Timestamp) -> Result<(), Refusal> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys(address, name)
            .iter()
            .filter_map(|key| failures.get(key))
            .map(|failures| wait_seconds(*failures, now))
            .max()
            .unwrap_or(0);
        if wait <= 0 {
            return Ok(());
        }
        let message = format!("too many failed attempts: wait {wait} seconds");
        Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message, "Then try again.")
            .with_header(RETRY_AFTER, &wait.to_string()))
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, name: &str, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= KEYS_MAX {
            failures.retain(|_, failures| now.duration_since(failures.last) < FORGET_AFTER);
        }
        for key in keys(address, name) {
            if failures.len() >= KEYS_MAX && !failures.contains_key(&key) {
                continue;
            }
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if now.duration_since(entry.last) >= FORGET_AFTER {
                entry.count = 0;
            }
            *entry = Failures { count: entry.count.saturating_add(1), last: now };
        }
    }

    /// Forgets the failures of somebody who has proven who they are.
    pub fn succeeded(&self, address: IpAddr, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(address, name) {
            failures.remove(&key);
        }
    }
}

fn wait_seconds(failures: Failures, now: Timestamp) -> i64 {
    let Some(over) = failures.count.checked_sub(FREE) else { return 0 };
    let wait = 1_i64.checked_shl(over.min(20)).unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX);
    wait - now.duration_since(failures.last).as_secs()
}

/// Refusals from one address that are written down each minute.
const WRITTEN_PER_MINUTE: u32 = 30;

/// Keeps a flood of refused requests from filling the audit log, and the disk behind it.
#[derive(Default)]
pub struct Denials {
    seen: Mutex<HashMap<IpAddr, (i64, u32, u64)>>,
}

impl Denials {
    /// Whether to write this one down, and how many were not written since the last that was.
    pub fn count(&self, address: IpAddr, now: Timestamp) -> Option<u64> {
        let minute = now.as_second().div_euclid(60);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= KEYS_MAX {
            seen.retain(|_, (last, _, _)| *last == minute);
        }
        let (last, written, unwritten) = seen.entry(address).or_insert((minute, 0, 0));
        if *last != minute {
            (*last, *written) = (minute, 0);
        }
        if *written >= WRITTEN_PER_MINUTE {
            *unwritten += 1;
            return None;
        }
        *written += 1;
        Some(std::mem::take(unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let limiter = Limiter::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..FREE - 1 {
            limiter.failed(address, "ann", at(0));
        }
        assert!(limiter.check(address, "ann", at(0)).is_ok());
        limiter.failed(address, "ann", at(0));
        assert!(limiter.check(address, "ann", at(0)).is_err());
        assert!(limiter.check(address, "bob", at(0)).is_err(), "by address");
        let elsewhere: IpAddr = "192.0.2.2".parse().unwrap();
        assert!(limiter.check(elsewhere, "ANN", at(0)).is_err(), "by name");
        assert!(limiter.check(elsewhere, "bob", at(0)).is_ok());
        assert!(limiter.check(address, "ann", at(1)).is_ok());
        limiter.failed(address, "ann", at(1));
        assert!(limiter.check(address, "ann", at(2)).is_err());
        assert!(limiter.check(address, "ann", at(3)).is_ok());
        limiter.succeeded(address, "ann");
        limiter.failed(address, "ann", at(3));
        assert!(limiter.check(address, "ann", at(3)).is_ok());
    }
}
