//! Every role and every scope against every route, read from the description: a new route cannot be forgotten.

use crate::kit::Kit;
use engine::catalog::tokens::Scope;
use engine::catalog::users::Role;
use reqwest::Method;
use serde_json::{Value, json};

struct Route {
    method: Method,
    path: String,
    role: Option<String>,
    scopes: Option<Vec<String>>,
}

fn routes() -> Vec<Route> {
    let document: Value = serde_json::from_str(server::api::document_json()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let words = |scheme: &str| -> Option<Vec<String>> {
                let list = operation["security"].as_array()?.iter().find_map(|one| one[scheme].as_array())?;
                Some(list.iter().map(|word| word.as_str().unwrap().to_owned()).collect())
            };
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let role = words("session").map(|roles| roles[0].clone());
            routes.push(Route { method, path: path.clone(), role, scopes: words("bearer") });
        }
    }
    assert!(routes.len() > 60, "the description has {} routes", routes.len());
    routes
}

/// An address that exists as a route but names nothing.
fn nowhere(path: &str) -> String {
    path.replace("{id}", "000000000000").replace("{name}", "nobody").replace("{plan}", "none").replace("{task}", "x")
}

#[test]
fn the_routes_that_need_nobody_are_known_by_name() {
    let open: Vec<String> = routes()
        .iter()
        .filter(|route| route.role.is_none())
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(
        open,
        ["POST /api/session", "GET /api/setup", "POST /api/setup", "GET /healthz", "GET /openapi.json", "GET /readyz"]
    );
}

#[test]
fn the_documents_endpoints_need_an_administrator() {
    let of_the_documents = [
        "/api/admin/scheduled-backups",
        "/api/backup/create",
        "/api/backup/status",
        "/api/backup/restore",
        "/api/backup/test-email",
        "/api/backup/{id}/download",
    ];
    for route in routes() {
        let documented = of_the_documents.contains(&route.path.as_str())
            || (route.path == "/api/backup" && route.method == Method::GET)
            || (route.path == "/api/backup/cleanup" && route.method == Method::POST)
            || (route.path == "/api/backup/{id}" && route.method == Method::DELETE);
        let changes = route.method != Method::GET;
        let own = route.path.starts_with("/api/session");
        if documented || (changes && !own && route.role.is_some()) {
            assert_eq!(route.role.as_deref(), Some("ADMIN"), "{} {}", route.method, route.path);
        }
    }
}

#[test]
fn nobody_gets_further_than_their_role_or_scope() {
    let kit = Kit::start();
    kit.user("ann", Role::Admin);
    kit.user("bob", Role::Viewer);
    let routes = routes();
    let anonymous = kit.anonymous();
    for route in &routes {
        let send = |caller: &crate::kit::Caller| {
            let request = caller.request(route.method.clone(), &nowhere(&route.path));
            let request = if route.method == Method::GET { request } else { request.json(&json!({})) };
            request.send().unwrap().status().as_u16()
        };
        let label = format!("{} {}", route.method, route.path);
        let Some(role) = &route.role else {
            assert!(send(&anonymous) < 500, "{label}");
            continue;
        };
        assert_eq!(send(&anonymous), 401, "{label} for nobody");
        assert_eq!(send(&kit.bearer("srt_0000".to_owned())), 401, "{label} with an unknown token");
        // A fresh session each time: signing out is among the routes. Failed password changes count as guesses.
        for (name, own_role) in [("ann", "ADMIN"), ("bob", "VIEWER")] {
            let status = send(&kit.signed_in(name));
            let admitted = own_role == "ADMIN" || role == "VIEWER";
            assert_eq!(status == 403, !admitted, "{label} for {own_role}: {status}");
            assert!(status < 500, "{label} for {own_role}: {status}");
        }
        let scopes = route.scopes.as_ref().unwrap();
        for scope in Scope::ALL {
            let status = send(&kit.bearer(kit.token(&[scope])));
            let admitted = scope == Scope::Admin || scopes.is_empty() || scopes.iter().any(|one| one == scope.name());
            // Only people have a password to change.
            if route.path == "/api/session/password" {
                continue;
            }
            assert_eq!(status == 403, !admitted, "{label} with scope {}: {status}", scope.name());
            assert!(status < 500 && status != 401, "{label} with scope {}: {status}", scope.name());
        }
    }
}
