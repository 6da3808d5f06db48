//! Schemas that no Rust type gives by itself.

use std::ops::RangeInclusive;

use tenantry_domain::api_key::{ApiKey, ApiKeyStatus, KeyRefusal};
use tenantry_domain::client_rules::{ADDRESSES_MAX, ORIGIN_MAX, REDIRECT_URI_MAX};
use tenantry_domain::credential::{AuthType, Credential, CredentialStatus};
use tenantry_domain::credential_rules::{DESCRIPTION_MAX, SCOPE_MAX, SCOPES_MAX, SECRET_PART_MAX};
use tenantry_domain::ledger::{Action, ActorKind, ResourceKind};
use tenantry_domain::network::ALLOWLIST_MAX;
use tenantry_domain::oauth_client::{ClientStatus, ClientType, GrantType, OauthClient};
use tenantry_domain::realm::Realm;
use tenantry_domain::scope::Scope;
use tenantry_domain::sort::{Listed, Sort};
use tenantry_domain::tenant::{SETTINGS_MAX_BYTES, SETTINGS_MAX_DEPTH, Tenant, TenantStatus};
use tenantry_domain::text::Name;
use tenantry_domain::user::{SUBJECT_MAX, User, UserRole, UserStatus};
use tenantry_security::password::LENGTH;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat,
    SchemaType, Type,
};

use crate::extract::values::{ACTOR_MAX, PLAN_MAX, SEARCH_MAX, URL_MAX};

mod realms;

pub(crate) use realms::{
    algorithms, audience, claim_path, provider_url, provider_url_or_null, role_mapping_or_null,
    role_mapping_patch,
};

/// What no line of text holds (`domain::text`), for a character class of ECMA 262. Left out are the
/// tags of U+E0000, which not every reader of patterns can spell.
macro_rules! not_in_a_line {
    () => {
        r"\u0000-\u001F\u007F-\u009F\u00AD\u061C\u115F\u1160\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\u3164\uFDD0-\uFDEF\uFEFF\uFFA0\uFFF9-\uFFFB\uFFFE\uFFFF"
    };
}

/// The spaces that no line begins or ends with.
macro_rules! spaces {
    () => {
        r" \u00A0\u1680\u2000-\u200A\u202F\u205F\u3000"
    };
}

/// One line of text: no control, invisible or text-direction characters, no space at either end.
const LINE: &str = concat!(
    "^[^",
    spaces!(),
    not_in_a_line!(),
    "]",
    "([^",
    not_in_a_line!(),
    "]*[^",
    spaces!(),
    not_in_a_line!(),
    "])?$",
);

/// Any text without control characters.
const NO_CONTROL: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// The longest text of a network: an IPv6 one that ends in an IPv4 address.
const NETWORK_MAX: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128".len();

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

fn line(kind: impl Into<SchemaType>, max: usize) -> Object {
    let builder = ObjectBuilder::new().schema_type(kind).pattern(Some(LINE));
    builder.min_length(Some(1)).max_length(Some(max)).build()
}

fn line_or_null(max: usize) -> Object {
    line(SchemaType::from_iter([Type::String, Type::Null]), max)
}

pub(crate) fn name() -> Object {
    line(Type::String, Name::MAX)
}

pub(crate) fn name_or_null() -> Object {
    line_or_null(Name::MAX)
}

pub(crate) fn plan_or_null() -> Object {
    line_or_null(PLAN_MAX)
}

pub(crate) fn description_or_null() -> Object {
    line_or_null(DESCRIPTION_MAX)
}

pub(crate) fn subject() -> Object {
    line(Type::String, SUBJECT_MAX)
}

pub(crate) fn actor_id() -> Object {
    line(Type::String, ACTOR_MAX)
}

