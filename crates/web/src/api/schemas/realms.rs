//! Schemas of what external realms are set up with.

use tenantry_domain::access::Role;
use tenantry_domain::realm::Algorithm;
use tenantry_domain::realm_rules::{AUDIENCE_MAX, CLAIM_MAX, MAPPING_MAX, URL_MAX, WORD_MAX};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, Object, ObjectBuilder, SchemaFormat, SchemaType,
    Type,
};

use super::{line, words};

pub(crate) fn provider_url() -> Object {
    provider(Type::String)
}

pub(crate) fn provider_url_or_null() -> Object {
    provider(SchemaType::from_iter([Type::String, Type::Null]))
}

fn provider(kind: impl Into<SchemaType>) -> Object {
    ObjectBuilder::new()
        .schema_type(kind)
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .description(Some(
            "An absolute https URL without a user, a fragment or, in an issuer, a query; with \
             `TENANTRY_ALLOW_LOOPBACK_REALMS` also http on this machine.",
        ))
        .max_length(Some(URL_MAX))
        .pattern(Some("^https?://[!$%&'()*+,./0-9:;=?A-Z_a-z~\\[\\]-]+$"))
        .build()
}

pub(crate) fn audience() -> Object {
    line(Type::String, AUDIENCE_MAX)
}

pub(crate) fn claim_path() -> Object {
    let told = "The names of members, one within the other, with dots between them. A name can have \
                dots itself.";
    let mut path = line(Type::String, CLAIM_MAX);
    path.description = Some(told.to_owned());
    path
}

pub(crate) fn algorithms() -> Array {
    let algorithm = words(Algorithm::ALL.iter().map(|it| it.as_str()));
    ArrayBuilder::new().items(algorithm).unique_items(true).min_items(Some(1)).build()
}

pub(crate) fn role_mapping_or_null() -> Object {
    mapping(words(ROLES.map(Role::as_str)))
}

/// As [`role_mapping_or_null`], of which `null` removes a member.
pub(crate) fn role_mapping_patch() -> Object {
    let words = ROLES.map(|role| Some(role.as_str())).into_iter().chain([None]);
    let role = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words));
    mapping(role.build())
}

const ROLES: [Role; 3] = [Role::Member, Role::TenantAdmin, Role::SuperAdmin];

fn mapping(role: Object) -> Object {
    let role = AdditionalProperties::RefOr(RefOr::T(role.into()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(format!(
            "The realm's own words for roles, each with the role that it means here; at most \
             {MAPPING_MAX}, of at most {WORD_MAX} characters."
        )))
        .additional_properties(Some(role))
        .build()
}
