//! The ledger as the audit log: what it tells, and how it is searched.

use tenantry_domain::counts::Counts;
use tenantry_domain::ledger::{Action, ActorKind, Entry};
use tenantry_domain::user::PasswordHash;
use tenantry_domain::user::{UserPatch, UserStatus};

use super::builders::{OPERATOR, own, super_admin, system};
use super::harness::Fixture;
use crate::{EntryFilter, Note};

/// An entry says what happened, to what, by whom, and what the counts were then.
pub async fn an_entry_says_what_happened(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.clock.advance(10);
    let user = f.store.create_user(&own(tenant, None), f.new_user("a@example.com")).await.unwrap();
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.tenant, entry.seq, entry.at), (tenant, 2, f.now()));
    assert_eq!((entry.action, entry.rows), (Action::UserCreated, 1));
    assert_eq!((entry.actor_kind, entry.actor_id.as_str()), (ActorKind::Operator, OPERATOR));
    assert_eq!(entry.resource_id, user.id.to_string());
    assert_eq!(entry.counts, Counts { users_active: 1, ..Counts::default() });

    let patch = UserPatch { status: Some(UserStatus::Locked), ..UserPatch::default() };
    f.store.update_user(&system(tenant), user.id, patch).await.unwrap();
    let entry = f.newest_entry(tenant).await;
    assert_eq!((entry.actor_kind, entry.actor_id.as_str()), (ActorKind::System, "test"));
    let details: serde_json::Value =
        serde_json::from_str(&entry.details.clear.unwrap().json).unwrap();
    let status = serde_json::json!({"from": "active", "to": "locked"});
    assert_eq!(details.get("status"), Some(&status), "{details}");
}

/// No secret is ever in the ledger, not even as a hash.
pub async fn no_secret_is_in_the_ledger(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    let mut user = f.new_user("ann@example.com");
    user.password_hash = Some(PasswordHash("$argon2id$hush".to_owned()));
    let user = f.store.create_user(&system(tenant), user).await.unwrap();
    f.store.delete_user(&system(tenant), user.id).await.unwrap();
    f.api_key(tenant, None).await;
    f.oauth_client(tenant).await;
    f.credential(tenant, None).await;
    for entry in f.entries(tenant).await {
        let text = entry.details.clear.unwrap().json;
        for secret in ["argon2id", "password", "secret", "sealed"] {
            assert!(!text.to_lowercase().contains(secret), "{:?}: {text}", entry.action);
        }
    }
}

/// What changes no row can be recorded all the same, and moves no count.
pub async fn a_note_moves_no_count(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    f.user(tenant, "ann@example.com").await;
    let counts = f.counts(tenant).await;
    f.clock.advance(10);
    let note = Note {
        action: Action::TokenIssued,
        resource_id: "jti-1".to_owned(),
        details: serde_json::json!({"role": "tenant_admin"}),
    };
    let entry = f.store.record(&system(tenant), note).await.unwrap();
    assert_eq!(entry, f.newest_entry(tenant).await);
    assert_eq!((entry.action, entry.at), (Action::TokenIssued, f.now()));
    assert_eq!((entry.resource_id.as_str(), entry.counts), ("jti-1", counts));
    assert_eq!(entry.details.clear.unwrap().json, r#"{"role":"tenant_admin"}"#);
    assert_eq!(f.counts(tenant).await, counts);
}

/// The audit log runs from the newest entry to the oldest, and its filters work together.
pub async fn entries_are_found(f: &Fixture) {
    let (tenant, other) = (f.tenant("Acme").await, f.tenant("Other").await);
    let start = f.now();
    for place in 0..6 {
        f.clock.advance(10);
        let new = f.new_user(&format!("user-{place}@example.com"));
        let access = if place % 2 == 0 { own(tenant, None) } else { system(tenant) };
        let user = f.store.create_user(&access, new).await.unwrap();
        if place >= 4 {
            f.store.delete_user(&super_admin(tenant, None), user.id).await.unwrap();
        }
    }
    f.user(other, "ann@example.com").await;
    let mut all = f.entries(tenant).await;
    all.reverse();
    let list = async |filter: &EntryFilter, limit, offset| -> (Vec<Entry>, u64) {
        let page = f.store.list_entries(&system(tenant), filter, limit, offset).await.unwrap();
        (page.items, page.total)
    };

    let after = |millis| Some(start.plus_millis(millis));
    let any = EntryFilter::default;
    let action = Some(Action::UserCreated);
    let actor_id = Some(OPERATOR.to_owned());
    for (filter, size) in [
        (any(), 9),
        (EntryFilter { action, ..any() }, 6),
        (EntryFilter { action: Some(Action::ApiKeyRevoked), ..any() }, 0),
        (EntryFilter { actor_id: actor_id.clone(), ..any() }, 5),
        (EntryFilter { actor_id: Some("nobody".to_owned()), ..any() }, 0),
        (EntryFilter { from: after(20), ..any() }, 7),
        (EntryFilter { from: after(21), ..any() }, 6),
        (EntryFilter { to: after(20), ..any() }, 2),
        (EntryFilter { to: after(21), ..any() }, 3),
        (EntryFilter { from: after(20), to: after(20), ..any() }, 0),
        (EntryFilter { action, actor_id, from: after(20), to: after(60) }, 2),
    ] {
        let expected: Vec<_> = all
            .iter()
            .filter(|entry| {
                filter.action.is_none_or(|action| entry.action == action)
                    && filter.actor_id.as_ref().is_none_or(|id| entry.actor_id == *id)
                    && filter.from.is_none_or(|from| entry.at >= from)
                    && filter.to.is_none_or(|to| entry.at < to)
            })
            .cloned()
            .collect();
        assert_eq!(expected.len(), size, "{filter:?}");
        assert_eq!(list(&filter, 100, 0).await, (expected.clone(), size as u64), "{filter:?}");
        let mut paged = Vec::new();
        while paged.len() < size {
            let (items, total) = list(&filter, 2, paged.len() as u64).await;
            assert!((1..=2).contains(&items.len()), "{filter:?}");
            assert_eq!(total, size as u64, "{filter:?}");
            paged.extend(items);
        }
        assert_eq!(paged, expected, "{filter:?}");
        assert_eq!(list(&filter, 2, 100).await, (Vec::new(), size as u64), "{filter:?}");
    }
}

/// The raw ledger runs from the oldest entry to the newest, from any place on.
pub async fn the_ledger_is_read_from_any_place(f: &Fixture) {
    let tenant = f.tenant("Acme").await;
    for place in 0..4 {
        f.user(tenant, &format!("user-{place}@example.com")).await;
    }
    let all = f.store.entries_after(tenant, 0, 100).await.unwrap();
    let numbers: Vec<_> = all.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(f.store.entries_after(tenant, 1, 2).await.unwrap(), all[1..3]);
    assert_eq!(f.store.entries_after(tenant, 4, 2).await.unwrap(), all[4..]);
    assert_eq!(f.store.entries_after(tenant, 5, 2).await.unwrap(), []);
}
