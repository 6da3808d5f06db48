//! Who calls and which tenants the request names: everything that authorization needs.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use tenantry_domain::access::{Caller, Permission, PlatformAccess, Principal, TenantAccess};
use tenantry_domain::error::{Error, Missing, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::realm::RealmName;
use tenantry_domain::usage::Call;

use super::accept::accepts_json;
use super::terms::Terms;
use crate::app::{App, AppState};
use crate::error::ApiError;
use crate::middleware::ExternalToken;

/// The header that names the tenant a caller acts in.
const X_TENANT_ID: &str = "x-tenantid";

/// A request that has passed the gate: a realm vouches for who calls. What that is worth now only
/// the store can tell.
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    pub(crate) principal: Principal,
    /// What says so, if an external realm vouches for it.
    pub(crate) external: Option<ExternalToken>,
    /// Where it comes from.
    pub(crate) ip: Option<IpAddr>,
    /// The call to count.
    pub(crate) call: Arc<Call>,
}

impl Gated {
    /// Asks the store what the caller is worth now.
    pub(crate) async fn admit(&self, app: &AppState) -> Result<Caller> {
        let call = || Some(Arc::clone(&self.call));
        match app.service.admit(&self.principal, self.ip, call()).await {
            Ok(caller) => Ok(caller),
            Err(refused) => {
                let principal = self.anew(app, refused).await?;
                app.service.admit(&principal, self.ip, call()).await
            }
        }
    }

    /// Whoever the token of a principal that was refused says is calling by what its realm is now:
    /// another process can have changed the realm. Fails as before if nothing has changed.
    pub(crate) async fn anew(&self, app: &AppState, refused: Error) -> Result<Principal> {
        let (Error::Unauthenticated(_), Some(external)) = (&refused, &self.external) else {
            return Err(refused);
        };
        let (token, realm) = external.presented().map_err(Error::Unauthenticated)?;
        let anew = app.service.authenticate_anew(token, realm, &self.principal).await?;
        // A call counts for the tenant that it was received for.
        anew.filter(|it| it.tenant == self.principal.tenant).ok_or(refused)
    }
}

/// The error for a caller that was let in, unless it may not be let in any more: that comes first,
/// whatever else is wrong with the request.
pub(crate) async fn admitted(app: &AppState, gated: Option<Gated>, error: ApiError) -> ApiError {
    match gated {
        None => error,
        Some(gated) => gated.admit(app).await.map_or_else(ApiError::from, |_| error),
    }
}

impl OptionalFromRequestParts<App> for Gated {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _app: &App,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A request whose path names no tenant.
#[derive(Debug)]
pub(crate) struct CallerScope {
    gated: Gated,
    /// The terms on which the request is made.
    pub(crate) terms: Terms,
    /// The tenant that the header names.
    pub(crate) acting_in: TenantId,
}

impl CallerScope {
    /// Asks the store what the caller is worth now.
    pub(crate) async fn admit(&self, app: &AppState) -> Result<Caller> {
        let caller = self.gated.admit(app).await?;
        Ok(caller.with_if_match(self.terms.if_match.clone()))
    }

    /// Authority over the tenant that the header names.
    pub(crate) async fn authorize(
        &self,
        app: &AppState,
        permission: impl Into<Permission>,
    ) -> Result<TenantAccess> {
        self.admit(app).await?.authorize(self.acting_in, self.acting_in, permission)
    }

    /// Authority over the platform.
    pub(crate) async fn authorize_platform(&self, app: &AppState) -> Result<PlatformAccess> {
        self.admit(app).await?.authorize_platform()
    }
}

impl FromRequestParts<App> for CallerScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let gated = gated(parts)?;
        match named_in_header(&parts.headers) {
            Ok(acting_in) => Ok(Self { gated, terms: Terms::of(parts), acting_in }),
            Err(error) => Err(admitted(app, Some(gated), error).await),
        }
    }
}

/// A request whose path names a tenant.
#[derive(Debug)]
pub(crate) struct TenantScope {
    pub(crate) gated: Gated,
    /// The terms on which the request is made.
    pub(crate) terms: Terms,
    /// The tenant that the header names.
    pub(crate) acting_in: TenantId,
    /// The tenant that the path names.
    pub(crate) target: TenantId,
}

impl TenantScope {
    /// Authority over the tenant that the path names.
    pub(crate) async fn authorize(
        &self,
        app: &AppState,
        permission: impl Into<Permission>,
    ) -> Result<TenantAccess> {
        let caller = self.gated.admit(app).await?;
        let caller = caller.with_if_match(self.terms.if_match.clone());
        caller.authorize(self.acting_in, self.target, permission)
    }
}

impl FromRequestParts<App> for TenantScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let gated = gated(parts)?;
        let target = in_path(parts, "tenantId");
        let named = named_in_header(&parts.headers).and_then(|acting_in| {
            let target = target.ok_or(Error::InvalidTenantId("tenantId"))?;
            Ok((acting_in, target))
        });
        match named {
            Ok((acting_in, target)) => {
                Ok(Self { gated, terms: Terms::of(parts), acting_in, target })
            }
            Err(error) => Err(admitted(app, Some(gated), error).await),
        }
    }
}

/// The thing that `{id}` in the path names, if what it says can name one.
#[derive(Debug)]
pub(crate) struct IdInPath<T>(Option<T>);

impl<T> IdInPath<T> {
    /// The id. Something that is no id is nobody's id.
    pub(crate) fn or(self, missing: Missing) -> Result<T> {
        self.0.ok_or(Error::NotFound(missing))
    }
}

impl<T: FromStr> FromRequestParts<App> for IdInPath<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Infallible> {
        Ok(Self(in_path(parts, "id")))
    }
}

/// The realm that `{name}` in the path names, if what it says can name one.
#[derive(Debug)]
pub(crate) struct RealmInPath(Option<RealmName>);

impl RealmInPath {
    /// The name. Something that is no name is nobody's name.
    pub(crate) fn or(self, missing: Missing) -> Result<RealmName> {
        self.0.ok_or(Error::NotFound(missing))
    }
}

impl FromRequestParts<App> for RealmInPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Infallible> {
        Ok(Self(in_path(parts, "name")))
    }
}

fn gated(parts: &Parts) -> Result<Gated> {
    let gated = parts.extensions.get::<Gated>().cloned();
    gated.ok_or_else(|| Error::internal("a route that needs the gate lies outside of it"))
}

/// The tenant that the header names, once the caller has been found to take JSON.
pub(crate) fn named_in_header(headers: &HeaderMap) -> Result<TenantId, ApiError> {
    if !accepts_json(headers) {
        return Err(ApiError::NotAcceptable);
    }
    let mut values = headers.get_all(X_TENANT_ID).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let id = value.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    id.ok_or(ApiError::UseCase(Error::InvalidTenantId(X_TENANT_ID)))
}

/// An id in the path, each by itself: another one that is no text does not spoil it.
pub(crate) fn in_path<T: FromStr>(parts: &Parts, wanted: &str) -> Option<T> {
    let route = parts.extensions.get::<MatchedPath>()?.as_str().split('/');
    let is_named = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        name.is_some_and(|it| it == wanted)
    };
    let (_, text) =
        route.zip(parts.uri.path().split('/')).find(|(segment, _)| is_named(segment))?;
    percent_decode_str(text).decode_utf8().ok()?.parse().ok()
}
