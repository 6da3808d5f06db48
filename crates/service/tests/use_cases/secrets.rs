//! Where secrets do not go.

use std::sync::Arc;

use tenantry_domain::credential::{AuthType, IntegrationId, SecretPart};
use tenantry_domain::oauth_client::{ClientType, GrantType};
use tenantry_domain::realm_rules::Reach;
use tenantry_domain::scope::Scopes;
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{UserRoles, UserStatus};
use tenantry_security::master_key::MasterKey;
use tenantry_security::secret::SecretText;
use tenantry_service::{
    ApiKeyDraft, CredentialDraft, CredentialSecret, OauthClientDraft, Service, SetupError,
    UserDraft, Wiring,
};
use tenantry_testkit::{ManualClock, SeededEntropy, TestApp};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn integration() -> IntegrationId {
    IntegrationId::parse("github").unwrap()
}

/// A credential with this secret.
pub(crate) fn credential(secret: &str) -> CredentialDraft {
    let parts = vec![(SecretPart::AccessToken, SecretText::new(secret.to_owned()))];
    CredentialDraft {
        integration_id: integration(),
        credential_name: name("deploy"),
        description: None,
        scopes: Vec::new(),
        token_endpoint: None,
        authorization_endpoint: None,
        metadata: serde_json::Map::new(),
        expires_at: None,
        secret: CredentialSecret::new(AuthType::BearerToken, parts).unwrap(),
    }
}

#[tokio::test]
async fn no_secret_is_in_debug_output() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let access = TestApp::access(tenant);
    let password = "correct horse battery staple";
    let user = UserDraft {
        external_id: None,
        email: Email::parse("ann@example.com").unwrap(),
        name: None,
        status: UserStatus::Active,
        roles: UserRoles::default(),
        password: Some(SecretText::new(password.to_owned())),
    };
    assert!(!format!("{user:?}").contains(password));
    app.service.create_user(&access, user).await.unwrap();

    let key = ApiKeyDraft {
        name: name("key"),
        scopes: Scopes::default(),
        expires_at: None,
        ip_allowlist: Vec::new(),
        rate_limit: None,
    };
    let key = app.service.create_api_key(&access, key).await.unwrap();
    let client = OauthClientDraft {
        name: name("client"),
        client_type: ClientType::Confidential,
        redirect_uris: Vec::new(),
        grant_types: vec![GrantType::ClientCredentials],
        scopes: Scopes::default(),
        allowed_origins: Vec::new(),
        ip_allowlist: Vec::new(),
        jwks: None,
    };
    let client = app.service.create_oauth_client(&access, client).await.unwrap();
    let client_secret = client.secret.clone().unwrap();
    let vaulted = "third-party-token-0123456789";
    let credential = credential(vaulted);
    assert!(!format!("{credential:?}").contains(vaulted));
    let credential = app.service.create_credential(&access, credential).await.unwrap();
    let revealed = app
        .service
        .reveal_credential(&access, &credential.integration_id, credential.id)
        .await
        .unwrap();
    let (part, text) = revealed.secret.parts().first().unwrap();
    assert_eq!((*part, text.expose()), (SecretPart::AccessToken, vaulted));

    for secret in [password, key.text.expose(), client_secret.expose(), vaulted] {
        for shown in [format!("{key:?}"), format!("{client:?}"), format!("{revealed:?}")] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn another_master_key_is_refused() {
    let app = TestApp::start().await;
    let entropy = Arc::new(SeededEntropy::new(99));
    let wiring = Wiring {
        store: Arc::clone(app.service.store()),
        clock: Arc::new(ManualClock::default()),
        master_key: MasterKey::generate(&*entropy),
        entropy,
        issuer: "tenantry".to_owned(),
        reach: Reach::default(),
    };
    let refused = Service::start(wiring).await.unwrap_err();
    assert!(matches!(refused, SetupError::WrongMasterKey { .. }), "{refused}");
    app.stop().await;
}