/// A part of a secret, which is never shown where it is given.
pub(crate) fn secret_part() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .write_only(true)
        .min_length(Some(1))
        .max_length(Some(SECRET_PART_MAX))
        .pattern(Some(r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$"))
        .build()
}

/// A secret that is presented.
pub(crate) fn presented() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .write_only(true)
        .max_length(Some(*LENGTH.end()))
        .pattern(Some(NO_CONTROL))
        .build()
}

/// A password to be set.
pub(crate) fn password() -> Object {
    a_password(Type::String.into(), "What the user signs in with. It is never shown.")
}

pub(crate) fn password_or_null() -> Object {
    let schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    a_password(schema_type, "What it signs in with, if it does so here. It is never shown.")
}

fn a_password(schema_type: SchemaType, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .description(Some(description))
        .write_only(true)
        .min_length(Some(*LENGTH.start()))
        .max_length(Some(*LENGTH.end()))
        .pattern(Some(NO_CONTROL))
        .build()
}

/// A text to search for.
pub(crate) fn search() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(SEARCH_MAX))
        .pattern(Some(NO_CONTROL))
        .build()
}

pub(crate) fn http_url_or_null() -> Object {
    url_or_null(
        "An absolute http or https URL, without a user or a fragment.",
        r#"^https?://[!"$-?A-~]+$"#,
    )
}

pub(crate) fn https_url_or_null() -> Object {
    url_or_null("An absolute https URL, without a user or a fragment.", r#"^https://[!"$-?A-~]+$"#)
}

fn url_or_null(description: &str, pattern: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .description(Some(description))
        .max_length(Some(URL_MAX))
        .pattern(Some(pattern))
        .build()
}

/// A string that is one of these words.
pub(crate) fn words(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// The orders of a list.
fn sort<T: Listed>() -> Object {
    let words = Sort::<T::Field>::all().map(|sort| sort.to_string());
    let default = Sort::<T::Field>::default().to_string();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .default(Some(default.into()))
        .build()
}

pub(crate) fn tenant_sort() -> Object {
    sort::<Tenant>()
}

pub(crate) fn user_sort() -> Object {
    sort::<User>()
}

pub(crate) fn api_key_sort() -> Object {
    sort::<ApiKey>()
}

pub(crate) fn client_sort() -> Object {
    sort::<OauthClient>()
}

pub(crate) fn credential_sort() -> Object {
    sort::<Credential>()
}

pub(crate) fn realm_sort() -> Object {
    sort::<Realm>()
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
        .min_length(Some("::".len()))
        .max_length(Some(NETWORK_MAX))
        .pattern(Some("^[0-9A-Fa-f.:/]+$"))
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

pub(crate) fn jwks() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .format(Some(SchemaFormat::Custom("jwk-set".to_owned())))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}

pub(crate) fn redirect_uris() -> Array {
    addresses(
        "https, or http on localhost or a loopback address, or a private-use scheme with a dot \
         (com.example.app:/path). No fragment, user or wildcard.",
        "a.b:/".len()..=REDIRECT_URI_MAX,
        "^[a-z][a-z0-9+.-]*:[^#*]+$",
    )
}

pub(crate) fn origins() -> Array {
    addresses(
        "https://host[:port] as a browser spells it, or http on localhost or a loopback address.",
        "https://a".len()..=ORIGIN_MAX,
        r"^https?://[a-z0-9.:\[\]-]+$",
    )
}

fn addresses(description: &str, length: RangeInclusive<usize>, pattern: &str) -> Array {
    let address = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(*length.start()))
        .max_length(Some(*length.end()))
        .pattern(Some(pattern))
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
        ActorId = actor_id,
        ApiKeySort = api_key_sort,
        ApiKeyStatus = api_key_status,
        ClientSort = client_sort,
        ClientStatus = client_status,
        CredentialSort = credential_sort,
        CredentialStatus = credential_status,
        IntegrationId = integration_id,
        RealmSort = realm_sort,
        Search = search,
        TenantSort = tenant_sort,
        TenantStatus = tenant_status,
        UserRole = user_role,
        UserSort = user_sort,
        UserStatusFilter = user_status_filter
    }
}
