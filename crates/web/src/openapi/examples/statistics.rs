use serde_json::json;

use super::{ACME, Examples, NOW};

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    Some(match operation {
        "getTenantStatistics" => all.success(
            "statistics",
            "Tenant statistics retrieved successfully",
            json!({
                "tenantId": ACME,
                "tenantName": "Acme Corporation",
                "users": {"total": 150, "active": 142, "inactive": 8, "admins": 5},
                "credentials": {"total": 25, "active": 23, "expired": 2},
                "apiKeys": {"total": 10, "active": 9, "revoked": 1},
                "oauthClients": {"total": 5, "active": 5},
                "usage": {
                    "apiCallsThisMonth": 125_000,
                    "apiCallsLastMonth": 118_000,
                    "storageUsedMB": 2500,
                    "storageQuotaMB": 10_000
                },
                "lastActivity": "2025-07-10T14:30:00.000Z",
                "generatedAt": NOW
            }),
        ),
        _ => return None,
    })
}
