use serde_json::{Value, json};

use super::{Examples, NOW, with};

/// What a type needs for a secret, beside what every credential has.
const TYPES: &[(&str, &[(&str, &str)])] = &[
    ("api_key", &[("apiKey", "example-api-key")]),
    ("basic_auth", &[("username", "acme"), ("password", "example-password")]),
    ("bearer_token", &[("accessToken", "example-access-token")]),
    ("custom", &[("username", "acme"), ("apiKey", "example-api-key")]),
    ("jwt", &[("assertion", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lIn0.")]),
    (
        "oauth2_bearer",
        &[("accessToken", "example-access-token"), ("refreshToken", "example-refresh-token")],
    ),
    (
        "oauth2_client_credentials",
        &[("clientId", "acme"), ("clientSecret", "example-client-secret")],
    ),
    ("saml", &[("assertion", "PHNhbWw6QXNzZXJ0aW9uLz4=")]),
];

fn deploy() -> Value {
    json!({
        "id": "0197f3a4-b3e9-7a20-8f6c-7d8e9fa0b1c2",
        "integrationId": "github",
        "credentialName": "deploy",
        "description": "Deploys the portal",
        "authType": "api_key",
        "scopes": ["repo"],
        "tokenEndpoint": null,
        "authorizationEndpoint": null,
        "metadata": {"owner": "platform team"},
        "expiresAt": "2025-07-10T15:40:00.000Z",
        "createdAt": "2025-06-01T09:20:00.000Z",
        "updatedAt": "2025-06-01T09:20:00.000Z"
    })
}

fn new(auth_type: &str, parts: &[(&str, &str)]) -> Value {
    let common = json!({
        "integrationId": "github",
        "credentialName": "deploy",
        "description": "Deploys the portal",
        "authType": auth_type,
        "scopes": ["repo"],
        "metadata": {"owner": "platform team"},
        "expiresIn": 3600
    });
    let parts = parts.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    with(common, Value::Object(parts.collect()))
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "createCredential" => TYPES
            .iter()
            .fold(all, |all, (auth_type, parts)| all.request(auth_type, new(auth_type, parts)))
            .success(
                "credential",
                "Credential created successfully",
                with(deploy(), json!({"createdAt": NOW, "updatedAt": NOW})),
            ),
        "listCredentials" => all.page("Credentials retrieved successfully", &[deploy()]),
        "getCredential" => all.success("credential", "Credential retrieved successfully", deploy()),
        "updateCredential" => all
            .request("a new secret", json!({"apiKey": "another-api-key", "expiresIn": 3600}))
            .request(
                "what is known of it",
                json!({"credentialName": "deploy", "description": null, "expiresAt": null}),
            )
            .success(
                "credential",
                "Credential updated successfully",
                with(deploy(), json!({"updatedAt": NOW})),
            ),
        "deleteCredential" => {
            all.success("credential", "Credential deleted successfully", deploy())
        }
        "revealCredential" => all.success(
            "credential",
            "Credential revealed successfully",
            with(deploy(), json!({"secret": {"apiKey": "example-api-key"}})),
        ),
        _ => return None,
    })
}
