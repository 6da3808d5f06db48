//! What is posted to a tenant's ledger, whichever the database.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::{Change, ExpiringKind};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::{Action, ActorInfo, ActorKind, Event, Head};
use tenantry_domain::session::{Session, SessionSubject};

/// Instants of expiry that are settled in one transaction, so that no change holds up the others for
/// long.
pub const SETTLE_AT_ONCE: usize = 200;

/// An action, and how it moves the counts.
#[derive(Debug, Clone)]
pub struct Deed {
    /// What happened.
    pub action: Action,
    /// How it moves the counts.
    pub change: Change,
    /// What it happened to.
    pub resource_id: String,
    /// What else is worth knowing; never a secret.
    pub details: serde_json::Value,
}

impl Deed {
    /// What the bearer of `access` does at `at`.
    pub fn by(self, access: &TenantAccess, at: Timestamp) -> Event {
        let actor = access.actor();
        Event {
            tenant: access.tenant(),
            at,
            action: self.action,
            rows: self.change.rows(),
            change: self.change,
            actor_kind: actor.kind,
            actor_id: actor.id.clone(),
            actor_info: actor.info.clone(),
            own: access.is_own(),
            resource_id: self.resource_id,
            details: self.details,
        }
    }
}

/// What a session's beginning and end are in the ledger: a person signs in and out, and the tokens of a
/// client come and go.
impl Deed {
    /// The beginning, if it is worth an entry.
    pub fn beginning(session: &Session) -> Option<Self> {
        let SessionSubject::User(user) = session.subject else { return None };
        Some(Self::of_session(Action::UserSignedIn, user, session))
    }

    /// The end, before its time.
    pub fn ending(session: &Session) -> Self {
        if let SessionSubject::User(user) = session.subject {
            return Self::of_session(Action::UserSignedOut, user, session);
        }
        Self {
            action: Action::TokenRevoked,
            change: Change::None,
            resource_id: session.id.to_string(),
            details: serde_json::json!({ "expiresAt": session.expires_at }),
        }
    }

    fn of_session(action: Action, user: UserId, session: &Session) -> Self {
        let details = serde_json::json!({ "sessionId": session.id });
        Self { action, change: Change::None, resource_id: user.to_string(), details }
    }
}

/// How much was settled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settlement {
    /// Instants.
    pub instants: usize,
    /// Entries: one for each kind and instant.
    pub entries: u64,
}

/// Things of a kind that expire at one instant, as the schedule has them.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// The instant.
    pub at: Timestamp,
    /// What expires.
    pub kind: ExpiringKind,
    /// How many.
    pub rows: u64,
}

impl Due {
    /// Their expiry, as the next entry after `head`.
    pub fn event(self, tenant: TenantId, head: &Head) -> Event {
        let Self { at, kind, rows } = self;
        Event {
            tenant,
            at: at.max(head.at),
            action: kind.into(),
            change: Change::Expired { kind, rows },
            actor_kind: ActorKind::System,
            actor_id: "clock".to_owned(),
            actor_info: ActorInfo::default(),
            own: false,
            resource_id: String::new(),
            rows,
            details: serde_json::json!({"expiresAt": at}),
        }
    }
}

/// The kind's name in the schedule.
pub fn kind_name(kind: ExpiringKind) -> &'static str {
    Action::from(kind).resource().as_str()
}

/// The kind with this name in the schedule.
pub fn kind_from(name: &str) -> Result<ExpiringKind> {
    [ExpiringKind::Credential, ExpiringKind::ApiKey]
        .into_iter()
        .find(|kind| kind_name(*kind) == name)
        .ok_or_else(|| Error::internal(format!("unknown kind of expiry: {name}")))
}
