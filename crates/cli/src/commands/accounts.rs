//! `strongroom user`, `strongroom token`: accounts of the service, from the shell, also while it runs.

use crate::args::{Token as TokenCommand, User as UserCommand};
use crate::output::table::table;
use crate::output::{Report, units};
use crate::session::Session;
use engine::catalog::tokens::{Scope, Token};
use engine::catalog::users::{Role, User};
use engine::room::Room;
use jiff::{Span, Timestamp};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use server::auth::{password, token};
use std::io::{BufRead, IsTerminal, Write};
use vault::error::IoContext;
use vault::{Error, ErrorKind, Result};

/// `strongroom user`
pub fn user(command: &UserCommand, session: &Session) -> Result<Report> {
    let room = session.room()?;
    match command {
        UserCommand::Add { name, role } => add(name, Role::parse(role)?, session, &room),
        UserCommand::List => list(&room),
        UserCommand::Password { name } => set_password(name, session, &room),
        UserCommand::Remove { name } => {
            room.catalog.user_remove(name)?;
            room.audit(&session.actor, "user-remove", Some(name), Ok(()), json!({}))?;
            Ok(Report::done(
                json!({ "name": name, "removed": true }),
                format!("{name} is removed; their sessions are over."),
            ))
        }
    }
}

fn add(name: &str, role: Role, session: &Session, room: &Room) -> Result<Report> {
    let chosen = new_password()?;
    let user = User {
        name: name.to_owned(),
        role,
        password_hash: Some(password::hash(chosen.text())?),
        email: None,
        created_at: room.now(),
        signed_in_at: None,
    };
    room.catalog.user_add(&user)?;
    room.audit(&session.actor, "user-add", Some(name), Ok(()), json!({ "role": role.name() }))?;
    let (shown, document) = chosen.told(json!({ "name": name, "role": role.name() }));
    Ok(Report::done(document, format!("{name} can sign in as {}.{shown}", role.name())))
}

fn set_password(name: &str, session: &Session, room: &Room) -> Result<Report> {
    if room.catalog.user(name)?.is_none() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no user {name:?}"),
            "`strongroom user list` shows them.",
        ));
    }
    let chosen = new_password()?;
    room.catalog.user_change(name, None, Some(&password::hash(chosen.text())?), None)?;
    room.audit(&session.actor, "user-password", Some(name), Ok(()), json!({}))?;
    let (shown, document) = chosen.told(json!({ "name": name }));
    Ok(Report::done(document, format!("{name} has a new password; their sessions are over.{shown}")))
}

fn list(room: &Room) -> Result<Report> {
    let users = room.catalog.users()?;
    let document = users.iter().map(|user| {
        json!({ "name": user.name, "role": user.role.name(), "createdAt": user.created_at, "signedInAt": user.signed_in_at })
    });
    let row = |user: &User| {
        [
            user.name.clone(),
            user.role.name().to_owned(),
            user.signed_in_at.map_or_else(|| "never".to_owned(), units::time),
        ]
    };
    let text = table(["NAME", "ROLE", "LAST SIGNED IN"], users.iter().map(row));
    Ok(Report::done(document.collect(), text))
}

/// A password that somebody typed, or one that was made because nobody did.
enum NewPassword {
    Typed(String),
    Made(String),
}

impl NewPassword {
    fn text(&self) -> &str {
        match self {
            Self::Typed(text) | Self::Made(text) => text,
        }
    }

    /// One that was made is shown, this once.
    fn told(&self, mut document: Value) -> (String, Value) {
        match self {
            Self::Typed(_) => (String::new(), document),
            Self::Made(text) => {
                document["password"] = json!(text);
                (format!("\nTheir password, shown only now: {text}"), document)
            }
        }
    }
}

/// Asked for on a terminal, else the first line of standard input; where there is none, a random one is made.
fn new_password() -> Result<NewPassword> {
    let typed = if std::io::stdin().is_terminal() { ask()? } else { first_line()? };
    if !typed.is_empty() {
        return Ok(NewPassword::Typed(typed));
    }
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::internal(format!("the system's random source failed: {cause}")))?;
    Ok(NewPassword::Made(hex::encode(bytes)))
}

fn first_line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).doing(|| "reading the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks twice, without showing what is typed.
fn ask() -> Result<String> {
    let stdin = std::io::stdin();
    let what = || "asking for a password";
    let shown = tcgetattr(&stdin).map_err(std::io::Error::from).doing(what)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(std::io::Error::from).doing(what)?;
    let prompt = |text: &str| -> Result<String> {
        write!(std::io::stderr(), "{text}").doing(what)?;
        let line = first_line();
        writeln!(std::io::stderr()).doing(what)?;
        line
    };
    let typed = prompt("Password (empty to have one made): ").and_then(|first| {
        if first.is_empty() || prompt("The same again: ")? == first {
            return Ok(first);
        }
        Err(Error::new(ErrorKind::Usage, "the two passwords are not the same", "Try again."))
    });
    tcsetattr(&stdin, OptionalActions::Flush, &shown).map_err(std::io::Error::from).doing(what)?;
    typed
}

/// `strongroom token`
pub fn token(command: &TokenCommand, session: &Session) -> Result<Report> {
    let room = session.room()?;
    match command {
        TokenCommand::Create { name, scopes, expires_days } => {
            let scopes = scopes.iter().map(|scope| Scope::parse(scope)).collect::<Result<_>>()?;
            let expires_at = expires_days.map(|days| in_days(room.now(), days)).transpose()?;
            let (secret, token) =
                token::create(&room.catalog, name, scopes, expires_at, &session.actor.name, room.now())?;
            let mut document = described(&token);
            room.audit(&session.actor, "token-create", Some(name), Ok(()), document.clone())?;
            document["token"] = json!(secret);
            Ok(Report::done(
                document,
                format!("{secret}\n\nThis is the only time it is shown. Send it as `Authorization: Bearer …`."),
            ))
        }
        TokenCommand::List => {
            let tokens = room.catalog.tokens()?;
            let row = |token: &Token| {
                let scopes = token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
                let expires = token.expires_at.map_or_else(|| "never".to_owned(), units::time);
                [
                    token.id.to_string(),
                    token.name.clone(),
                    scopes,
                    expires,
                    token.used_at.map_or_else(|| "never".to_owned(), units::time),
                ]
            };
            let text = table(["ID", "NAME", "SCOPES", "EXPIRES", "LAST USED"], tokens.iter().map(row));
            Ok(Report::done(tokens.iter().map(described).collect(), text))
        }
        TokenCommand::Revoke { id } => {
            room.catalog.token_revoke(id)?;
            room.audit(&session.actor, "token-revoke", Some(id), Ok(()), json!({}))?;
            Ok(Report::done(json!({ "id": id, "revoked": true }), format!("The token {id} no longer works.")))
        }
    }
}

fn in_days(now: Timestamp, days: u32) -> Result<Timestamp> {
    now.checked_add(Span::new().hours(i64::from(days) * 24)).map_err(|_| {
        Error::new(
            ErrorKind::Usage,
            format!("{days} days are too many"),
            "Leave --expires-days out for a token without an end.",
        )
    })
}

fn described(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
        "createdBy": token.created_by,
        "createdAt": token.created_at,
        "expiresAt": token.expires_at,
        "usedAt": token.used_at,
    })
}
