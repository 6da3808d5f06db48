//! Clients of a server that dies: those who change things of their own, and those who only call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Chance, Fate, Listed};
use crate::support::Caller;

/// Users of an import.
const IMPORTED: usize = 20;

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Tenant,
    User,
    ApiKey,
    OauthClient,
    Credential,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Active,
    /// Suspended, disabled or revoked.
    Ended,
}

impl Kind {
    /// Where things of this kind are made and listed.
    pub(super) fn path(self, tenant: &str) -> String {
        match self {
            Self::Tenant => "/admin/tenants".to_owned(),
            Self::User => format!("/admin/tenants/{tenant}/users"),
            Self::ApiKey => "/api-keys".to_owned(),
            Self::OauthClient => "/oauth-clients".to_owned(),
            Self::Credential => "/credentials".to_owned(),
        }
    }

    /// The name, the id and the state of a thing, as a list shows it.
    pub(super) fn read(self, item: &Value) -> (String, String, State) {
        let text = |member: &str| item[member].as_str().unwrap().to_owned();
        let state = |ended: bool| if ended { State::Ended } else { State::Active };
        let not_active = || state(item["status"] != "active");
        let (name, state) = match self {
            Self::User => (text("email"), not_active()),
            Self::Tenant | Self::OauthClient => (text("name"), not_active()),
            Self::ApiKey => (text("name"), state(!item["revokedAt"].is_null())),
            Self::Credential => (text("credentialName"), State::Active),
        };
        (name, text("id"), state)
    }

    /// What a thing of this kind can become.
    fn next(self, state: State) -> &'static [State] {
        match (self, state) {
            (_, State::Absent) | (Self::ApiKey, State::Ended) => &[],
            (Self::ApiKey, State::Active) => &[State::Ended],
            (Self::Credential, _) => &[State::Absent],
            (_, State::Active) => &[State::Absent, State::Ended],
            (_, State::Ended) => &[State::Absent, State::Active],
        }
    }
}

struct Thing {
    kind: Kind,
    name: String,
    /// Unless it was not seen yet.
    id: Option<String>,
    state: State,
}

/// What a client would have happen: things of its own get into another state, all or none.
struct Change {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: String,
    /// Its `Idempotency-Key`, so that it can be asked for again.
    key: Option<String>,
    things: Vec<usize>,
    to: State,
    /// Whether it is known that it has happened, though it had no answer.
    happened: bool,
}

/// Calls of a tenant that are to be counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Calls {
    /// Those that are counted.
    pub(super) sure: u64,
    /// Those that had no answer, and may be.
    pub(super) unsure: u64,
}

impl Calls {
    pub(super) fn and(self, other: Self) -> Self {
        Self { sure: self.sure + other.sure, unsure: self.unsure + other.unsure }
    }
}

/// A whole answer.
struct Answer {
    status: u16,
    replayed: bool,
    text: String,
}

/// Asks; `None` if there is no answer, or not all of it.
async fn ask(request: reqwest::RequestBuilder) -> Option<Answer> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let replayed = answer.headers().contains_key("idempotent-replayed");
    let text = answer.text().await.ok()?;
    assert!(status < 500, "{status}: {text}");
    Some(Answer { status, replayed, text })
}

/// A client that changes things of its own, one after the other.
pub(super) struct Writer {
    name: String,
    kinds: &'static [Kind],
    chance: Chance,
    things: Vec<Thing>,
    /// The change that had no answer.
    open: Option<Change>,
    /// Those that have happened.
    pub(super) changes: u64,
    pub(super) calls: Calls,
    /// What became of those that had no answer.
    pub(super) fates: BTreeSet<Fate>,
}

impl Writer {
    pub(super) fn new(seed: u64, name: &str, kinds: &'static [Kind]) -> Self {
        let own = name.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
        Self {
            name: name.to_owned(),
            kinds,
            chance: Chance::new(own),
            things: Vec::new(),
            open: None,
            changes: 0,
            calls: Calls::default(),
            fates: BTreeSet::new(),
        }
    }

