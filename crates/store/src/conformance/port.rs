//! The random sequences, driven through the port itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use tenantry_domain::access::{Permission, TenantAccess};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{Credential, CredentialPatch, Sealed};
use tenantry_domain::error::{Conflict, Denied, Error, Result};
use tenantry_domain::id::{ApiKeyId, CredentialId, OauthClientId, TenantId, UserId};
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType, OauthClientPatch};
use tenantry_domain::page::Page;
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::Scope;
use tenantry_domain::sort::Listed;
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::{Governance, TenantPatch};
use tenantry_domain::text::Name;
use tenantry_domain::usage::{Bytes, CallCount, Tally};
use tenantry_domain::user::{NewUser, UserPatch, UserRoles};
use uuid::Uuid;

use super::builders::{all, email, integration, name, own_to, system};
use super::driver::{Driver, List, Outcome, Refusal};
use super::harness::{Fixture, ManualClock, assert_exact};
use super::steps::{Change, UserDraft};
use crate::Store;

/// A store, and the secrets that it was given.
pub(super) struct Port {
    fixture: Fixture,
    /// Those of each API key, oldest first.
    secrets: RefCell<BTreeMap<Uuid, Vec<SecretHash>>>,
}

impl Driver for Port {
    const REQUESTS: bool = false;

    fn store(&self) -> &dyn Store {
        self.fixture.store.as_ref()
    }

    fn clock(&self) -> &ManualClock {
        &self.fixture.clock
    }

    async fn create_tenant(&self, name: &Name) -> TenantId {
        self.fixture.tenant(name.as_str()).await
    }

    async fn delete_tenant(&self, tenant: TenantId) {
        self.store().govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
        assert_eq!(self.fixture.find_statistics(tenant).await, None);
    }

    async fn change(&self, tenant: TenantId, own: bool, change: &Change, id: Uuid) -> Outcome {
        if let Change::ValidateKey { newest } = *change {
            let result = self.present(tenant, id, newest).await.map(|()| Vec::new());
            return Outcome { result, counted: Some(false) };
        }
        let call = self.fixture.call(tenant);
        let governs = matches!(change, Change::Govern(_));
        let needed =
            if governs { Permission::Govern } else { Permission::Scope(Scope::UsersWrite) };
        let access = if own { own_to(tenant, needed, Some(&call)) } else { Ok(system(tenant)) };
        let result = match access {
            Ok(access) => self.make(&access, change, id).await,
            Err(error) => Err(error),
        };
        Outcome { result: result.map_err(refusal), counted: Some(call.is_counted()) }
    }

    async fn call(&self, tenant: TenantId, calls: u64, activity: bool) {
        let at = self.fixture.now();
        let last_activity = activity.then_some(at);
        let count = CallCount { tenant, calls, last_call: at, last_activity };
        self.store().count_calls(Tally::from_iter([count])).await.unwrap();
    }

    async fn assert_statistics(&self, expected: &Statistics) {
        assert_eq!(self.fixture.statistics(expected.tenant).await, *expected);
    }

    async fn total(&self, tenant: TenantId, list: &List) -> u64 {
        let (access, store) = (system(tenant), self.store());
        match list {
            List::Users(filter) => held(&store.list_users(&access, filter, &all()).await),
            List::ApiKeys(filter) => held(&store.list_api_keys(&access, *filter, &all()).await),
            List::OauthClients(filter) => {
                held(&store.list_oauth_clients(&access, *filter, &all()).await)
            }
            List::Credentials(filter) => {
                held(&store.list_credentials(&access, filter, &all()).await)
            }
        }
    }

    async fn end(self) {
        assert_exact(&self.fixture).await;
    }
}

fn held<T: Listed>(page: &Result<Page<T>>) -> u64 {
    let page = page.as_ref().map_err(Clone::clone).unwrap();
    assert_eq!(page.items.len() as u64, page.total);
    page.total
}

/// Why something was refused. Fails the test for whatever cannot be expected.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::Denied(Denied::InsufficientPermissions) => Refusal::InsufficientPermissions,
        Error::Denied(Denied::TenantSuspended) => Refusal::TenantSuspended,
        Error::Conflict(Conflict::AlreadyRevoked) => Refusal::AlreadyRevoked,
        Error::Conflict(Conflict::ApiKeyExpired) => Refusal::ApiKeyExpired,
        Error::Conflict(Conflict::PublicClient) => Refusal::PublicClient,
        other => panic!("{other}"),
    }
}

impl Port {
    pub(super) fn new(fixture: Fixture) -> Self {
        Self { fixture, secrets: RefCell::default() }
    }

    fn due(&self, expiry: Option<i64>) -> Option<Timestamp> {
        expiry.map(|millis| self.fixture.in_millis(millis))
    }

    fn user(&self, draft: UserDraft) -> NewUser {
        let mut new = self.fixture.new_user("someone@example.com");
        new.email = email(&format!("{}@example.com", new.id));
        (new.status, new.roles) = (draft.status, roles(draft.admin));
        new
    }

