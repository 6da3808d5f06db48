//! In which ways an operation can fail, with an example of each.

use std::collections::BTreeMap;

use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{AuthFailure, Conflict, Denied, Error, LineError, Missing};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::headers::{CHALLENGE, REQUEST_ID, RETRY_AFTER, tell};
use super::terms::Terms;
use super::{common, id};
use crate::error::{ApiError, Code};

/// 10 July 2025, 14:40 UTC: when the examples were answered.
const AT: Timestamp = Timestamp::from_millis(1_752_158_400_000);
const REQUEST: &str = "0197f3a4-6c1e-7b52-9d1e-2f0c5a7e8b31";

/// What an operation is like, as far as its failures go.
pub(super) struct Shape<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Whether it takes a token.
    pub(super) gated: bool,
    /// Whether it is one of the API, which has one shape of failure.
    pub(super) api: bool,
    /// Whether it is about one tenant.
    pub(super) names_a_tenant: bool,
    pub(super) terms: Terms,
}

impl Shape<'_> {
    /// Whether an operation of this shape can answer a code.
    fn can_answer(&self, code: Code, operation: &Operation) -> bool {
        let is = |ids: &[&str]| ids.contains(&id(operation));
        let about = |thing: &str| self.path.contains(thing);
        // Those of OAuth say themselves how they fail.
        let takes_a_body = operation.request_body.is_some() && !about("/oauth/");
        match code {
            // Those of paths and methods that are none.
            Code::NotFound | Code::MethodNotAllowed => false,
            Code::Unavailable => self.api || is(&["getReadiness"]),
            Code::InsufficientPermissions => self.gated,
            Code::InvalidTenantId | Code::TooManyRequests => self.gated || is(&["signIn"]),
            Code::Unauthenticated => self.gated || is(&["signIn", "refreshSession", "setPassword"]),
            Code::NotAcceptable | Code::ValidationFailed | Code::Internal => self.api,
            Code::MalformedRequest
            | Code::RequestTimeout
            | Code::PayloadTooLarge
            | Code::UnsupportedMediaType => takes_a_body,
            Code::TenantSuspended => {
                self.changes_within_a_tenant(operation) || is(&["setPassword"])
            }
            Code::PlatformProtected => is(&["suspendTenant", "deleteTenant"]),
            Code::TenantNotFound => self.gated && self.names_a_tenant,
            // A repetition of making somebody who has been erased since.
            Code::UserNotFound => about("/users/{id}") || is(&["createUser"]),
            Code::ApiKeyNotFound => about("/api-keys/{id}"),
            Code::OauthClientNotFound => about("/oauth-clients/{id}"),
            Code::CredentialNotFound => about("/credentials/{integrationId}/{id}"),
            Code::RealmNotFound => about("/realms/{name}"),
            Code::RealmNameTaken => is(&["createRealm"]),
            Code::IssuerTaken => is(&["createRealm", "updateRealm"]),
            Code::TenantIdTaken => is(&["createTenant"]),
            Code::EmailTaken | Code::ExternalIdTaken => is(&["createUser", "updateUser"]),
            Code::AlreadyRevoked => is(&["revokeApiKey", "rotateApiKey"]),
            Code::ApiKeyExpired => is(&["rotateApiKey"]),
            Code::UserNotInvitable => is(&["inviteUser"]),
            Code::PublicClient => is(&["rotateOauthClientSecret"]),
            Code::IdempotencyInFlight | Code::IdempotencyKeyReused => self.terms == Terms::Makes,
            Code::PreconditionFailed => self.terms == Terms::Changes,
        }
    }

    /// Whether it is a change that a principal of the tenant itself may make.
    fn changes_within_a_tenant(&self, operation: &Operation) -> bool {
        let by_tenants = super::scope(operation).is_some();
        by_tenants && self.method != "get" && id(operation) != "validateApiKey"
    }

    /// Adds the failures to an operation. One that several operations have is told of once.
    pub(super) fn complete(&self, operation: &mut Operation, components: &mut Components) {
        let mut by_status: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for &code in Code::ALL.iter().filter(|code| self.can_answer(**code, operation)) {
            by_status.entry(code.status().as_u16()).or_default().push(code);
        }
        for (status, codes) in by_status {
            let mut samples: Vec<_> =
                codes.iter().map(|code| (code.as_str(), sample(*code))).collect();
            if status == 422 && id(operation) == "importUsers" {
                samples.insert(0, ("VALIDATION_FAILED.lines", bad_lines()));
            }
            let names: Vec<_> = samples.iter().map(|(name, _)| *name).collect();
            let name = names.join("-");
            let told = components.responses.entry(name.clone());
            told.or_insert_with(|| RefOr::T(response(&codes, &names)));
            operation.responses.responses.insert(status.to_string(), common("responses", &name));
            for (name, error) in samples {
                let body = serde_json::to_value(error.failure(REQUEST, AT)).ok();
                let example = ExampleBuilder::new().summary(name).value(body).build();
                components.examples.insert(name.to_owned(), RefOr::T(example));
            }
        }
    }
}

