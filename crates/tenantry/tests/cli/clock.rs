//! The real clock: what expires while nobody writes.

use serde_json::{Value, json};
use tenantry_domain::clock::Timestamp;

use crate::support::{DataDir, PLATFORM, Server};

/// The server's present instant.
async fn now(server: &Server, token: &str) -> Timestamp {
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    let data = server.data(&path, token, PLATFORM).await;
    data["generatedAt"].as_str().unwrap().parse().unwrap()
}

async fn create(server: &Server, token: &str, path: &str, body: Value) -> Value {
    let request = server.request("POST", path, token, PLATFORM).json(&body);
    let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer["data"].take()
}

/// Every read tells what is true at the very instant that it says it is of, and nobody writes.
#[tokio::test]
async fn what_expires_is_expired_in_the_next_read() {
    let directory = DataDir::new();
    let server = directory.serve();
    let token = directory.operator();
    let path = format!("/admin/tenants/{PLATFORM}/stats");
    let mut made = 0;
    // Further ahead each time, until this machine has read it before it expired.
    for ahead in (0..).map(|turn| 2_000 << turn) {
        made += 1;
        let due = now(&server, &token).await.plus_millis(ahead);
        let body = json!({"name": "short", "expiresAt": due});
        let key = create(&server, &token, "/api-keys", body).await["key"].take();
        let body = json!({"integrationId": "github", "credentialName": "short",
            "authType": "api_key", "apiKey": "third-party", "expiresAt": due});
        create(&server, &token, "/credentials", body).await;
        let mut before = 0;
        loop {
            let data = server.data(&path, &token, PLATFORM).await;
            let at: Timestamp = data["generatedAt"].as_str().unwrap().parse().unwrap();
            let active = u64::from(at < due);
            let credentials = json!({"total": made, "active": active, "expired": made - active});
            assert_eq!(data["credentials"], credentials, "{due}: {data}");
            let keys = json!({"total": made, "active": active, "revoked": 0});
            assert_eq!(data["apiKeys"], keys, "{due}: {data}");
            if at >= due {
                break;
            }
            before += 1;
        }
        let body = json!({"key": key});
        let validity = create(&server, &token, "/api-keys/validate", body).await;
        assert_eq!((&validity["valid"], &validity["reason"]), (&json!(false), &json!("EXPIRED")));
        let expired = server.data("/credentials?status=expired", &token, PLATFORM).await;
        assert_eq!(expired["total"], made);
        if before > 0 {
            break;
        }
    }
    server.stop();
    directory.run("verify").succeeded();
}