    /// Makes a change; answers the ids of what was made.
    async fn make(&self, access: &TenantAccess, change: &Change, id: Uuid) -> Result<Vec<Uuid>> {
        let (f, store) = (&self.fixture, self.store());
        let user = UserId::from_uuid(id);
        let key = ApiKeyId::from_uuid(id);
        let client = OauthClientId::from_uuid(id);
        let (integration, credential) = (integration(), CredentialId::from_uuid(id));
        match *change {
            Change::CreateUser(draft) => {
                let user = store.create_user(access, self.user(draft)).await?;
                return Ok(vec![user.id.as_uuid()]);
            }
            Change::UpdateUser { status, admin } => {
                let patch = UserPatch { status, roles: admin.map(roles), ..UserPatch::default() };
                store.update_user(access, user, patch).await?;
            }
            Change::DeleteUser => drop(store.delete_user(access, user).await?),
            Change::EraseUser => drop(store.erase_user(access, user).await?),
            Change::ImportUsers(ref drafts) => {
                let users: Vec<_> = drafts.iter().map(|draft| self.user(*draft)).collect();
                let ids = users.iter().map(|user| user.id.as_uuid()).collect();
                assert!(store.import_users(access, users).await?.is_empty());
                return Ok(ids);
            }
            Change::CreateKey { expiry } => {
                let new = f.new_api_key(self.due(expiry));
                let secret = new.secret_hash;
                let id = store.create_api_key(access, new).await?.id.as_uuid();
                self.secrets.borrow_mut().insert(id, vec![secret]);
                return Ok(vec![id]);
            }
            Change::RevokeKey => drop(store.revoke_api_key(access, key).await?),
            Change::RotateKey { grace_seconds } => {
                let rotation = f.rotation(grace_seconds);
                let secret = rotation.secret_hash;
                store.rotate_api_key(access, key, rotation).await?;
                self.secrets.borrow_mut().entry(id).or_default().push(secret);
            }
            Change::CreateClient { public } => {
                let mut new = f.new_oauth_client();
                if public {
                    new.client_type = ClientType::Public;
                    new.grant_types = vec![GrantType::AuthorizationCode];
                    new.secret_hash = None;
                }
                return Ok(vec![store.create_oauth_client(access, new).await?.id.as_uuid()]);
            }
            Change::UpdateClient { active } => {
                let status = if active { ClientStatus::Active } else { ClientStatus::Disabled };
                let patch = OauthClientPatch { status: Some(status), ..Default::default() };
                store.update_oauth_client(access, client, patch).await?;
            }
            Change::RotateClientSecret => {
                let secret = f.rotation(0).secret_hash;
                store.rotate_oauth_client_secret(access, client, secret).await?;
            }
            Change::DeleteClient => drop(store.delete_oauth_client(access, client).await?),
            Change::CreateCredential { expiry } => {
                let new = f.new_credential(self.due(expiry));
                return Ok(vec![store.create_credential(access, new).await?.id.as_uuid()]);
            }
            Change::MoveCredential { expiry } => {
                let expires_at = self.due(expiry).map_or(Patch::Clear, Patch::Set);
                let patch = CredentialPatch { expires_at, ..CredentialPatch::default() };
                store.update_credential(access, &integration, credential, patch).await?;
            }
            Change::ReplaceSecret => {
                let secret = Some(Sealed(b"sealed anew".to_vec()));
                let patch = CredentialPatch { secret, ..CredentialPatch::default() };
                store.update_credential(access, &integration, credential, patch).await?;
            }
            Change::RevealCredential => {
                let open = Arc::new(|_: &Credential, _: &Sealed| Ok(()));
                drop(store.reveal_credential(access, &integration, credential, open).await?);
            }
            Change::DeleteCredential => {
                drop(store.delete_credential(access, &integration, credential).await?);
            }
            Change::Rename(number) => {
                let display_name = Patch::Set(name(&format!("Name {number}")));
                let patch = TenantPatch { display_name, ..TenantPatch::default() };
                store.update_tenant(access, patch).await?;
            }
            Change::SetQuota(bytes) => {
                let quota = bytes.map_or(Patch::Clear, |it| Patch::Set(Bytes::new(it.into())));
                let patch = TenantPatch { storage_quota: quota, ..TenantPatch::default() };
                store.update_tenant(access, patch).await?;
            }
            Change::Govern(act) => drop(store.govern_tenant(access, act).await?),
            Change::ValidateKey { .. } => unreachable!("it changes nothing"),
        }
        Ok(Vec::new())
    }

    /// What a secret of an API key is worth.
    async fn present(&self, tenant: TenantId, id: Uuid, newest: bool) -> Result<(), Refusal> {
        let secret = {
            let secrets = self.secrets.borrow();
            let secrets = &secrets[&id];
            secrets[(secrets.len() - 1).saturating_sub(usize::from(!newest))]
        };
        let (key, refusal) = self.fixture.presented(tenant, secret).await.unwrap();
        assert_eq!(key.id.as_uuid(), id);
        refusal.map_or(Ok(()), |refusal| Err(Refusal::NoGoodKey(refusal)))
    }
}

fn roles(admin: bool) -> UserRoles {
    UserRoles { tenant_admin: admin, member: true }
}
