//! What each route needs, read from the OpenAPI document: the document is the policy.
//!
//! A route without `security` is open; a route that the document does not know does not exist. A new route cannot be
//! forgotten: without a description it has no path, and the tests walk over all descriptions.

use super::Principal;
use engine::catalog::tokens::Scope;
use engine::catalog::users::Role;
use std::collections::{BTreeSet, HashMap};
use utoipa::openapi::OpenApi;

/// What a route needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Open,
    /// Somebody who is signed in.
    Closed {
        /// People need this role at least.
        role: Role,
        /// Tokens need one of these scopes; any token will do when empty.
        scopes: BTreeSet<Scope>,
    },
}

/// The rules of all routes, by path as written in the document and method.
pub struct Policy {
    rules: HashMap<(String, String), Rule>,
}

impl Policy {
    /// Reads the document.
    pub fn read(document: &OpenApi) -> Self {
        let mut rules = HashMap::new();
        let tree = serde_json::to_value(document).unwrap_or_default();
        for (path, item) in tree["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                rules.insert((path.clone(), method.to_ascii_uppercase()), rule(&operation["security"]));
            }
        }
        Self { rules }
    }

    /// The rule for a request; `HEAD` needs what `GET` needs.
    pub fn rule(&self, path: &str, method: &str) -> Option<&Rule> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.rules.get(&(path.to_owned(), method.to_owned()))
    }
}

/// Anything that is not understood closes the route to all but administrators.
fn rule(security: &serde_json::Value) -> Rule {
    let Some(alternatives) = security.as_array().filter(|list| !list.is_empty()) else { return Rule::Open };
    let words = |scheme: &str| {
        alternatives
            .iter()
            .find_map(|one| one[scheme].as_array())
            .map(|list| list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let role = match words("session").unwrap_or_default().first().map(String::as_str) {
        Some("VIEWER") => Role::Viewer,
        _ => Role::Admin,
    };
    let scopes = match words("bearer") {
        Some(scopes) => scopes.iter().map(|scope| Scope::parse(scope).unwrap_or(Scope::Admin)).collect(),
        None => [Scope::Admin].into(),
    };
    Rule::Closed { role, scopes }
}

impl Rule {
    /// Whether somebody may; the error says what is missing.
    pub fn admits(&self, principal: &Principal) -> Result<(), String> {
        let Self::Closed { role: needed, scopes } = self else { return Ok(()) };
        match principal.role {
            Some(Role::Admin) => Ok(()),
            Some(role) if role == *needed => Ok(()),
            Some(_) => Err(format!("this needs the role {}", needed.name())),
            None if scopes.is_empty() || principal.scopes.contains(&Scope::Admin) => Ok(()),
            None if principal.scopes.intersection(scopes).next().is_some() => Ok(()),
            None => {
                let names = scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" or ");
                Err(format!("this needs a token with the scope {names}"))
            }
        }
    }
}
