//! Who calls, and the numbers.

use std::sync::Arc;

use async_trait::async_trait;
use tenantry_domain::access::{
    Bearer, BearerId, CallerProbe, CallerState, CallerUser, ExternalPerson, TenantAccess, TokenIds,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::{Change, Counts};
use tenantry_domain::guarded::Guarded;
use tenantry_domain::id::{SessionId, TenantId, TokenId, UserId};
use tenantry_domain::realm::RealmStanding;
use tenantry_domain::stats::Statistics;
use tenantry_domain::tenant::TenantStatus;
use tenantry_domain::user::{ExternalId, UserRoles, UserStatus};
use tenantry_store::Statistician;
use tenantry_store::posting::kind_from;
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Word, count_columns, params};
use crate::standing::Standing;
use crate::{api_keys, oauth_clients, tenants};

/// Whether a token was ended before its time, or its session, or its key is gone: by the tenant ($1),
/// the token ($3), its session ($4) and its key ($5).
macro_rules! is_ended {
    () => {
        "EXISTS (SELECT 1 FROM revoked_tokens WHERE tenant_id = $1 AND token_id IN ($3, $4))
             OR $5::text IS NOT NULL AND NOT EXISTS (SELECT 1 FROM signing_keys WHERE kid = $5)"
    };
}
pub(crate) use is_ended;

/// Nobody of whom anything is known.
pub(crate) const NOBODY: CallerState = CallerState { tenant: None, bearer: None, is_ended: false };

#[async_trait]
impl Statistician for PostgresStore {
    async fn caller_state(
        &self,
        probe: &CallerProbe,
    ) -> tenantry_domain::error::Result<CallerState> {
        let clock = self.context.clock.now();
        self.read([ask_caller(Some(probe))], |[found]| read_caller(Some(probe), &found, clock))
            .await
    }

    async fn statistics(
        &self,
        probe: &CallerProbe,
        tenant: TenantId,
    ) -> tenantry_domain::error::Result<(CallerState, Guarded<Option<Statistics>>)> {
        // The clock is read before the database: the answer then holds everything that was done
        // before its instant.
        let clock = self.context.clock.now();
        let asked = [ask_caller(Some(probe)), Standing::ask(tenant, clock)];
        self.read(asked, |[caller, standing]| {
            let standing = Standing::read(tenant, clock, &standing)?;
            let statistics = standing.map(Standing::statistics);
            Ok((read_caller(Some(probe), &caller, clock)?, Guarded::new(tenant, statistics)))
        })
        .await
    }

    async fn counts_at(
        &self,
        access: &TenantAccess,
        at: Timestamp,
    ) -> tenantry_domain::error::Result<Option<Counts>> {
        let tenant = access.tenant();
        self.retried(|| async {
            let mut session = self.database.snapshot().await?;
            counts_at(&mut session, tenant, at).await
        })
        .await
    }
}

/// Asks what a caller is worth now, if there is one to ask for.
pub(crate) fn ask_caller(probe: Option<&CallerProbe>) -> Command {
    let user = match probe {
        Some(CallerProbe { tenant, bearer: Some(BearerId::ApiKey(secret)), .. }) => {
            return api_keys::ask_presented(*tenant, *secret);
        }
        Some(CallerProbe { tenant, bearer: Some(BearerId::Client(client)), token }) => {
            return oauth_clients::ask_calling(*tenant, *client, token.as_ref());
        }
        Some(CallerProbe { tenant, bearer: Some(BearerId::External(id)), .. }) => {
            return ask_external(*tenant, id);
        }
        Some(CallerProbe { bearer: Some(BearerId::User(user)), .. }) => Some(*user),
        Some(CallerProbe { bearer: None, .. }) | None => None,
    };
    let (token, session, key) = ids(probe.and_then(|it| it.token.as_ref()));
    let sql = concat!(
        "SELECT t.status, ",
        is_ended!(),
        ", u.status, u.tenant_admin, u.member, u.email, u.name
         FROM tenants t
             LEFT JOIN users u ON u.tenant_id = t.tenant_id AND u.tenant_id = $1 AND u.user_id = $2
         WHERE t.tenant_id = $1 AND t.status <> 'deleted'"
    );
    Command::new(sql, params![probe.map(|it| it.tenant), user, token, session, key])
}

