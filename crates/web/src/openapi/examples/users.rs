use serde_json::{Value, json};

use super::{ANN, Examples, NOW, with};

fn ann() -> Value {
    json!({
        "id": ANN,
        "externalId": {"realm": "acme", "subject": "8f14e45f"},
        "email": "ann@example.com",
        "name": "Ann Example",
        "status": "active",
        "roles": ["tenant_admin", "member"],
        "createdAt": "2025-06-01T09:05:00.000Z",
        "updatedAt": "2025-06-01T09:05:00.000Z",
        "lastLoginAt": null
    })
}

fn warned(message: &str, data: &Value) -> Value {
    json!({
        "success": true,
        "message": message,
        "data": data,
        "timestamp": NOW,
        "warnings": [{
            "code": "NO_ACTIVE_TENANT_ADMIN",
            "message":
                "No active tenant_admin is left: only a super admin can administer the tenant now"
        }]
    })
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    let locked = with(ann(), json!({"status": "locked", "updatedAt": NOW}));
    Some(match operation {
        "createUser" => all
            .request(
                "of an external realm",
                json!({
                    "email": "ann@example.com",
                    "name": "Ann Example",
                    "roles": ["tenant_admin", "member"],
                    "externalId": {"realm": "acme", "subject": "8f14e45f"}
                }),
            )
            .request(
                "with a password",
                json!({"email": "ann@example.com", "password": "correct horse battery staple"}),
            )
            .request("yet to come", json!({"email": "ann@example.com", "status": "invited"}))
            .success(
                "user",
                "User created successfully",
                with(ann(), json!({"createdAt": NOW, "updatedAt": NOW})),
            ),
        "listUsers" => all.page("Users retrieved successfully", &[ann()]),
        "getUser" => all.success("user", "User retrieved successfully", ann()),
        "updateUser" => all
            .request("a lock", json!({"status": "locked"}))
            .request("a name and a role", json!({"name": "Ann Example", "roles": ["member"]}))
            .success("changed", "User updated successfully", locked.clone())
            .answer("with a warning", warned("User updated successfully", &locked)),
        "deleteUser" => all
            .success("deleted", "User deleted successfully", ann())
            .success("erased", "User erased successfully", json!({"id": ANN, "entriesErased": 12}))
            .answer("with a warning", warned("User deleted successfully", &ann())),
        "importUsers" => import(all),
        _ => return None,
    })
}

fn import(all: Examples) -> Examples {
    let ndjson = "{\"email\": \"ann@example.com\", \"name\": \"Ann Example\"}\n\
        {\"email\": \"bob@example.com\", \"roles\": [\"tenant_admin\", \"member\"]}\n";
    let csv = "email,name,roles,externalRealm,externalSubject\n\
        ann@example.com,Ann Example,member,acme,8f14e45f\n\
        bob@example.com,,tenant_admin member,,\n";
    all.request_of("application/x-ndjson", "two lines", ndjson)
        .request_of("application/ndjson", "two lines", ndjson)
        .request_of("text/csv", "two lines", csv)
        .success("imported", "Users imported successfully", json!({"imported": 2}))
}
