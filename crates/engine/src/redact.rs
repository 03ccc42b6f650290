//! Addresses as they may be shown.
//!
//! Invariant: what a person put into an address as a password does not come out, also where the address is malformed because
//! nobody encoded a `/`, `?` or `@` in it. The uncomfortable consequence: of a strange address more is hidden than need be.

/// What takes the place of a secret that is shown to be there.
const MARK: &str = "…";

/// An address without its secrets, for people: `postgres://app:…@host/db?sslmode=require`.
pub fn address(url: &str) -> String {
    without_secrets(url, true)
}

/// The same for journals, where it must still be an address: `postgres://app@host/db?sslmode=require`.
pub fn address_without_password(url: &str) -> String {
    without_secrets(url, false)
}

fn without_secrets(url: &str, marked: bool) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The last @ of all: whatever stands before it may be part of a password.
    let shown = match rest.rsplit_once('@') {
        Some((credentials, place)) => {
            let (user, mark) = match credentials.split_once(':') {
                Some((user, _)) if marked => (user, format!(":{MARK}")),
                Some((user, _)) => (user, String::new()),
                None => (credentials, String::new()),
            };
            format!("{user}{mark}@{}", without_secret_parameters(place, marked))
        }
        None => without_secret_parameters(&without_strange_port(rest), marked),
    };
    format!("{scheme}://{shown}")
}

/// Where a web address leads, without its path, which may be its secret.
pub fn origin(url: &str) -> String {
    let shown = address(url);
    let path = shown.find("://").map(|at| shown[at + 3..].find('/').map_or(shown.len(), |slash| at + 3 + slash));
    format!("{}/…", &shown[..path.unwrap_or(0)])
}

/// Whether what comes after a URL's scheme seems to hold a password with a `/` or `?` in it: what is cut off there would be
/// taken for a port or a database, and told in every message about it.
pub(crate) fn has_cut_password(rest: &str) -> bool {
    let (authority, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let before_values = after.split('=').next().unwrap_or(after);
    authority.contains(':') && !authority.contains('@') && before_values.contains('@')
}

fn without_secret_parameters(place: &str, marked: bool) -> String {
    let Some((path, query)) = place.split_once('?') else { return place.to_owned() };
    let shown = query.split('&').filter_map(|pair| {
        let (name, _) = pair.split_once('=').unwrap_or(("", pair));
        let is_secret = ["pass", "pwd", "secret"].iter().any(|word| pair.to_ascii_lowercase().contains(word));
        if is_secret { marked.then(|| format!("{name}={MARK}")) } else { Some(pair.to_owned()) }
    });
    let shown = shown.collect::<Vec<_>>().join("&");
    if shown.is_empty() { path.to_owned() } else { format!("{path}?{shown}") }
}

/// What stands in a port's place and is none: in `crm:secret`, the host was forgotten.
fn without_strange_port(place: &str) -> String {
    let (authority, rest) = place.split_at(place.find(['/', '?']).unwrap_or(place.len()));
    match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') && !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{host}:{MARK}{rest}")
        }
        _ => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_survive_in_an_address() {
        for (url, shown) in [
            ("postgres://crm:s3cr3t@db/crm", "postgres://crm:…@db/crm"),
            ("postgres://crm:s3@cr3t@db:5432/crm?sslmode=require", "postgres://crm:…@db:5432/crm?sslmode=require"),
            ("postgres://crm:s3/cr3t@db/crm", "postgres://crm:…@db/crm"),
            ("postgres://crm:s3?cr3t@db/crm", "postgres://crm:…@db/crm"),
            ("postgres://crm:s3@c?r3:t@db/crm", "postgres://crm:…@db/crm"),
            ("postgres://crm:s3cr3t/crm", "postgres://crm:…/crm"),
            ("mysql://crm@db/crm?password=s3cr3t&x=1", "mysql://crm@db/crm?password=…&x=1"),
            ("mysql://db/crm?SSLPassword=s3cr3t", "mysql://db/crm?SSLPassword=…"),
            ("mysql://db/crm?Password:s3cr3t", "mysql://db/crm?=…"),
            ("postgres://[::1]:5432/crm", "postgres://[::1]:5432/crm"),
            ("postgres://[::1]/crm", "postgres://[::1]/crm"),
            ("postgres://db:5432/crm", "postgres://db:5432/crm"),
            ("/srv/app", "/srv/app"),
        ] {
            assert_eq!(address(url), shown, "{url}");
        }
    }

    #[test]
    fn a_journal_keeps_an_address_that_can_be_used() {
        for (url, kept) in [
            ("postgres://crm:s3@cr3t@db:5432/crm?sslmode=require", "postgres://crm@db:5432/crm?sslmode=require"),
            ("mysql://crm@db/crm?password=s3cr3t&x=1", "mysql://crm@db/crm?x=1"),
            ("mysql://db/crm?password=s3cr3t", "mysql://db/crm"),
        ] {
            assert_eq!(address_without_password(url), kept, "{url}");
        }
    }

    #[test]
    fn passwords_that_nobody_encoded_are_noticed() {
        for cut in ["crm:s3/cr3t@db/crm", "crm:12/cr3t@db/crm", "crm:s3?cr3t@db/crm?sslmode=require"] {
            assert!(has_cut_password(cut), "{cut}");
        }
        for whole in ["crm:s3@db:5432/crm", "db:5432/crm?user=ann@example", "db/crm@home", "db:5432", "[::1]:5432/crm"]
        {
            assert!(!has_cut_password(whole), "{whole}");
        }
    }

    #[test]
    fn of_a_web_hook_only_the_host_is_shown() {
        for (url, shown) in [
            ("https://hooks.example.com/T0/s3cr3t", "https://hooks.example.com/…"),
            ("https://me:s3/cr3t@example.com/x", "https://me:…@example.com/…"),
            ("https://example.com", "https://example.com/…"),
            ("s3cr3t", "/…"),
        ] {
            assert_eq!(origin(url), shown, "{url}");
        }
    }
}
