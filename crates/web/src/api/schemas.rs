//! Schemas that no Rust type gives by itself.

use tenantry_domain::api_key::{ApiKeyStatus, KeyRefusal};
use tenantry_domain::client_rules::{ADDRESSES_MAX, REDIRECT_URI_MAX};
use tenantry_domain::credential::{AuthType, CredentialStatus};
use tenantry_domain::credential_rules::{SCOPE_MAX, SCOPES_MAX};
use tenantry_domain::ledger::{Action, ActorKind, ResourceKind};
use tenantry_domain::network::ALLOWLIST_MAX;
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType};
use tenantry_domain::scope::Scope;
use tenantry_domain::tenant::{SETTINGS_MAX_BYTES, SETTINGS_MAX_DEPTH, TenantStatus};
use tenantry_domain::user::{UserRole, UserStatus};
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type,
};

/// The most megabytes there can be: 2^53 bytes.
const MEGABYTES_MAX: f64 = 9_007_199_254.740_992;

fn megabytes_of(kind: SchemaType) -> Object {
    ObjectBuilder::new()
        .schema_type(kind)
        .description(Some("MB of 1,000,000 bytes, with at most six decimals."))
        .minimum(Some(0.0))
        .maximum(Some(MEGABYTES_MAX))
        .build()
}

pub(crate) fn megabytes() -> Object {
    megabytes_of(Type::Number.into())
}

pub(crate) fn megabytes_or_null() -> Object {
    megabytes_of(SchemaType::from_iter([Type::Number, Type::Null]))
}

/// A tenant's settings: an object whose members are the tenant's business.
pub(crate) fn settings() -> Object {
    free_object("What the tenant keeps here for its own use")
}

/// A credential's metadata: an object whose members are the tenant's business.
pub(crate) fn metadata() -> Object {
    free_object("What its users keep beside it, never a secret")
}

fn free_object(purpose: &str) -> Object {
    ObjectBuilder::new()
        .description(Some(format!(
            "{purpose}: at most {SETTINGS_MAX_BYTES} bytes as JSON, at most {SETTINGS_MAX_DEPTH} \
             levels deep."
        )))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}

/// What an audit entry tells beside its members.
pub(crate) fn details() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("What else is worth knowing; null once erased."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}

/// A string that is one of these words.
pub(crate) fn words(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

pub(crate) fn tenant_status() -> Object {
    words(TenantStatus::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn user_status() -> Object {
    words(UserStatus::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn user_status_filter() -> Object {
    words(UserStatus::ALL.iter().map(|it| it.as_str()).chain(["inactive"]))
}

pub(crate) fn user_role() -> Object {
    words(UserRole::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn user_roles() -> Array {
    ArrayBuilder::new().items(user_role()).unique_items(true).build()
}

pub(crate) fn scopes() -> Array {
    let scope = words(Scope::ALL.iter().map(|it| it.as_str()));
    ArrayBuilder::new().items(scope).unique_items(true).build()
}

pub(crate) fn ip_allowlist() -> Array {
    let network = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("An IP address, or a network in CIDR notation such as 192.0.2.0/24."))
        .build();
    ArrayBuilder::new().items(network).unique_items(true).max_items(Some(ALLOWLIST_MAX)).build()
}

pub(crate) fn api_key_status() -> Object {
    words(ApiKeyStatus::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn key_refusal_or_null() -> Object {
    let words = KeyRefusal::ALL.iter().map(|it| Some(it.as_str())).chain([None]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words))
        .build()
}

pub(crate) fn client_type() -> Object {
    words(ClientType::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn client_status() -> Object {
    words(ClientStatus::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn grant_types() -> Array {
    let grant = words(GrantType::ALL.iter().map(|it| it.as_str()));
    ArrayBuilder::new().items(grant).unique_items(true).min_items(Some(1)).build()
}

pub(crate) fn redirect_uris() -> Array {
    addresses(
        "https, or http on localhost or a loopback address, or a private-use scheme with a dot \
         (com.example.app:/path). No fragment, user or wildcard.",
    )
}

pub(crate) fn origins() -> Array {
    addresses(
        "https://host[:port] as a browser spells it, or http on localhost or a loopback address.",
    )
}

fn addresses(description: &str) -> Array {
    let address = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(1))
        .max_length(Some(REDIRECT_URI_MAX))
        .build();
    ArrayBuilder::new().items(address).unique_items(true).max_items(Some(ADDRESSES_MAX)).build()
}

pub(crate) fn integration_id() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,128}$"))
        .build()
}

pub(crate) fn realm_name() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9._-]{1,64}$")).build()
}

pub(crate) fn auth_type() -> Object {
    words(AuthType::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn credential_status() -> Object {
    words(CredentialStatus::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn credential_scopes() -> Array {
    let scope = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^[\x21\x23-\x5B\x5D-\x7E]+$"))
        .min_length(Some(1))
        .max_length(Some(SCOPE_MAX))
        .build();
    ArrayBuilder::new().items(scope).unique_items(true).max_items(Some(SCOPES_MAX)).build()
}

pub(crate) fn action() -> Object {
    words(Action::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn actor_kind() -> Object {
    words(ActorKind::ALL.iter().map(|it| it.as_str()))
}

pub(crate) fn resource_kind() -> Object {
    words(ResourceKind::ALL.iter().map(|it| it.as_str()))
}

/// Some of these as types, for parameters: where it is given a function, the derive loses what the
/// parameter means.
pub(crate) mod of {
    use utoipa::openapi::{RefOr, Schema};

    macro_rules! types {
        ($($name:ident = $function:ident),+) => {
            $(
                pub(crate) struct $name;

                impl utoipa::PartialSchema for $name {
                    fn schema() -> RefOr<Schema> {
                        super::$function().into()
                    }
                }

                impl utoipa::ToSchema for $name {}
            )+
        };
    }

    types! {
        Action = action,
        ApiKeyStatus = api_key_status,
        ClientStatus = client_status,
        CredentialStatus = credential_status,
        IntegrationId = integration_id,
        TenantStatus = tenant_status,
        UserRole = user_role,
        UserStatusFilter = user_status_filter
    }
}
