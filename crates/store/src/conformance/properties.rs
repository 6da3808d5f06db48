//! Random sequences of changes, calls and moves of the clock: after each step every number is the
//! one that the model counts, and at the end every past one too.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use tenantry_domain::clock::{Clock as _, Month, Timestamp};
use tenantry_domain::ledger::Action;
use tenantry_domain::usage::UsageEvent;
use uuid::Uuid;

use super::builders::{name, system};
use super::driver::{Driver, Outcome, Refusal};
use super::harness::{Factory, runtime};
use super::model::Tenant;
use super::port::Port;
use super::steps::{Change, Step, step};

/// How much to try.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Sequences.
    pub sequences: u32,
    /// Steps of each, at most.
    pub steps: usize,
    /// Whether the lists are looked at after each step, and not only after the last one.
    pub lists: bool,
}

/// Whatever happens in whatever order, a store's numbers are those of a recount.
pub fn random_sequences_match_a_recount(factory: &dyn Factory) {
    let effort = Effort { sequences: factory.sequences(), steps: 60, lists: false };
    random_sequences(effort, async || Port::new(factory.fixture().await));
}

/// Drives random sequences through a fresh driver each. Panics with the shortest one that it finds
/// to fail. `PROPTEST_RNG_SEED` repeats a run.
pub fn random_sequences<D: Driver>(effort: Effort, driver: impl AsyncFn() -> D) {
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..Config::with_cases(effort.sequences)
    };
    let runtime = runtime();
    let result = TestRunner::new(config).run(&vec(step(), 1..=effort.steps), |steps| {
        runtime.block_on(async {
            let mut world = World::new(driver().await).await;
            world.live(&steps, effort.lists).await;
            world.driver.end().await;
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// What is driven, and what it must show.
struct World<D> {
    driver: D,
    tenants: [Tenant; 2],
    /// Instants at which the tenants were read.
    seen: BTreeSet<Timestamp>,
}

impl<D: Driver> World<D> {
    async fn new(driver: D) -> Self {
        let tenants = [new_tenant(&driver, 1).await, new_tenant(&driver, 2).await];
        Self { driver, tenants, seen: BTreeSet::new() }
    }

    fn clock(&self) -> Timestamp {
        self.driver.clock().now()
    }

    async fn live(&mut self, steps: &[Step], lists: bool) {
        for step in steps {
            self.take(step).await;
            self.compare_the_statistics().await;
            if lists {
                self.compare_the_lists(step.about()).await;
            }
        }
        // Every instant seen is in the past now, whatever the clock did meanwhile.
        let last = self.seen.last().copied().unwrap();
        self.driver.clock().set(last.max(self.clock()));
        self.compare_the_lists(None).await;
        self.compare_the_past().await;
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Change { second, own, which, ref change } => {
                let tenant = &mut self.tenants[usize::from(second)];
                let id = change.about().map_or(Some(Uuid::nil()), |it| tenant.rows.pick(it, which));
                if let Some(id) = id {
                    change_tenant(&self.driver, tenant, own, change, id).await;
                }
            }
            Step::Calls { second, calls, ago, activity } => {
                let tenant = &mut self.tenants[usize::from(second)];
                let clock = self.driver.clock();
                clock.advance(-ago);
                let at = clock.now();
                self.driver.call(tenant.id, calls, activity).await;
                clock.advance(ago);
                tenant.calls.push((at, calls));
                tenant.last_activity = tenant.last_activity.max(activity.then_some(at));
            }
            Step::Report { second, source, id, ago, report } => {
                let tenant = &mut self.tenants[usize::from(second)];
                let time = self.driver.clock().now().plus_millis(-ago);
                let event =
                    UsageEvent { source: source.to_string(), id: id.to_string(), time, report };
                let store = self.driver.store();
                let outcomes = store.report_usage(&system(tenant.id), vec![event]).await.unwrap();
                assert_eq!(outcomes, [tenant.report(source, id, time, report)]);
            }
            Step::Replace { second } => {
                let tenant = &mut self.tenants[usize::from(second)];
                self.driver.delete_tenant(tenant.id).await;
                *tenant = new_tenant(&self.driver, 3).await;
            }
            Step::Move(millis) => self.driver.clock().advance(millis),
            Step::NextMonth => self.driver.clock().set(Month::of(self.clock()).next().start()),
            Step::Settle(limit) => {
                for tenant in &mut self.tenants {
                    catch_up(&self.driver, tenant).await;
                }
                let settled = self.driver.store().settle(limit).await.unwrap();
                // The limit is of instants, and two kinds of thing can expire at one.
                assert!(settled.entries <= 2 * limit as u64);
                let mut appended = 0;
                for tenant in &mut self.tenants {
                    appended += catch_up(&self.driver, tenant).await.len() as u64;
                }
                assert_eq!(appended, settled.entries);
            }
        }
    }

    async fn compare_the_statistics(&mut self) {
        for tenant in &self.tenants {
            let expected = tenant.statistics(self.clock());
            self.driver.assert_statistics(&expected).await;
            self.seen.insert(expected.generated_at);
        }
    }

    /// Compares the lists of one of the two tenants, or of both.
    async fn compare_the_lists(&self, second: Option<bool>) {
        for (number, tenant) in self.tenants.iter().enumerate() {
            if second.is_some_and(|second| usize::from(second) != number) {
                continue;
            }
            for (list, total) in tenant.rows.lists(tenant.now(self.clock())) {
                assert_eq!(self.driver.total(tenant.id, &list).await, total, "{list:?}");
            }
        }
    }

    async fn compare_the_past(&self) {
        for tenant in &self.tenants {
            let changes = tenant.history.iter().map(|(at, _)| *at);
            let expiries = tenant.history.iter().flat_map(|(_, rows)| rows.expiries());
            let instants: BTreeSet<_> = changes
                .chain(expiries)
                .chain(self.seen.iter().copied())
                .flat_map(|at| [at.plus_millis(-1), at])
                .filter(|at| *at <= self.clock())
                .collect();
            for at in instants {
                let counts = self.driver.store().counts_at(&system(tenant.id), at).await.unwrap();
                assert_eq!(counts, tenant.counts_at(at), "at {at}");
            }
        }
    }
}

async fn new_tenant<D: Driver>(driver: &D, number: u32) -> Tenant {
    let name = name(&format!("Tenant {number}"));
    let id = driver.create_tenant(&name).await;
    let first = driver.store().entries_after(id, 0, 1).await.unwrap();
    Tenant::new(id, name, first[0].at)
}

/// Reads what was appended to a tenant's ledger; answers its actions. That somebody of the platform has
/// looked is told as well, and settles what has expired by then; it is nothing that was asked for.
async fn catch_up<D: Driver>(driver: &D, tenant: &mut Tenant) -> Vec<Action> {
    let entries = driver.store().entries_after(tenant.id, tenant.head.0, 1_000).await.unwrap();
    for entry in &entries {
        assert!(entry.at >= tenant.head.1, "entry {} goes back", entry.seq);
        tenant.head = (entry.seq, entry.at);
    }
    let looks = [Action::StatisticsRead, Action::AuditLogRead, Action::UsersRead];
    entries.iter().map(|entry| entry.action).filter(|action| !looks.contains(action)).collect()
}

/// Makes one change, in what is driven and in the model.
async fn change_tenant<D: Driver>(
    driver: &D,
    tenant: &mut Tenant,
    own: bool,
    change: &Change,
    id: Uuid,
) {
    catch_up(driver, tenant).await;
    let clock = driver.clock().now();
    let at = tenant.now(clock);
    let refusal = refusal::<D>(tenant, own, change, id, at);
    let Outcome { result, counted } = driver.change(tenant.id, own, change, id).await;
    let taken = result.is_ok();
    let mut rows = tenant.rows.clone();
    match (result, refusal) {
        (Ok(made), None) => {
            let due = change.expiry().map(|millis| clock.plus_millis(millis));
            rows.change(change, id, &made, at, due);
        }
        (result, refusal) => assert_eq!(result.err(), refusal, "{change:?}"),
    }

    let mut actions = catch_up(driver, tenant).await;
    if rows != tenant.rows {
        assert_eq!(tenant.head.1, at, "the change's instant");
        let newest = driver.store().entries_after(tenant.id, tenant.head.0 - 1, 1).await.unwrap();
        assert_eq!(newest[0].counts, rows.counts(at));
        actions.pop();
        tenant.rows.clone_from(&rows);
        tenant.history.push((at, rows));
        if own {
            tenant.alive(at);
        }
    }
    // Apart from the change itself, nothing but the passing of time is told.
    let expiries = [Action::ApiKeyExpired, Action::CredentialExpired];
    assert!(actions.iter().all(|action| expiries.contains(action)), "{actions:?}");

    // What a key is worth is asked on behalf of its tenant, whoever asks; and beside a port there is
    // no meter for what changes nothing.
    let asks = matches!(change, Change::ValidateKey { .. });
    let counts = if D::REQUESTS { own || asks } else { own && taken && !asks };
    if let Some(counted) = counted {
        assert_eq!(counted, counts, "the change's own call");
    }
    if counts {
        tenant.calls.push((clock, 1));
        if own {
            tenant.alive(clock);
        }
    }
}

/// Why a change is refused at an instant, if it is.
fn refusal<D: Driver>(
    tenant: &Tenant,
    own: bool,
    change: &Change,
    id: Uuid,
    at: Timestamp,
) -> Option<Refusal> {
    let changes = !matches!(change, Change::ValidateKey { .. });
    match change {
        Change::Govern(_) if own => Some(Refusal::InsufficientPermissions),
        _ if own && changes && tenant.rows.suspended() => Some(Refusal::TenantSuspended),
        Change::SetQuota(_) if own && D::REQUESTS => Some(Refusal::InsufficientPermissions),
        _ if D::REQUESTS && change.expiry().is_some_and(|millis| millis <= 0) => {
            Some(Refusal::NotInTheFuture)
        }
        _ => tenant.rows.refusal(change, id, at),
    }
}
