//! A tenant and what may be changed of it.

use serde::Serialize;

use crate::action::words;
use crate::clock::Timestamp;
use crate::error::{Conflict, Denied, Error, Result};
use crate::id::TenantId;
use crate::patch::Patch;
use crate::sort::sort_fields;
use crate::text::Name;
use crate::usage::Bytes;

words! {
    /// Whether a tenant's principals may change anything.
    TenantStatus {
        /// They may.
        Active = "active",
        /// They may look, and a super admin may change.
        Suspended = "suspended",
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: Name,
    /// The name its people see.
    pub display_name: Option<Name>,
    /// Where its service is.
    pub server_url: Option<String>,
    /// The realm its people sign in to.
    pub realm_name: Option<String>,
    /// Whether its principals may change anything.
    pub status: TenantStatus,
    /// What it keeps here for its own use: a JSON object.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What it has subscribed to.
    pub subscription: Subscription,
    /// How much it may store; `None`: no limit.
    #[serde(rename = "storageQuotaBytes", serialize_with = "as_bytes")]
    pub storage_quota: Option<Bytes>,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn as_bytes<S: serde::Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.map(Bytes::get).serialize(serializer)
}

/// What a tenant has subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The plan's name.
    pub plan: Option<String>,
    /// How many users the plan includes.
    pub users_limit: Option<u64>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// A tenant to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `Tenant` of the same name")]
pub struct NewTenant {
    pub id: TenantId,
    pub name: Name,
    pub display_name: Option<Name>,
    pub server_url: Option<String>,
    pub realm_name: Option<String>,
    pub settings: serde_json::Map<String, serde_json::Value>,
    pub subscription: Subscription,
    pub storage_quota: Option<Bytes>,
}

impl NewTenant {
    /// The tenant, made at `at`.
    pub fn into_tenant(self, at: Timestamp) -> Tenant {
        Tenant {
            id: self.id,
            name: self.name,
            display_name: self.display_name,
            server_url: self.server_url,
            realm_name: self.realm_name,
            status: TenantStatus::Active,
            settings: self.settings,
            subscription: self.subscription,
            storage_quota: self.storage_quota,
            created_at: at,
            updated_at: at,
        }
    }
}

/// A change of a tenant.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of `Tenant` of the same name")]
pub struct TenantPatch {
    pub name: Option<Name>,
    pub display_name: Patch<Name>,
    pub server_url: Patch<String>,
    pub realm_name: Patch<String>,
    pub settings: Option<serde_json::Value>,
    pub plan: Patch<String>,
    pub users_limit: Patch<u64>,
    pub subscription_expires_at: Patch<Timestamp>,
    pub storage_quota: Patch<Bytes>,
}

impl TenantPatch {
    /// Whether a tenant may change this of itself: its display name, its server's address and its
    /// settings. The rest is the platform's word.
    pub fn is_own_business(&self) -> bool {
        self.name.is_none()
            && self.realm_name.is_keep()
            && self.plan.is_keep()
            && self.users_limit.is_keep()
            && self.subscription_expires_at.is_keep()
            && self.storage_quota.is_keep()
    }

    /// The tenant after the change.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the settings are too large then.
    pub fn apply(self, before: &Tenant, at: Timestamp) -> Result<Tenant> {
        let mut tenant = before.clone();
        if let Some(name) = self.name {
            tenant.name = name;
        }
        self.display_name.apply(&mut tenant.display_name);
        self.server_url.apply(&mut tenant.server_url);
        self.realm_name.apply(&mut tenant.realm_name);
        if let Some(patch) = self.settings {
            tenant.settings = merged_object(tenant.settings, patch)
                .map_err(|problem| Error::invalid("settings", problem))?;
        }
        self.plan.apply(&mut tenant.subscription.plan);
        self.users_limit.apply(&mut tenant.subscription.users_limit);
        self.subscription_expires_at.apply(&mut tenant.subscription.expires_at);
        self.storage_quota.apply(&mut tenant.storage_quota);
        if tenant != *before {
            tenant.updated_at = at;
        }
        Ok(tenant)
    }
}

/// An object after a merge patch, bounded as in [`check_settings`].
pub(crate) fn merged_object(
    object: serde_json::Map<String, serde_json::Value>,
    patch: serde_json::Value,
) -> std::result::Result<serde_json::Map<String, serde_json::Value>, String> {
    let mut merged = serde_json::Value::Object(object);
    merge(&mut merged, patch);
    check_settings(merged)
}

/// RFC 7396, section 2.
fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(serde_json::Value::Null), value);
        }
    }
}

/// The most bytes that a tenant's settings may have as JSON.
pub const SETTINGS_MAX_BYTES: usize = 16 * 1024;

/// How deep they may be nested; a flat object is one level.
pub const SETTINGS_MAX_DEPTH: usize = 16;

/// Takes a tenant's settings: an object, not too large and not too deep. Not every database keeps
/// U+0000 in a text, so none may be in it.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn check_settings(
    settings: serde_json::Value,
) -> std::result::Result<serde_json::Map<String, serde_json::Value>, String> {
    let fits = depth(&settings) <= SETTINGS_MAX_DEPTH
        && !has_nul(&settings)
        && serde_json::to_string(&settings).is_ok_and(|json| json.len() <= SETTINGS_MAX_BYTES);
    match settings {
        serde_json::Value::Object(members) if fits => Ok(members),
        _ => Err(format!(
            "must be an object of at most {SETTINGS_MAX_BYTES} bytes as JSON, at most \
             {SETTINGS_MAX_DEPTH} levels deep and without U+0000"
        )),
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(members) => {
            1 + members.values().map(depth).max().unwrap_or_default()
        }
        _ => 0,
    }
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

/// What a super admin can do to a tenant's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Governance {
    /// Take its principals the right to change anything.
    Suspend,
    /// Give it back.
    Activate,
    /// Remove it, for good.
    Delete,
}

impl Governance {
    /// Whether it may be done to this tenant.
    ///
    /// # Errors
    /// [`Denied::PlatformProtected`] for the platform's own tenant.
    pub fn check(self, tenant: TenantId) -> Result<()> {
        if tenant == TenantId::PLATFORM && self != Self::Activate {
            return Err(Error::Denied(Denied::PlatformProtected));
        }
        Ok(())
    }
}

sort_fields! {
    /// What tenants are sorted by.
    TenantField of Tenant in "tenants" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// When it was last changed.
        UpdatedAt = "updatedAt": Instant,
        /// Its name.
        Name = "name": Text,
    }
}

/// Which tenants to list.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// Those in this state.
    pub status: Option<TenantStatus>,
    /// Those whose name or display name contains this, without regard to case.
    pub q: Option<String>,
}

/// The id was used before.
pub const TAKEN: Error = Error::Conflict(Conflict::TenantId);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merging_follows_the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, result);
        }
    }

    #[test]
    fn settings_are_bounded() {
        let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
        assert!(check_settings(nested(SETTINGS_MAX_DEPTH)).is_ok());
        assert!(check_settings(nested(SETTINGS_MAX_DEPTH + 1)).is_err());
        let filled = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
        assert!(check_settings(filled(SETTINGS_MAX_BYTES)).is_ok());
        assert!(check_settings(filled(SETTINGS_MAX_BYTES + 1)).is_err());
        assert!(check_settings(json!({"a": "\\u0000"})).is_ok());
        assert!(check_settings(json!({"a": [{"b": "\0"}]})).is_err());
        assert!(check_settings(json!({"\0": 1})).is_err());
        assert!(check_settings(json!([])).is_err());
    }
}
