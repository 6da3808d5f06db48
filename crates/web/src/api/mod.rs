//! One file per resource: what it looks like in JSON, and thin handlers.

pub(crate) mod api_keys;
pub(crate) mod audit_logs;
pub(crate) mod auth;
pub(crate) mod change;
mod counts;
pub(crate) mod credential_bodies;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod invitations;
mod lists;
pub(crate) mod meta;
mod numbers;
pub(crate) mod oauth;
pub(crate) mod oauth_bodies;
pub(crate) mod oauth_clients;
pub(crate) mod realms;
pub(crate) mod schemas;
pub(crate) mod statistics;
pub(crate) mod tenants;
pub(crate) mod user_imports;
pub(crate) mod users;

use axum::response::Response;
use tenantry_domain::error::Error;

use crate::error::ApiError;

/// What every handler answers.
pub(crate) type Answer = Result<Response, ApiError>;

/// What a request says, unless the thing it is about is not there: that comes first. So the thing
/// is looked for in vain only when the request is wrong anyway.
async fn unless_missing<T, U>(
    read: Result<T, impl Into<ApiError>>,
    thing: impl Future<Output = Result<U, Error>>,
) -> Result<T, ApiError> {
    match read {
        Ok(value) => Ok(value),
        Err(error) => {
            thing.await?;
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests;