    /// Makes changes until one has no answer.
    pub(super) async fn run(mut self, caller: Caller) -> Self {
        self.settle(&caller).await;
        while self.open.is_none() {
            let change = self.choose(&caller.tenant);
            self.make(&caller, change).await;
        }
        self
    }

    /// Asks again for what had no answer.
    pub(super) async fn settle(&mut self, caller: &Caller) {
        if let Some(change) = self.open.take() {
            self.make(caller, change).await;
        }
    }

    /// Asks for a change, and now and then for the same once more.
    async fn make(&mut self, caller: &Caller, change: Change) {
        let Some(answer) = ask(request(caller, &change)).await else {
            self.calls.unsure += u64::from(change.happened);
            self.open = Some(change);
            return;
        };
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text);
        // What has happened is answered by what was kept of it, and what has not is not.
        assert_eq!(answer.replayed, change.happened, "{} {}", change.method, change.path);
        self.calls.sure += 1;
        if !change.happened {
            self.apply(&change);
        }
        if let [thing] = change.things[..] {
            let body: Value = serde_json::from_str(&answer.text).unwrap();
            let id = body["data"]["id"].as_str().unwrap();
            let known = self.things[thing].id.get_or_insert_with(|| id.to_owned());
            assert_eq!(known, id);
        }
        if !change.happened && change.key.is_some() && self.chance.one_in(6) {
            if let Some(again) = ask(request(caller, &change)).await {
                assert_eq!((again.replayed, again.text), (true, answer.text));
                self.calls.sure += 1;
            } else {
                self.calls.unsure += 1;
                self.open = Some(Change { happened: true, ..change });
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        for thing in &change.things {
            self.things[*thing].state = change.to;
        }
        self.changes += 1;
    }

    fn choose(&mut self, tenant: &str) -> Change {
        let known: Vec<_> = (0..self.things.len())
            .filter(|it| self.things[*it].id.is_some())
            .filter(|it| !self.things[*it].kind.next(self.things[*it].state).is_empty())
            .collect();
        // Somewhat more is made than taken away.
        let chosen = if self.chance.below(5) < 3 { None } else { self.chance.choose(&known) };
        match chosen {
            Some(thing) => self.alter(tenant, *thing),
            None => self.create(tenant),
        }
    }

    fn create(&mut self, tenant: &str) -> Change {
        let kind = *self.chance.choose(self.kinds).unwrap();
        let import = kind == Kind::User && self.chance.one_in(3);
        let first = self.things.len();
        for number in first..first + if import { IMPORTED } else { 1 } {
            let name = format!("{}-{number}@example.com", self.name);
            self.things.push(Thing { kind, name, id: None, state: State::Absent });
        }
        let bodies = self.things[first..].iter().map(|thing| body(kind, &thing.name).to_string());
        let (rest, content_type) =
            if import { ("/import", "application/x-ndjson") } else { ("", "application/json") };
        Change {
            method: "POST",
            path: kind.path(tenant) + rest,
            content_type,
            body: bodies.collect::<Vec<_>>().join("\n"),
            key: (!self.chance.one_in(3)).then(|| format!("{}-{first}", self.name)),
            things: (first..self.things.len()).collect(),
            to: State::Active,
            happened: false,
        }
    }

    fn alter(&self, tenant: &str, thing: usize) -> Change {
        let Thing { kind, id, state, .. } = &self.things[thing];
        let to = *self.chance.choose(kind.next(*state)).unwrap();
        let within = if *kind == Kind::Credential { "/github" } else { "" };
        let path = format!("{}{within}/{}", kind.path(tenant), id.as_ref().unwrap());
        let (method, act, body) = match (kind, to) {
            (Kind::ApiKey, _) | (_, State::Absent) => ("DELETE", "", ""),
            (Kind::Tenant, State::Ended) => ("POST", "/suspend", ""),
            (Kind::Tenant, State::Active) => ("POST", "/activate", ""),
            (_, State::Ended) => ("PATCH", "", r#"{"status": "disabled"}"#),
            (_, State::Active) => ("PATCH", "", r#"{"status": "active"}"#),
        };
        Change {
            method,
            path: path + act,
            content_type: "application/json",
            body: body.to_owned(),
            key: None,
            things: vec![thing],
            to,
            happened: false,
        }
    }

    /// Finds out what became of the change that had no answer, and compares everything with what is
    /// there, which it takes out of the lists.
    pub(super) fn look(&mut self, lists: &mut BTreeMap<Kind, BTreeMap<String, Listed>>) {
        if let Some(change) = self.open.take() {
            self.find_out(change, lists);
        }
        for thing in &mut self.things {
            let listed = lists.get_mut(&thing.kind).unwrap().remove(&thing.name);
            assert_eq!(state(listed.as_ref()), thing.state, "{:?} {}", thing.kind, thing.name);
            if let Some(listed) = listed {
                let known = thing.id.get_or_insert_with(|| listed.id.clone());
                assert_eq!(*known, listed.id, "{}", thing.name);
            }
        }
    }

    fn find_out(&mut self, mut change: Change, lists: &BTreeMap<Kind, BTreeMap<String, Listed>>) {
        let happened = change.happened || {
            let is_so = |thing: &&usize| {
                let thing = &self.things[**thing];
                state(lists[&thing.kind].get(&thing.name)) == change.to
            };
            let so = change.things.iter().filter(is_so).count();
            assert!(so == 0 || so == change.things.len(), "{so} of {}", change.things.len());
            so > 0
        };
        if happened && !change.happened {
            self.apply(&change);
            // A call that changes its own tenant is counted with the change, any other one after it.
            let own = self.kinds != [Kind::Tenant];
            *(if own { &mut self.calls.sure } else { &mut self.calls.unsure }) += 1;
        }
        change.happened = happened;
        self.fates.insert(Fate { again: change.key.is_some(), happened });
        if change.key.is_some() {
            self.open = Some(change);
        }
    }
}

fn state(listed: Option<&Listed>) -> State {
    listed.map_or(State::Absent, |it| it.state)
}

/// What makes a thing.
fn body(kind: Kind, name: &str) -> Value {
    match kind {
        Kind::User => json!({"email": name}),
        Kind::Tenant | Kind::ApiKey | Kind::OauthClient => json!({"name": name}),
        Kind::Credential => json!({
            "credentialName": name, "integrationId": "github",
            "authType": "api_key", "apiKey": "third-party-key",
        }),
    }
}

fn request(caller: &Caller, change: &Change) -> reqwest::RequestBuilder {
    let mut request = caller.request(change.method, &change.path);
    if !change.body.is_empty() {
        request = request.header("content-type", change.content_type).body(change.body.clone());
    }
    if let Some(key) = &change.key {
        request = request.header("idempotency-key", key);
    }
    request
}

/// A client that changes nothing.
pub(super) struct Reader {
    chance: Chance,
    pub(super) calls: Calls,
}

impl Reader {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        let chance = Chance::new(seed.wrapping_add(u64::try_from(number).unwrap()));
        Self { chance, calls: Calls::default() }
    }

    /// Calls until a call has no answer.
    pub(super) async fn run(mut self, caller: Caller) -> Self {
        let tenant = &caller.tenant;
        let own = |rest: &str| format!("/admin/tenants/{tenant}{rest}");
        loop {
            let (method, path, status) = match self.chance.below(12) {
                0 => ("GET", own("/users?limit=5"), 200),
                1 => ("HEAD", own(""), 200),
                2 => ("GET", "/api-keys?limit=5".to_owned(), 200),
                3 => ("POST", own("/users"), 415),
                4 => ("GET", "/nothing".to_owned(), 404),
                5 => ("PUT", own(""), 405),
                6 => ("GET", "/admin/tenants".to_owned(), 403),
                // Not counted.
                7 => ("GET", own("?"), 401),
                _ => ("GET", own("/stats"), 200),
            };
            let mut request = caller.request(method, &path);
            if status == 401 {
                request = request.header("x-api-key", "one too many");
            }
            let counts = status != 401;
            let Some(answer) = ask(request).await else {
                self.calls.unsure += u64::from(counts);
                return self;
            };
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
            self.calls.sure += u64::from(counts);
        }
    }
}
