//! The ledger, as the audit log.

use std::net::IpAddr;
use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::value::RawValue;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::EntryId;
use tenantry_domain::ledger::{Action, ActorInfo, ActorKind, Entry, Erasable, ResourceKind};
use tenantry_domain::scope::Scope;
use tenantry_store::EntryFilter;
use utoipa::{IntoParams, ToSchema};

use super::counts::CountsBody;
use super::lists::{OffsetParams, PageBody};
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, ok};
use crate::extract::query::Query;
use crate::extract::scope::CallerScope;
use crate::extract::values::{ACTOR_MAX, line_of};

/// One entry of a tenant's ledger. What is personal in it can be erased; it is null then.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: EntryId,
    /// Its number in the ledger, from 1 without a gap.
    #[schema(minimum = 1)]
    seq: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(schema_with = schemas::action)]
    action: Action,
    /// The part of the administration that the action belongs to.
    category: &'static str,
    actor: ActorBody<'a>,
    resource: ResourceBody<'a>,
    /// How many things it happened to.
    count: u64,
    #[schema(schema_with = schemas::details, required = true)]
    details: Option<Box<RawValue>>,
    /// The tenant's counts after it.
    counts: CountsBody,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
#[serde(rename_all = "camelCase")]
struct ActorBody<'a> {
    #[serde(rename = "type")]
    #[schema(schema_with = schemas::actor_kind)]
    kind: ActorKind,
    /// A user's id, a token's id, or the name of a part of Tenantry.
    id: &'a str,
    #[schema(required = true)]
    name: Option<String>,
    #[schema(required = true)]
    email: Option<String>,
    #[schema(value_type = Option<String>, required = true)]
    ip_address: Option<IpAddr>,
}

/// What it happened to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditResource)]
struct ResourceBody<'a> {
    #[serde(rename = "type")]
    #[schema(schema_with = schemas::resource_kind)]
    kind: ResourceKind,
    id: &'a str,
}

/// The clear text of what can be erased.
fn clear(erasable: &Erasable) -> Option<&str> {
    erasable.clear.as_ref().map(|clear| clear.json.as_str())
}

impl<'a> EntryBody<'a> {
    fn new(entry: &'a Entry) -> Result<Self> {
        let info: ActorInfo = clear(&entry.actor_info)
            .map_or(Ok(ActorInfo::default()), serde_json::from_str)
            .map_err(Error::internal)?;
        let details = clear(&entry.details)
            .map(|json| RawValue::from_string(json.to_owned()))
            .transpose()
            .map_err(Error::internal)?;
        Ok(Self {
            id: entry.id,
            seq: entry.seq,
            at: entry.at,
            action: entry.action,
            category: entry.action.category(),
            actor: ActorBody {
                kind: entry.actor_kind,
                id: &entry.actor_id,
                name: info.name,
                email: info.email,
                ip_address: info.ip_address,
            },
            resource: ResourceBody { kind: entry.action.resource(), id: &entry.resource_id },
            count: entry.rows,
            details,
            counts: (&entry.counts).into(),
        })
    }
}

/// Whose entries to list, and which.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct AuditParams {
    /// The tenant; the one that `x-tenantid` names unless given.
    #[param(format = "uuid")]
    tenant_id: Option<String>,
    /// Those that say this happened.
    #[param(inline, value_type = Option<schemas::of::Action>)]
    action: Option<String>,
    /// Those by this actor.
    #[param(inline, value_type = Option<schemas::of::ActorId>)]
    actor_id: Option<String>,
    /// Those not before this instant.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Those before this instant, which must be after `from`.
    #[param(format = DateTime)]
    to: Option<String>,
}

pub(crate) fn read_query(mut query: Query) -> Result<(EntryFilter, u32, u64)> {
    let filter = EntryFilter {
        action: query.take("action", Action::from_str),
        actor_id: query.take("actorId", line_of(ACTOR_MAX)),
        from: query.take("from", Timestamp::from_str),
        to: query.take("to", Timestamp::from_str),
    };
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        query.problem("from", "must be before to");
    }
    let limit = query.limit();
    let offset = query.offset().unwrap_or_default();
    query.finish()?;
    Ok((filter, limit, offset))
}

/// List the entries of a tenant's audit log, newest first
#[utoipa::path(
    get,
    path = "/admin/audit-logs",
    operation_id = "listAuditLogs",
    tag = "Audit log",
    params(AuditParams, OffsetParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<EntryBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("audit:read")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let caller = scope.admit(&app).await?;
    let mut query = Query::parse(query.as_deref());
    let target = match query.remove("tenantId") {
        Some(text) => text.parse().map_err(|_| Error::InvalidTenantId("tenantId"))?,
        None => scope.acting_in,
    };
    let access = caller.authorize(scope.acting_in, target, Scope::AuditRead)?;
    let said = read_query(query);
    let (filter, limit, offset) = unless_missing(said, app.service.tenant(&access)).await?;
    let entries = app.service.list_entries(&access, &filter, limit, offset).await?;
    let items: Vec<_> = entries.items.iter().map(EntryBody::new).collect::<Result<_>>()?;
    let page = PageBody::without_cursor(items, entries.total, limit, offset);
    ok(&app, "Audit log retrieved successfully", page)
}
