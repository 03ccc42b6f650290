//! Nothing that anybody can send makes the service fail: hostile values in every parameter and field of every route.

use crate::kit::{Caller, Setup};
use reqwest::Method;
use serde_json::{Map, Value, json};

const TEXTS: [&str; 16] = [
    "",
    "0",
    "-1",
    "4294967296",
    "18446744073709551616",
    "latest",
    "../../etc/passwd",
    "a\u{0}b",
    "' OR 1=1 --",
    "%",
    "\u{202e}\u{1f4a9}",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
    "* * * * *",
    "0 0 30 2 *",
    "true",
];

fn values() -> Vec<Value> {
    let mut values: Vec<Value> = TEXTS.iter().map(|text| json!(text)).collect();
    values.extend([
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!([]),
        json!({}),
        json!([null, {}]),
    ]);
    values.push(json!("x".repeat(5000)));
    values
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| all + &format!("%{byte:02X}"))
}

/// The fields of a route's body, through references.
fn fields(document: &Value, operation: &Value) -> Vec<String> {
    let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    loop {
        let one_of = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one.get("$ref").is_some()));
        schema = one_of.unwrap_or(schema);
        match schema["$ref"].as_str() {
            Some(reference) => schema = document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => break,
        }
    }
    schema["properties"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

struct Attack<'a> {
    caller: &'a Caller,
    method: Method,
    label: String,
}

impl Attack<'_> {
    fn send(&self, path: &str, body: Option<&Value>) {
        let request = self.caller.request(self.method.clone(), path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().unwrap();
        assert!(answer.status().as_u16() < 500, "{} at {path} with {body:?}: {}", self.label, answer.status());
    }
}

#[test]
fn hostile_values_anywhere_never_make_the_service_fail() {
    let kit = Setup { schedules: true, ..Setup::default() }.start();
    let id = kit.backup();
    let admin = kit.admin();
    let document: Value = serde_json::from_str(server::api::document_json()).unwrap();
    let mut attacks = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Watching a job that exists waits for its end; the rest of that route is attacked by its path.
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let attack = Attack { caller: &admin, method: method.clone(), label: format!("{method} {path}") };
            let good = path
                .replace("{id}", &id)
                .replace("{name}", "x")
                .replace("{plan}", "default")
                .replace("{task}", "daily");
            let body = operation.get("requestBody").is_some();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                let name = parameter["name"].as_str().unwrap();
                for text in TEXTS {
                    let address = match parameter["in"].as_str().unwrap() {
                        "path" => path
                            .replace(&format!("{{{name}}}"), &encoded(text))
                            .replace("{plan}", "x")
                            .replace("{task}", "x"),
                        "query" => format!("{good}?{name}={}", encoded(text)),
                        _ => continue,
                    };
                    attack.send(&address, body.then(|| json!({})).as_ref());
                    attacks += 1;
                }
            }
            if !body {
                continue;
            }
            let fields = fields(&document, operation);
            assert!(!fields.is_empty(), "{path} has a body without fields");
            for value in values() {
                attack.send(&good, Some(&value));
                let all: Map<String, Value> = fields.iter().map(|field| (field.clone(), value.clone())).collect();
                attack.send(&good, Some(&Value::Object(all)));
                for field in &fields {
                    attack.send(&good, Some(&json!({ field: value })));
                    attacks += 1;
                }
            }
        }
    }
    assert!(attacks > 1000, "{attacks} attacks");
    kit.admin().get("/api/overview").expect(200);
}
