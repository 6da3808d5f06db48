//! Schemas that no Rust type gives by itself.

use tenantry_domain::tenant::TenantStatus;
use tenantry_domain::user::UserStatus;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

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

/// A string that is one of these words.
fn words(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

pub(crate) fn tenant_status() -> Object {
    words(TenantStatus::ALL.iter().map(|status| status.as_str()))
}

pub(crate) fn user_status() -> Object {
    words(UserStatus::ALL.iter().map(|status| status.as_str()))
}
