//! What credentials look like in JSON, and how their bodies and queries are read.

use std::str::FromStr as _;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{
    AuthType, Credential, CredentialFilter, CredentialPatch, CredentialStatus, IntegrationId,
    SecretPart,
};
use tenantry_domain::credential_rules::{
    DESCRIPTION_MAX, EXPIRES_IN_MAX, check_secret_part, scopes, secret_problems,
};
use tenantry_domain::error::Result;
use tenantry_domain::id::CredentialId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::patch::Patch;
use tenantry_domain::tenant::check_settings;
use tenantry_domain::text::Name;
use tenantry_security::secret::SecretText;
use tenantry_service::{CredentialDraft, CredentialSecret, RevealedCredential};
use utoipa::{IntoParams, ToSchema};

use super::schemas;
use crate::extract::members::{Members, integer_in, secret, string, strings};
use crate::extract::query::Query;
use crate::extract::values::{https_url, line_of};

/// A credential at a third party, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CredentialBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: CredentialId,
    /// The caller's own name of the integration it belongs to.
    #[schema(schema_with = schemas::integration_id)]
    integration_id: &'a str,
    credential_name: &'a str,
    #[schema(required = true)]
    description: Option<&'a str>,
    #[schema(schema_with = schemas::auth_type)]
    auth_type: AuthType,
    /// The scopes it has at the third party.
    #[schema(schema_with = schemas::credential_scopes)]
    scopes: &'a [String],
    #[schema(required = true, format = "uri")]
    token_endpoint: Option<&'a str>,
    #[schema(required = true, format = "uri")]
    authorization_endpoint: Option<&'a str>,
    #[schema(schema_with = schemas::metadata)]
    metadata: &'a Map<String, Value>,
    /// From this instant on it is expired; null: never.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> From<&'a Credential> for CredentialBody<'a> {
    fn from(credential: &'a Credential) -> Self {
        Self {
            id: credential.id,
            integration_id: credential.integration_id.as_str(),
            credential_name: credential.credential_name.as_str(),
            description: credential.description.as_deref(),
            auth_type: credential.auth_type,
            scopes: &credential.scopes,
            token_endpoint: credential.token_endpoint.as_deref(),
            authorization_endpoint: credential.authorization_endpoint.as_deref(),
            metadata: &credential.metadata,
            expires_at: credential.expires_at,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
        }
    }
}

/// A credential with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedCredential)]
pub(crate) struct RevealedBody<'a> {
    #[serde(flatten)]
    credential: CredentialBody<'a>,
    #[serde(serialize_with = "expose")]
    #[schema(value_type = SecretParts)]
    secret: &'a CredentialSecret,
}

impl<'a> From<&'a RevealedCredential> for RevealedBody<'a> {
    fn from(revealed: &'a RevealedCredential) -> Self {
        Self { credential: (&revealed.credential).into(), secret: &revealed.secret }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn expose<S: Serializer>(secret: &&CredentialSecret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(secret.parts().iter().map(|(part, text)| (part, text.expose())))
}

/// The parts of a secret, as the type takes them: `oauth2_bearer` `accessToken` and, if there is
/// one, `refreshToken`; `oauth2_client_credentials` `clientId` and `clientSecret`; `api_key`
/// `apiKey`; `basic_auth` `username` and `password`; `bearer_token` `accessToken`; `jwt` and `saml`
/// `assertion`; `custom` at least one of all.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "this is how the document tells it")]
struct SecretParts {
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    access_token: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    refresh_token: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    client_id: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    client_secret: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    password: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    api_key: Option<String>,
    #[schema(min_length = 1, max_length = 65536, nullable = false)]
    assertion: Option<String>,
}

/// A credential to be put into the vault: what may be known of it, and the parts of its secret, all
/// that its type needs and no other.
#[derive(ToSchema)]
#[schema(as = NewCredential)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewCredentialBody {
    #[schema(schema_with = schemas::integration_id)]
    integration_id: String,
    #[schema(schema_with = schemas::name)]
    credential_name: String,
    #[schema(schema_with = schemas::description_or_null, required = false)]
    description: Option<String>,
    /// It does not change.
    #[schema(schema_with = schemas::auth_type)]
    auth_type: String,
    #[schema(schema_with = schemas::credential_scopes, required = false)]
    scopes: Option<Vec<String>>,
    #[schema(schema_with = schemas::https_url_or_null, required = false)]
    token_endpoint: Option<String>,
    #[schema(schema_with = schemas::https_url_or_null, required = false)]
    authorization_endpoint: Option<String>,
    #[schema(schema_with = schemas::metadata, required = false)]
    metadata: Option<Value>,
    /// In how many seconds it expires; not together with `expiresAt`.
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u32>,
    /// An instant to come; never unless given.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    access_token: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    refresh_token: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    client_id: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    client_secret: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    username: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    password: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    api_key: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    assertion: Option<String>,
}

