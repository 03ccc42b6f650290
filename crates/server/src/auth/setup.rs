//! The one-time set-up of a new service: there is no default password. The first start makes a secret link; whoever opens
//! it becomes the administrator. It ends with its use, with the first administrator made otherwise, and after a day.

use super::{password, token};
use crate::state::App;
use engine::Result;
use engine::catalog::Catalog;
use engine::catalog::users::{Role, User, normal_name};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

const SETTING: &str = "setup.link";
/// A link is good for so long.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The secret of a new link; `None` when there is an administrator. An older link ends.
pub fn begin(catalog: &Catalog, now: Timestamp) -> Result<Option<String>> {
    if catalog.has_admin()? {
        catalog.setting_set(SETTING, None, now, "service")?;
        return Ok(None);
    }
    let secret = token::secret("")?;
    let value = format!("{} {}", (now + GOOD_FOR).as_second(), token::hash(&secret));
    catalog.setting_set(SETTING, Some(&value), now, "service")?;
    Ok(Some(secret))
}

/// Makes the first administrator.
pub fn finish(app: &App, secret: &str, name: &str, new_password: &str) -> engine::Result<User> {
    let refuse = || {
        engine::Error::new(
            engine::ErrorKind::Forbidden,
            "this set-up link is not, or no longer, good",
            "Start the service anew for another link, or run `strongroom user add NAME --role ADMIN`.",
        )
    };
    let now = app.clock.now();
    let value = app.catalog.setting(SETTING)?.filter(|_| app.catalog.has_admin().is_ok_and(|has| !has));
    let value = value.ok_or_else(refuse)?;
    let (until, hash) = value.split_once(' ').ok_or_else(refuse)?;
    let good: bool = hash.as_bytes().ct_eq(token::hash(secret).as_bytes()).into();
    if !good || until.parse::<i64>().map_or(true, |until| until <= now.as_second()) {
        return Err(refuse());
    }
    let user = User {
        name: normal_name(name)?,
        role: Role::Admin,
        password_hash: Some(password::hash(new_password)?),
        email: None,
        created_at: now,
        signed_in_at: None,
    };
    if !app.catalog.setting_take(SETTING, &value)? {
        return Err(refuse());
    }
    app.catalog.user_add(&user)?;
    Ok(user)
}

/// Where the first administrator is made, below the service's address.
pub fn link(base: &str, secret: &str) -> String {
    format!("{base}/setup#token={secret}")
}
