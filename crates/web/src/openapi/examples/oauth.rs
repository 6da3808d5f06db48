use serde_json::json;

use super::{ACME, Examples};

const CLIENT: &str = "0197f3a4-8b07-7d3a-a1c4-5e9b1f2d3c4b";

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    let examples = match operation {
        "issueToken" => all
            .request("for all that it may", json!({"grant_type": "client_credentials"}))
            .request("for less", json!({"grant_type": "client_credentials", "scope": "stats:read"}))
            .answer(
                "a token",
                json!({
                    "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
                    "token_type": "Bearer",
                    "expires_in": 900,
                    "scope": "stats:read"
                }),
            ),
        "introspectToken" => all
            .request("a token", json!({"token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"}))
            .answer(
                "good",
                json!({
                    "active": true,
                    "scope": "stats:read",
                    "client_id": "tnc_1VuL6WcMGTBcHgtAKFpCp67xYyQpDhdMuDHJzVvYQKXZ",
                    "token_type": "Bearer",
                    "exp": 1_752_159_300,
                    "iat": 1_752_158_400,
                    "sub": CLIENT,
                    "aud": "tenantry",
                    "iss": "tenantry",
                    "jti": "0197f3a4-8b07-7d3a-a1c4-5e9b1f2d3c4c",
                    "tenant": ACME
                }),
            )
            .answer("none, or over", json!({"active": false})),
        "revokeToken" => {
            all.request("a token", json!({"token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"}))
        }
        "getOauthMetadata" => all.answer(
            "metadata",
            json!({
                "issuer": "https://tenantry.example.com",
                "token_endpoint": "https://tenantry.example.com/oauth/token"
            }),
        ),
        _ => return None,
    };
    Some(if operation == "getOauthMetadata" { examples } else { failing(examples) })
}

/// How the operations of OAuth fail: by the error's name, with what a person is told.
fn failing(examples: Examples) -> Examples {
    [
        (400, "invalid_request", "token is missing"),
        (400, "unauthorized_client", "the client may not ask for this"),
        (
            400,
            "invalid_grant",
            "the refresh token is none, was used before, or is not the client's",
        ),
        (400, "unsupported_grant_type", "grant_type must be client_credentials or refresh_token"),
        (400, "invalid_scope", "there is no such scope, or the client does not have it"),
        (401, "invalid_client", "the client is not known, or did not prove who it is"),
        (408, "invalid_request", "the body stopped coming; nothing was done"),
        (413, "invalid_request", "the limit is 1048576 bytes"),
        (415, "invalid_request", "the body must be application/x-www-form-urlencoded"),
        (500, "server_error", "the cause is in the server's log under the request's id"),
        (503, "temporarily_unavailable", "try again shortly"),
    ]
    .into_iter()
    .fold(examples, |examples, (status, error, description)| {
        examples.failure(status, error, json!({"error": error, "error_description": description}))
    })
}
