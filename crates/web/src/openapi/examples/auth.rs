use serde_json::{Value, json};

use super::Examples;

/// Each of the form of what it stands for, and none: their checksums are wrong.
const REFRESH_TOKEN: &str =
    "tnr_ExampleExampleExampleExampleExampleExampleExampleExampleExampleExample00";
const INVITATION: &str =
    "tni_ExampleExampleExampleExampleExampleExampleExampleExampleExampleExample00";

fn tokens() -> Value {
    json!({
        "accessToken": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
        "refreshToken": REFRESH_TOKEN,
        "expiresIn": 900,
        "tokenType": "Bearer"
    })
}

pub(super) fn of(operation: &str) -> Option<Examples> {
    let all = Examples::default();
    let token = json!({"refreshToken": REFRESH_TOKEN});
    Some(match operation {
        "signIn" => all
            .request(
                "a person",
                json!({"email": "eve@example.com", "password": "correct horse battery"}),
            )
            .success("session", "Signed in successfully", tokens()),
        "refreshSession" => all.request("a refresh token", token).success(
            "session",
            "Session refreshed successfully",
            tokens(),
        ),
        "signOut" => all.request("a refresh token", token).success(
            "nothing",
            "Signed out successfully",
            json!({}),
        ),
        "setPassword" => all
            .request(
                "a one-time token",
                json!({"token": INVITATION, "password": "correct horse battery"}),
            )
            .success("nothing", "Password set successfully", json!({})),
        "inviteUser" => all.success(
            "one-time token",
            "User invited successfully",
            json!({"token": INVITATION, "expiresAt": "2025-07-13T14:40:00.000Z"}),
        ),
        _ => return None,
    })
}
