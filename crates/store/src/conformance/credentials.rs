//! Credentials of the vault: what is known of them, and their secrets.

use std::sync::Arc;

use tenantry_domain::counts::Counts;
use tenantry_domain::credential::{CredentialPatch, IntegrationId, Sealed};
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::ledger::Action;
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::SETTINGS_MAX_BYTES;

use super::builders::{integration, name, system, unopened};
use super::harness::Fixture;
use crate::Opening;

/// A credential is made, read, changed and removed, and the counts follow each step.
pub async fn each_step_is_counted(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (access, integration) = (system(tenant), integration());
    let new = f.new_credential(Some(f.in_millis(100_000)));
    let made = f.store.create_credential(&access, new.clone()).await.unwrap();
    assert_eq!(made, new.into_credential(f.now()));
    assert_eq!(f.store.credential(&access, &integration, made.id).await.unwrap(), made);
    let active = Counts { credentials_active: 1, ..Counts::default() };
    assert_eq!(f.counts(tenant).await, active);

    f.clock.advance(10);
    let patch = CredentialPatch {
        credential_name: Some(name("renamed")),
        description: Patch::Clear,
        scopes: Some(vec!["read".to_owned(), "write".to_owned()]),
        token_endpoint: Patch::Clear,
        authorization_endpoint: Patch::Set("https://third.example.com/consent".to_owned()),
        metadata: Some(serde_json::json!({"team": null, "tier": 1})),
        expires_at: Patch::Keep,
        secret: None,
    };
    let changed =
        f.store.update_credential(&access, &integration, made.id, patch.clone()).await.unwrap();
    assert_eq!(changed, patch.apply(&made, f.now()).unwrap());
    assert_eq!(f.store.credential(&access, &integration, made.id).await.unwrap(), changed);
    assert_eq!(f.counts(tenant).await, active);

    let deleted = f.store.delete_credential(&access, &integration, made.id).await.unwrap();
    assert_eq!(deleted, changed);
    assert_eq!(f.counts(tenant).await, Counts::default());
    let result = f.store.credential(&access, &integration, made.id).await;
    assert_fault!(result, Error::NotFound(Missing::Credential));
    let again = f.store.delete_credential(&access, &integration, made.id).await;
    assert_fault!(again, Error::NotFound(Missing::Credential));
    assert_eq!(
        f.actions(tenant).await[1..],
        [Action::CredentialCreated, Action::CredentialUpdated, Action::CredentialDeleted]
    );
}

/// The secret comes back as it was sealed, and the ledger says who saw it.
pub async fn revealing_leaves_an_entry(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut new = f.new_credential(None);
    new.secret = Sealed(vec![0, 255, 7]);
    let made = f.store.create_credential(&system(tenant), new).await.unwrap();
    let counts = f.counts(tenant).await;
    f.clock.advance(10);
    assert_eq!(f.reveal(tenant, made.id).await.unwrap(), (made.clone(), Sealed(vec![0, 255, 7])));
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.action, entry.at), (Action::CredentialRevealed, f.now()));
    assert_eq!((entry.resource_id, entry.counts), (made.id.to_string(), counts));
}

/// What does not open is not revealed, and the ledger does not say that it was.
pub async fn what_does_not_open_leaves_no_entry(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let made = f.credential(tenant, None).await;
    let before = f.entries(tenant).await;
    let open: Opening = Arc::new(|_, _| Err(Error::internal("it does not open")));
    let access = system(tenant);
    let refused = f.store.reveal_credential(&access, &integration(), made.id, open).await;
    assert_fault!(refused, Error::Internal(_));
    assert_eq!(f.entries(tenant).await, before);
}

/// A new secret alone is a change, though nothing else shows it.
pub async fn a_new_secret_is_a_change(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (access, integration) = (system(tenant), integration());
    let made = f.credential(tenant, None).await;
    f.clock.advance(10);
    let patch =
        CredentialPatch { secret: Some(Sealed(vec![1, 2, 3])), ..CredentialPatch::default() };
    let changed = f.store.update_credential(&access, &integration, made.id, patch).await.unwrap();
    assert_eq!(changed.updated_at, f.now());
    assert_eq!(f.newest_entry(tenant).await.action, Action::CredentialUpdated);
    let revealed = f.reveal(tenant, made.id).await.unwrap();
    assert_eq!(revealed, (changed, Sealed(vec![1, 2, 3])));
}

/// Metadata is merged member by member (RFC 7396), and what comes of it is bounded.
pub async fn metadata_is_merged_and_bounded(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let (access, integration) = (system(tenant), integration());
    let made = f.credential(tenant, None).await;
    let half = "x".repeat(SETTINGS_MAX_BYTES * 2 / 3);
    let patch = |member: &str, value: serde_json::Value| CredentialPatch {
        metadata: Some(serde_json::json!({ (member): value })),
        ..CredentialPatch::default()
    };
    let update = |patch| f.store.update_credential(&access, &integration, made.id, patch);
    let merged = update(patch("note", half.clone().into())).await.unwrap();
    assert_eq!(merged.metadata["team"], made.metadata["team"]);
    assert_eq!(merged.metadata["note"], half);
    let before = f.entries(tenant).await;
    assert_fault!(update(patch("more", half.into())).await, Error::Invalid(_));
    assert_eq!(f.entries(tenant).await, before);
    let cleared = update(patch("note", serde_json::Value::Null)).await.unwrap();
    assert_eq!(cleared.metadata, made.metadata);
}

/// A patch that changes nothing leaves no trace.
pub async fn a_patch_that_changes_nothing_leaves_no_trace(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let made = f.credential(tenant, None).await;
    let before = f.entries(tenant).await;
    f.clock.advance(10);
    let same = CredentialPatch {
        credential_name: Some(made.credential_name.clone()),
        expires_at: Patch::Clear,
        ..CredentialPatch::default()
    };
    for patch in [CredentialPatch::default(), same] {
        let access = system(tenant);
        let after =
            f.store.update_credential(&access, &integration(), made.id, patch).await.unwrap();
        assert_eq!(after, made);
    }
    assert_eq!(f.entries(tenant).await, before);
}

/// The integration is part of a credential's name.
pub async fn the_wrong_integration_finds_nothing(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let access = system(tenant);
    let made = f.credential(tenant, None).await;
    let before = f.statistics(tenant).await;
    for wrong in ["GitHub", "gitlab"] {
        let wrong = IntegrationId::parse(wrong).unwrap();
        let result = f.store.credential(&access, &wrong, made.id).await;
        assert_fault!(result, Error::NotFound(Missing::Credential));
        let patch = CredentialPatch { description: Patch::Clear, ..CredentialPatch::default() };
        let result = f.store.update_credential(&access, &wrong, made.id, patch).await;
        assert_fault!(result, Error::NotFound(Missing::Credential));
        let result = f.store.delete_credential(&access, &wrong, made.id).await;
        assert_fault!(result, Error::NotFound(Missing::Credential));
        let result = f.store.reveal_credential(&access, &wrong, made.id, unopened()).await;
        assert_fault!(result, Error::NotFound(Missing::Credential));
    }
    assert_eq!(f.statistics(tenant).await, before);
}