fn response(codes: &[Code], examples: &[&str]) -> Response {
    let meanings = codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.meaning()));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Failure")))
        .examples_from_iter(
            examples.iter().map(|name| ((*name).to_owned(), common("examples", name))),
        )
        .build();
    let mut response = ResponseBuilder::new()
        .description(meanings.collect::<Vec<_>>().join("\n"))
        .content("application/json", content)
        .build();
    tell(&mut response, REQUEST_ID);
    if codes.contains(&Code::Unauthenticated) {
        tell(&mut response, CHALLENGE);
    }
    if codes.contains(&Code::Unavailable) || codes.contains(&Code::TooManyRequests) {
        tell(&mut response, RETRY_AFTER);
    }
    response
}

/// An error that is answered with this code.
fn sample(code: Code) -> ApiError {
    let error = match code {
        Code::InvalidTenantId => Error::InvalidTenantId("tenantId"),
        Code::MalformedRequest => Error::Malformed("the body is not JSON".to_owned()),
        Code::Unauthenticated => Error::Unauthenticated(AuthFailure::Expired),
        Code::InsufficientPermissions => Error::Denied(Denied::InsufficientPermissions),
        Code::TenantSuspended => Error::Denied(Denied::TenantSuspended),
        Code::PlatformProtected => Error::Denied(Denied::PlatformProtected),
        Code::TenantNotFound => Error::NotFound(Missing::Tenant),
        Code::UserNotFound => Error::NotFound(Missing::User),
        Code::ApiKeyNotFound => Error::NotFound(Missing::ApiKey),
        Code::OauthClientNotFound => Error::NotFound(Missing::OauthClient),
        Code::CredentialNotFound => Error::NotFound(Missing::Credential),
        Code::RealmNotFound => Error::NotFound(Missing::Realm),
        Code::RealmNameTaken => Error::Conflict(Conflict::RealmName),
        Code::IssuerTaken => Error::Conflict(Conflict::Issuer),
        Code::TenantIdTaken => Error::Conflict(Conflict::TenantId),
        Code::EmailTaken => Error::Conflict(Conflict::Email),
        Code::ExternalIdTaken => Error::Conflict(Conflict::ExternalId),
        Code::AlreadyRevoked => Error::Conflict(Conflict::AlreadyRevoked),
        Code::ApiKeyExpired => Error::Conflict(Conflict::ApiKeyExpired),
        Code::UserNotInvitable => Error::Conflict(Conflict::UserNotInvitable),
        Code::PublicClient => Error::Conflict(Conflict::PublicClient),
        Code::IdempotencyInFlight => Error::Conflict(Conflict::InFlight),
        Code::PreconditionFailed => Error::PreconditionFailed,
        Code::ValidationFailed => Error::invalid("colour", "is not known here"),
        Code::IdempotencyKeyReused => Error::IdempotencyKeyReused,
        Code::TooManyRequests => Error::TooManyRequests { seconds: 1 },
        Code::Internal => Error::internal(""),
        Code::Unavailable => Error::Unavailable(String::new()),
        Code::NotFound => return ApiError::UnknownPath,
        Code::MethodNotAllowed => return ApiError::MethodNotAllowed,
        Code::NotAcceptable => return ApiError::NotAcceptable,
        Code::RequestTimeout => return ApiError::BodyTimedOut,
        Code::PayloadTooLarge => return ApiError::PayloadTooLarge(1024 * 1024),
        Code::UnsupportedMediaType => return ApiError::UnsupportedMediaType("application/json"),
    };
    error.into()
}

fn bad_lines() -> ApiError {
    let line = |line, field: &str, problem: &str| LineError {
        line,
        field: field.to_owned(),
        problem: problem.to_owned(),
    };
    let lines = vec![line(2, "email", "is required"), line(7, "line", "must be a JSON object")];
    Error::InvalidLines { total: 2, lines }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_its_code() {
        for &code in Code::ALL {
            assert_eq!(sample(code).code(), code);
        }
    }
}
