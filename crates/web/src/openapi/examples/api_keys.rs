use serde_json::{Value, json};

use super::{ACME, Examples, NOW, with};

const ID: &str = "0197f3a4-8b07-7d3a-a1c4-5e9b1f2d3c4a";
/// Of the form of a key, and none: its checksum is wrong.
const KEY: &str = "tnt_ExampleExampleExampleExampleExampleExampleExampleExampleExampleExample00";

fn key() -> Value {
    json!({
        "id": ID,
        "name": "nightly export",
        "prefix": "tnt_ExampleE",
        "scopes": ["stats:read", "users:read"],
        "expiresAt": "2040-01-01T00:00:00.000Z",
        "ipAllowlist": ["192.0.2.0/24"],
        "rateLimit": 600,
        "createdAt": "2025-06-01T09:10:00.000Z",
        "lastUsedAt": "2025-07-10T14:38:12.000Z",
        "revokedAt": null
    })
}

/// A key that was rotated, and is used by its new text.
fn details() -> Value {
    let secrets = json!([
        {
            "prefix": "tnt_ExampleE",
            "createdAt": "2025-07-09T08:00:00.000Z",
            "endsAt": null,
            "lastUsedAt": "2025-07-10T14:38:12.000Z",
            "lastUsedFrom": "192.0.2.17",
            "safeToDrop": false
        },
        {
            "prefix": "tnt_OlderExa",
            "createdAt": "2025-06-01T09:10:00.000Z",
            "endsAt": "2025-07-16T08:00:00.000Z",
            "lastUsedAt": "2025-07-09T07:58:31.000Z",
            "lastUsedFrom": "192.0.2.17",
            "safeToDrop": true
        }
    ]);
    with(key(), json!({"secrets": secrets}))
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "createApiKey" => all
            .request("for ever", json!({"name": "monitor", "scopes": ["stats:read"]}))
            .request(
                "for some time and from some addresses",
                json!({
                    "name": "nightly export",
                    "scopes": ["stats:read", "users:read"],
                    "expiresAt": "2040-01-01T00:00:00Z",
                    "ipAllowlist": ["192.0.2.0/24"],
                    "rateLimit": 600
                }),
            )
            .success(
                "key",
                "API key created successfully",
                with(key(), json!({"createdAt": NOW, "lastUsedAt": null, "key": KEY})),
            ),
        "listApiKeys" => all.page("API keys retrieved successfully", &[key()]),
        "getApiKey" => all.success("key", "API key retrieved successfully", details()),
        "revokeApiKey" => all.success(
            "key",
            "API key revoked successfully",
            with(key(), json!({"revokedAt": NOW})),
        ),
        "rotateApiKey" => all
            .request("with an hour of grace", json!({"graceSeconds": 3600}))
            .request("without grace", json!({}))
            .success(
                "key",
                "API key rotated successfully",
                with(key(), json!({"graceEndsAt": "2025-07-10T15:40:00.000Z", "key": KEY})),
            ),
        "validateApiKey" => all
            .request("a key", json!({"key": KEY}))
            .success(
                "good",
                "API key validated",
                json!({
                    "valid": true,
                    "reason": null,
                    "tenantId": ACME,
                    "id": ID,
                    "scopes": ["stats:read", "users:read"],
                    "expiresAt": "2040-01-01T00:00:00.000Z"
                }),
            )
            .success(
                "revoked",
                "API key validated",
                json!({
                    "valid": false,
                    "reason": "REVOKED",
                    "tenantId": ACME,
                    "id": ID,
                    "scopes": [],
                    "expiresAt": "2040-01-01T00:00:00.000Z"
                }),
            )
            .success(
                "unknown",
                "API key validated",
                json!({
                    "valid": false,
                    "reason": "UNKNOWN",
                    "tenantId": null,
                    "id": null,
                    "scopes": [],
                    "expiresAt": null
                }),
            ),
        _ => return None,
    })
}