/// A change of a credential: a merge patch (RFC 7396). Parts of a secret replace the whole secret,
/// so all that its type needs must be there.
#[derive(ToSchema)]
#[schema(as = CredentialPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct CredentialPatchBody {
    #[schema(schema_with = schemas::name, required = false)]
    credential_name: Option<String>,
    #[schema(schema_with = schemas::description_or_null, required = false)]
    description: Option<String>,
    #[schema(schema_with = schemas::credential_scopes, required = false)]
    scopes: Option<Vec<String>>,
    #[schema(schema_with = schemas::https_url_or_null, required = false)]
    token_endpoint: Option<String>,
    #[schema(schema_with = schemas::https_url_or_null, required = false)]
    authorization_endpoint: Option<String>,
    #[schema(schema_with = schemas::metadata, required = false)]
    metadata: Option<Value>,
    /// In how many seconds it expires; not together with `expiresAt`.
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u32>,
    /// An instant to come; null: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    access_token: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    refresh_token: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    client_id: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    client_secret: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    username: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    password: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    api_key: Option<String>,
    #[schema(schema_with = schemas::secret_part, required = false)]
    assertion: Option<String>,
}

/// Which credentials to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct CredentialParams {
    /// Those in this state.
    #[param(inline, value_type = Option<schemas::of::CredentialStatus>)]
    status: Option<String>,
    /// Those of this integration.
    #[param(inline, value_type = Option<schemas::of::IntegrationId>)]
    integration_id: Option<String>,
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::CredentialSort>)]
    sort: Option<String>,
}

/// Reads the parts of a secret, before anything else could fail and leave them behind.
fn read_parts(body: &mut Members) -> (Vec<SecretPart>, Vec<(SecretPart, SecretText)>) {
    let given: Vec<_> =
        SecretPart::ALL.iter().copied().filter(|part| body.has(part.as_str())).collect();
    let read = |part: &SecretPart| {
        let text = body.given(part.as_str(), secret(check_secret_part))?;
        Some((*part, text))
    };
    let parts = given.iter().filter_map(read).collect();
    (given, parts)
}

/// Notes what is wrong with the parts that were given, whatever is in them.
fn check_parts(body: &mut Members, auth_type: AuthType, given: &[SecretPart]) {
    for wrong in secret_problems(auth_type, given) {
        body.problem(&wrong.field, &wrong.problem);
    }
}

/// Reads `expiresIn` and `expiresAt`, of which one may be given.
fn read_expiry(body: &mut Members, now: Timestamp) -> Patch<Timestamp> {
    if body.has("expiresIn") && body.has("expiresAt") {
        body.problem("expiresIn", "must not be given together with expiresAt");
    }
    let expires_at = body.patch(
        "expiresAt",
        string(|text| {
            let at: Timestamp = text.parse().map_err(|problem| format!("{problem}"))?;
            if at > now { Ok(at) } else { Err("must be in the future".to_owned()) }
        }),
    );
    match body.patch("expiresIn", integer_in(1..=EXPIRES_IN_MAX)) {
        Patch::Keep => expires_at,
        Patch::Clear => Patch::Clear,
        Patch::Set(seconds) => Patch::Set(now.plus_millis(i64::from(seconds) * 1_000)),
    }
}

pub(super) fn read_new(mut body: Members, now: Timestamp) -> Result<CredentialDraft> {
    let (given, parts) = read_parts(&mut body);
    let integration_id = body.required("integrationId", string(IntegrationId::parse));
    let credential_name = body.required("credentialName", string(Name::parse));
    let description = body.optional("description", string(line_of(DESCRIPTION_MAX)));
    let auth_type = body.required("authType", string(AuthType::from_str));
    let scopes = body.given("scopes", strings(scopes)).unwrap_or_default();
    let token_endpoint = body.optional("tokenEndpoint", string(https_url));
    let authorization_endpoint = body.optional("authorizationEndpoint", string(https_url));
    let metadata = body.given("metadata", check_settings).unwrap_or_default();
    let expires_at = read_expiry(&mut body, now).set();
    if let Some(auth_type) = auth_type {
        check_parts(&mut body, auth_type, &given);
    }
    let secret = auth_type.and_then(|auth_type| CredentialSecret::new(auth_type, parts).ok());
    let named = integration_id.zip(credential_name);
    body.build(named.zip(secret).map(|((integration_id, credential_name), secret)| {
        CredentialDraft {
            integration_id,
            credential_name,
            description,
            scopes,
            token_endpoint,
            authorization_endpoint,
            metadata,
            expires_at,
            secret,
        }
    }))
}

pub(super) fn read_patch(
    mut body: Members,
    auth_type: AuthType,
    now: Timestamp,
) -> Result<(CredentialPatch, Option<CredentialSecret>)> {
    let (given, parts) = read_parts(&mut body);
    let patch = CredentialPatch {
        credential_name: body.given("credentialName", string(Name::parse)),
        description: body.patch("description", string(line_of(DESCRIPTION_MAX))),
        scopes: body.given("scopes", strings(scopes)),
        token_endpoint: body.patch("tokenEndpoint", string(https_url)),
        authorization_endpoint: body.patch("authorizationEndpoint", string(https_url)),
        metadata: body.given("metadata", |value| check_settings(value).map(Value::Object)),
        expires_at: read_expiry(&mut body, now),
        secret: None,
    };
    if given.is_empty() {
        return body.build(Some((patch, None)));
    }
    check_parts(&mut body, auth_type, &given);
    let secret = CredentialSecret::new(auth_type, parts).ok();
    body.build(secret.map(|secret| (patch, Some(secret))))
}

pub(crate) fn read_query(raw: Option<&str>) -> Result<(CredentialFilter, PageRequest<Credential>)> {
    let mut query = Query::parse(raw);
    let filter = CredentialFilter {
        status: query.take("status", CredentialStatus::from_str),
        integration_id: query.take("integrationId", IntegrationId::parse),
    };
    let page = query.page();
    query.finish()?;
    Ok((filter, page))
}
