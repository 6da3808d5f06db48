use serde_json::json;

use super::Examples;

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "getLiveness" | "getReadiness" => all.answer("ok", json!({"status": "ok"})),
        "getJwks" => all.answer(
            "keys",
            json!({"keys": [{
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": "example",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
            }]}),
        ),
        "getOpenApi" => all.answer("document", json!({"openapi": "3.1.0"})),
        "getDocs" => all.answer("page", json!("<!doctype html>…")),
        _ => return None,
    })
}