/// What a token is looked for by among those that were ended, and its key among those that are there.
pub(crate) fn ids(token: Option<&TokenIds>) -> (Option<TokenId>, Option<SessionId>, Option<&str>) {
    (token.map(|it| it.id), token.and_then(|it| it.session), token.map(|it| &*it.key))
}

/// Asks for a tenant, for somebody of an external realm in it, and for the realm.
fn ask_external(tenant: TenantId, id: &ExternalId) -> Command {
    Command::new(
        "SELECT t.status, false, u.status, u.tenant_admin, u.member, u.email, u.name, u.user_id,
             t.realm_name, r.revision, r.platform
         FROM tenants t
             LEFT JOIN users u ON u.tenant_id = t.tenant_id AND u.tenant_id = $1
                 AND u.external_realm = $2 AND u.external_subject = $3
             LEFT JOIN realms r ON r.name = $2
         WHERE t.tenant_id = $1 AND t.status <> 'deleted'",
        params![tenant, &id.realm, &id.subject],
    )
}

/// What was found of a caller.
pub(crate) fn read_caller(
    probe: Option<&CallerProbe>,
    found: &[Row],
    clock: Timestamp,
) -> Result<CallerState> {
    let Some(row) = found.first() else { return Ok(NOBODY) };
    let tenant = Some(row.try_get::<_, Word<TenantStatus>>(0)?.0);
    let bearer = probe.and_then(|it| it.bearer.as_ref());
    if let Some(BearerId::ApiKey(_)) = bearer {
        let bearer = api_keys::read_presented(row, clock)?;
        return Ok(CallerState { tenant, bearer, is_ended: false });
    }
    let is_ended = row.try_get(1)?;
    if let Some(BearerId::Client(_)) = bearer {
        let client = oauth_clients::read_calling(row)?;
        let bearer = client.map(|client| Bearer::Client(Arc::new(client)));
        return Ok(CallerState { tenant, bearer, is_ended });
    }
    let user = match row.try_get::<_, Option<Word<UserStatus>>>(2)? {
        None => None,
        Some(Word(status)) => Some(CallerUser {
            status,
            roles: UserRoles { tenant_admin: row.try_get(3)?, member: row.try_get(4)? },
            email: row.try_get(5)?,
            name: row.try_get(6)?,
        }),
    };
    let bearer = match bearer {
        Some(BearerId::External(_)) => {
            let id: Option<uuid::Uuid> = row.try_get(7)?;
            let user = id.map(UserId::from_uuid).zip(user);
            let person = Arc::new(ExternalPerson { tenant_realm: row.try_get(8)?, user });
            let revision = row.number_if_any(9)?;
            let realm = revision.zip(row.try_get(10)?);
            let realm = realm.map(|(revision, platform)| RealmStanding { revision, platform });
            Some(Bearer::External { person, realm })
        }
        _ => user.map(|user| Bearer::User(Arc::new(user))),
    };
    Ok(CallerState { tenant, bearer, is_ended })
}

/// The counts after the last entry not later than `at`, corrected by what expired between the two.
/// Only after the newest entry can anything have expired without an entry of its own.
async fn counts_at(
    session: &mut Session,
    tenant: TenantId,
    at: Timestamp,
) -> Result<Option<Counts>> {
    let entry = concat!(
        "SELECT ",
        count_columns!(),
        " FROM ledger WHERE tenant_id = $1 AND at <= $2 ORDER BY at DESC, seq DESC LIMIT 1"
    );
    let due = "SELECT kind, sum(rows)::bigint FROM expiries
         WHERE tenant_id = $1 AND due_at <= $2 GROUP BY kind";
    let [status, entry, due] = session
        .each([
            tenants::ask_status(tenant),
            Command::new(entry, params![tenant, at]),
            Command::new(due, params![tenant, at]),
        ])
        .await?;
    tenants::require(&status)?;
    let Some(entry) = entry.first() else { return Ok(None) };
    let mut counts = entry.counts(0)?;
    for row in &due {
        let change = Change::Expired { kind: kind_from(row.try_get(0)?)?, rows: row.number(1)? };
        counts = counts.after(&change, at)?;
    }
    Ok(Some(counts))
}
