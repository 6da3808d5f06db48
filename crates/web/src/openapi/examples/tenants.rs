use serde_json::{Value, json};

use super::{ACME, Examples, NOW, with};

fn acme() -> Value {
    json!({
        "id": ACME,
        "name": "Acme Corporation",
        "displayName": "Acme",
        "serverUrl": "https://acme.example.com",
        "realmName": "acme",
        "status": "active",
        "settings": {"locale": "en"},
        "subscription": {
            "plan": "enterprise",
            "usersLimit": 500,
            "expiresAt": "2040-01-01T00:00:00.000Z"
        },
        "storageQuotaMB": 10_000,
        "createdAt": "2025-06-01T09:00:00.000Z",
        "updatedAt": "2025-06-01T09:00:00.000Z"
    })
}

fn changed(members: Value) -> Value {
    with(with(acme(), json!({"updatedAt": NOW})), members)
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "createTenant" => all
            .request(
                "everything",
                json!({
                    "id": ACME,
                    "name": "Acme Corporation",
                    "displayName": "Acme",
                    "serverUrl": "https://acme.example.com",
                    "realmName": "acme",
                    "settings": {"locale": "en"},
                    "subscription": {
                        "plan": "enterprise",
                        "usersLimit": 500,
                        "expiresAt": "2040-01-01T00:00:00Z"
                    },
                    "storageQuotaMB": 10_000
                }),
            )
            .request("name alone", json!({"name": "Acme Corporation"}))
            .success("tenant", "Tenant created successfully", changed(json!({"createdAt": NOW}))),
        "listTenants" => all.page("Tenants retrieved successfully", &[acme()]),
        "getTenant" => all.success("tenant", "Tenant retrieved successfully", acme()),
        "updateTenant" => all
            .request(
                "as a super admin",
                json!({"storageQuotaMB": 20_000, "subscription": {"usersLimit": null}}),
            )
            .request(
                "as its administrator",
                json!({"displayName": "Acme Corp.", "settings": {"locale": null, "theme": "dark"}}),
            )
            .success(
                "tenant",
                "Tenant updated successfully",
                changed(json!({"displayName": "Acme Corp.", "settings": {"theme": "dark"}})),
            ),
        "deleteTenant" => all.success("tenant", "Tenant deleted successfully", acme()),
        "suspendTenant" => all.success(
            "tenant",
            "Tenant suspended successfully",
            changed(json!({"status": "suspended"})),
        ),
        "activateTenant" => {
            all.success("tenant", "Tenant activated successfully", changed(json!({})))
        }
        _ => return None,
    })
}
