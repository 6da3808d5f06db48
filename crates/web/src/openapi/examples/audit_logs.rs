use serde_json::json;

use super::{ANN, Examples};

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    let made = json!({
        "id": "0197f3a4-c7d1-7e84-9b3a-1c2d3e4f5a6b",
        "seq": 2,
        "at": "2025-06-01T09:05:00.000Z",
        "action": "USER_CREATED",
        "category": "user",
        "actor": {
            "type": "user",
            "id": ANN,
            "name": "Ann Example",
            "email": "ann@example.com",
            "ipAddress": "192.0.2.7"
        },
        "resource": {"type": "user", "id": "0197f3a4-d5b8-7f06-8e2d-6a7b8c9d0e1f"},
        "count": 1,
        "details": {"email": "bob@example.com"},
        "counts": {
            "users": {"total": 2, "active": 2, "inactive": 0, "admins": 1},
            "credentials": {"total": 0, "active": 0, "expired": 0},
            "apiKeys": {"total": 0, "active": 0, "expired": 0, "revoked": 0},
            "oauthClients": {"total": 0, "active": 0, "disabled": 0}
        }
    });
    Some(match operation {
        "listAuditLogs" => all.page("Audit log retrieved successfully", &[made]),
        _ => return None,
    })
}
