//! The headline: a tenant's statistics.

use axum::extract::{RawQuery, State};
use serde::Serialize;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::id::TenantId;
use tenantry_domain::stats::Statistics;
use utoipa::ToSchema;

use super::Answer;
use super::counts::{CredentialCounts, UserCounts};
use super::numbers::ExactMegabytes;
use super::schemas;
use crate::app::App;
use crate::envelope::Success;
use crate::extract::query::Query;
use crate::extract::scope::TenantScope;

const RETRIEVED: &str = "Tenant statistics retrieved successfully";

/// The statistics of a tenant. All of its numbers belong to one instant, `generatedAt`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantStatistics)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatisticsBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    tenant_id: TenantId,
    #[schema(max_length = 200)]
    tenant_name: &'a str,
    users: UserCounts,
    credentials: CredentialCounts,
    api_keys: ApiKeyStatistics,
    oauth_clients: OauthClientStatistics,
    usage: UsageStatistics,
    /// The latest counted call or change by one of the tenant's own principals.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_activity: Option<Timestamp>,
    /// The instant of all of this.
    #[schema(value_type = String, format = DateTime)]
    generated_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct ApiKeyStatistics {
    /// All of them, revoked and expired ones too.
    total: u64,
    /// Those neither revoked nor expired.
    active: u64,
    /// Those revoked.
    revoked: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct OauthClientStatistics {
    /// Active and disabled ones.
    total: u64,
    /// Those that may be used.
    active: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageStatistics {
    /// Calls received in this calendar month, in UTC.
    api_calls_this_month: u64,
    /// Calls received in the month before.
    api_calls_last_month: u64,
    /// What the tenant stores, in MB of 1,000,000 bytes, exactly.
    #[serde(rename = "storageUsedMB")]
    #[schema(schema_with = schemas::megabytes)]
    storage_used: ExactMegabytes,
    /// What it may store; null: no limit.
    #[serde(rename = "storageQuotaMB")]
    #[schema(schema_with = schemas::megabytes_or_null, required = true)]
    storage_quota: Option<ExactMegabytes>,
}

impl<'a> From<&'a Statistics> for StatisticsBody<'a> {
    fn from(statistics: &'a Statistics) -> Self {
        let counts = &statistics.counts;
        Self {
            tenant_id: statistics.tenant,
            tenant_name: statistics.tenant_name.as_str(),
            users: counts.into(),
            credentials: counts.into(),
            api_keys: ApiKeyStatistics {
                total: counts.api_keys(),
                active: counts.api_keys_active,
                revoked: counts.api_keys_revoked,
            },
            oauth_clients: OauthClientStatistics {
                total: counts.oauth_clients(),
                active: counts.oauth_clients_active,
            },
            usage: UsageStatistics {
                api_calls_this_month: statistics.calls_this_month,
                api_calls_last_month: statistics.calls_last_month,
                storage_used: ExactMegabytes(statistics.storage_used),
                storage_quota: statistics.storage_quota.map(ExactMegabytes),
            },
            last_activity: statistics.last_activity,
            generated_at: statistics.generated_at,
        }
    }
}

fn envelope(statistics: &Statistics) -> Success<StatisticsBody<'_>> {
    Success::new(RETRIEVED, statistics.into(), statistics.generated_at)
}

/// The JSON that the API answers for these statistics, on several lines.
pub fn statistics_json(statistics: &Statistics) -> String {
    serde_json::to_string_pretty(&envelope(statistics)).unwrap_or_default()
}

/// Statistics of a tenant
///
/// Exact and current: a read that begins after a write or a counted call was answered includes it.
/// A super admin reads any tenant, a tenant admin its own.
#[utoipa::path(
    get,
    path = "/admin/tenants/{tenantId}/stats",
    operation_id = "getTenantStatistics",
    tag = "Statistics",
    responses((status = 200, description = "The statistics.", body = Success<StatisticsBody<'_>>)),
    extensions(("x-tenantry-access" = json!("stats:read")))
)]
pub(crate) async fn tenant_statistics(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let TenantScope { gated, acting_in, target, .. } = &scope;
    let of = async |principal| {
        app.service.statistics(principal, gated.ip, &gated.call, *acting_in, *target).await
    };
    let statistics = match of(&gated.principal).await {
        Ok(statistics) => statistics,
        Err(refused) => of(&gated.anew(&app, refused).await?).await?,
    };
    Query::none(query.as_deref())?;
    envelope(&statistics).respond()
}
