use serde_json::{Value, json};

use super::{Examples, NOW, with};

fn keycloak() -> Value {
    json!({
        "name": "corp",
        "issuer": "https://id.example.com/realms/corp",
        "jwksUri": null,
        "audience": "tenantry",
        "algorithms": ["RS256", "ES256"],
        "tenantClaim": "tenant",
        "rolesClaim": "realm_access.roles",
        "roleMapping": {"tenantry-admin": "tenant_admin"},
        "leewaySeconds": 5,
        "platform": false,
        "createdAt": "2025-06-01T09:00:00.000Z",
        "updatedAt": "2025-06-01T09:00:00.000Z"
    })
}

fn changed(members: Value) -> Value {
    with(with(keycloak(), json!({"updatedAt": NOW})), members)
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "createRealm" => all
            .request(
                "Keycloak",
                json!({
                    "name": "corp",
                    "issuer": "https://id.example.com/realms/corp",
                    "audience": "tenantry",
                    "algorithms": ["RS256", "ES256"],
                    "rolesClaim": "realm_access.roles",
                    "roleMapping": {"tenantry-admin": "tenant_admin"}
                }),
            )
            .request(
                "the platform's own people",
                json!({
                    "name": "staff",
                    "issuer": "https://login.example.com/staff",
                    "jwksUri": "https://login.example.com/staff/keys",
                    "audience": "https://tenantry.example.com",
                    "tenantClaim": "https://tenantry.example.com/tenant",
                    "roleMapping": {"operations": "super_admin"},
                    "leewaySeconds": 0,
                    "platform": true
                }),
            )
            .success("realm", "Realm created successfully", changed(json!({"createdAt": NOW}))),
        "listRealms" => all.page("Realms retrieved successfully", &[keycloak()]),
        "getRealm" => all.success("realm", "Realm retrieved successfully", keycloak()),
        "updateRealm" => all
            .request("another audience", json!({"audience": "tenantry-api"}))
            .request(
                "other roles",
                json!({"roleMapping": {"tenantry-admin": null, "owner": "tenant_admin"}}),
            )
            .success(
                "realm",
                "Realm updated successfully",
                changed(json!({"audience": "tenantry-api"})),
            ),
        "deleteRealm" => all.success("realm", "Realm deleted successfully", keycloak()),
        _ => return None,
    })
}
