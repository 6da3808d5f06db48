use serde_json::{Value, json};

use super::{Examples, NOW, with};

const SECRET: &str = "tns_ExampleExampleExampleExampleExampleExample0";

fn portal() -> Value {
    json!({
        "id": "0197f3a4-9f52-7c11-b6d8-0a1b2c3d4e5f",
        "clientId": "tnc_ExampleExampleExampleExample",
        "name": "portal",
        "clientType": "confidential",
        "redirectUris": ["https://app.example.com/callback"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "scopes": ["stats:read"],
        "allowedOrigins": ["https://app.example.com"],
        "ipAllowlist": [],
        "status": "active",
        "createdAt": "2025-06-01T09:15:00.000Z"
    })
}

fn desktop() -> Value {
    with(
        portal(),
        json!({
            "name": "desktop app",
            "clientType": "public",
            "redirectUris": ["com.example.app:/callback", "http://127.0.0.1/callback"],
            "grantTypes": ["authorization_code"],
            "allowedOrigins": [],
            "createdAt": NOW
        }),
    )
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    let issued = with(portal(), json!({"createdAt": NOW, "clientSecret": SECRET}));
    let created = "OAuth client created successfully";
    Some(match operation {
        "createOauthClient" => all
            .request(
                "a confidential client",
                json!({
                    "name": "portal",
                    "redirectUris": ["https://app.example.com/callback"],
                    "grantTypes": ["authorization_code", "refresh_token"],
                    "scopes": ["stats:read"],
                    "allowedOrigins": ["https://app.example.com"]
                }),
            )
            .request(
                "a machine",
                json!({
                    "name": "reporting",
                    "grantTypes": ["client_credentials"],
                    "scopes": ["stats:read", "audit:read"],
                    "ipAllowlist": ["192.0.2.0/24", "2001:db8::/32"]
                }),
            )
            .request(
                "a public client",
                json!({
                    "name": "desktop app",
                    "clientType": "public",
                    "redirectUris": ["com.example.app:/callback", "http://127.0.0.1/callback"],
                    "scopes": ["stats:read"]
                }),
            )
            .success("a confidential client", created, issued)
            .success("a public client", created, desktop()),
        "listOauthClients" => all.page("OAuth clients retrieved successfully", &[portal()]),
        "getOauthClient" => all.success("client", "OAuth client retrieved successfully", portal()),
        "updateOauthClient" => all
            .request("disabled", json!({"status": "disabled"}))
            .request("other scopes", json!({"name": "reports", "scopes": ["audit:read"]}))
            .success(
                "client",
                "OAuth client updated successfully",
                with(portal(), json!({"status": "disabled"})),
            ),
        "deleteOauthClient" => all.success("client", "OAuth client deleted successfully", portal()),
        "rotateOauthClientSecret" => all.success(
            "client",
            "OAuth client secret rotated successfully",
            with(portal(), json!({"clientSecret": SECRET})),
        ),
        _ => return None,
    })
}
