//! Importing many users at once: every bad line is told, and nothing is taken if there is one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tenantry_domain::access::TenantAccess;
use tenantry_domain::error::{Conflict, Error, FieldError, LineError, Result};
use tenantry_domain::id::UserId;
use tenantry_domain::user::{Collision, Identity, NewUser};

use crate::{Service, UserDraft};

/// The most users in one import.
pub const IMPORT_MAX: usize = 50_000;
/// The most problems that one answer tells.
pub const PROBLEMS_TOLD: usize = 1_000;

/// The lines of an import, and what is wrong with them.
#[derive(Debug)]
pub struct UserImport {
    /// The field that the external id is told of by.
    external_field: &'static str,
    lines: Vec<Line>,
    /// How many lines could not be read at all.
    unreadable: usize,
    problems: Vec<LineError>,
    emails: HashMap<String, u64>,
    external_ids: HashMap<(String, String), u64>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    identity: Identity,
    /// Absent if the line is a bad one.
    draft: Option<UserDraft>,
}

impl UserImport {
    /// No lines yet. What is wrong with an external id as a whole is told of `external_field`.
    pub fn new(external_field: &'static str) -> Self {
        Self {
            external_field,
            lines: Vec::new(),
            unreadable: 0,
            problems: Vec::new(),
            emails: HashMap::new(),
            external_ids: HashMap::new(),
        }
    }

    /// Adds a line: what it says of who the user is, whatever else is wrong with it, and the user
    /// or the problems.
    pub fn add(
        &mut self,
        number: u64,
        identity: Identity,
        read: Result<UserDraft, Vec<FieldError>>,
    ) {
        if let Some(email) = &identity.email {
            let first = first_line(&mut self.emails, email.key(), number);
            self.note_repeat(number, "email", first);
        }
        if let Some(external) = &identity.external_id {
            let key = (external.realm.clone(), external.subject.clone());
            let first = first_line(&mut self.external_ids, key, number);
            self.note_repeat(number, self.external_field, first);
        }
        let draft = read.map_err(|fields| {
            for FieldError { field, problem } in fields {
                self.problem(number, field, problem);
            }
        });
        self.lines.push(Line { number, identity, draft: draft.ok() });
    }

    /// Adds a line that cannot be read.
    pub fn add_unreadable(&mut self, number: u64, field: &str, problem: impl Into<String>) {
        self.unreadable += 1;
        self.problem(number, field, problem);
    }

    /// Notes what is wrong with a line.
    pub fn problem(&mut self, line: u64, field: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(LineError { line, field: field.into(), problem: problem.into() });
    }

    fn note_repeat(&mut self, number: u64, field: &str, first: Option<u64>) {
        if let Some(first) = first {
            self.problem(number, field, format!("must not be the one of line {first} again"));
        }
    }

    /// Whether there are more lines than one import takes, whatever is wrong with them.
    pub fn is_too_long(&self) -> bool {
        self.lines.len() + self.unreadable > IMPORT_MAX
    }

    fn identities(&self) -> Vec<Identity> {
        self.lines.iter().map(|line| line.identity.clone()).collect()
    }

    fn note_collisions(&mut self, collisions: Vec<Collision>) {
        for Collision { index, conflict } in collisions {
            let Some(number) = self.lines.get(index).map(|line| line.number) else { continue };
            let field = match conflict {
                Conflict::ExternalId => self.external_field,
                _ => "email",
            };
            self.problem(number, field, "must not be one that a user of the tenant has already");
        }
    }

    /// The users of the lines, in their order.
    ///
    /// # Errors
    /// [`Error::InvalidLines`] with everything that is wrong.
    pub fn take_users(&mut self) -> Result<Vec<UserDraft>> {
        self.check()?;
        Ok(self.lines.iter_mut().filter_map(|line| line.draft.take()).collect())
    }

    /// Fails with everything that is wrong.
    fn check(&mut self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut lines = std::mem::take(&mut self.problems);
        let total = lines.len() as u64;
        lines.sort_by_key(|problem| problem.line);
        lines.truncate(PROBLEMS_TOLD);
        Err(Error::InvalidLines { lines, total })
    }
}

/// The line that had this first, if there is one; else this line is.
fn first_line<K: Eq + std::hash::Hash>(
    seen: &mut HashMap<K, u64>,
    key: K,
    line: u64,
) -> Option<u64> {
    match seen.entry(key) {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(slot) => {
            slot.insert(line);
            None
        }
    }
}

impl Service {
    /// Makes all the users of an import and answers how many; or none, if there is a bad line.
    ///
    /// # Errors
    /// [`Error::InvalidLines`] with every bad line.
    pub async fn import_users(&self, access: &TenantAccess, mut import: UserImport) -> Result<u64> {
        let drafts = || import.lines.iter().filter_map(|line| line.draft.as_ref());
        drafts().try_for_each(|draft| {
            draft.roles.beside(draft.external_id.as_ref()).check_grant(access)
        })?;
        if import.lines.is_empty() && import.problems.is_empty() {
            return Err(Error::invalid("body", "must have a user"));
        }
        if import.is_too_long() {
            return Err(Error::invalid("body", format!("must have at most {IMPORT_MAX} users")));
        }
        // Everything is looked at before the store's writer is asked for anything, since all
        // others wait for it.
        let taken = self.store.taken(access, import.identities()).await?;
        if !taken.is_empty() {
            // Whose they are is told by that.
            let details = serde_json::json!({ "shown": taken.len() });
            self.tell_of_users(&access.unmarked(), String::new(), details).await?;
        }
        import.note_collisions(taken);
        let drafts = import.take_users()?;
        // In the order of the lines, which is then the order of lists, and what a store inserts
        // fastest.
        let now = self.now();
        let mut ids: Vec<_> =
            drafts.iter().map(|_| UserId::generate(now, self.entropy())).collect();
        ids.sort_unstable();
        let new: Vec<_> = drafts
            .into_iter()
            .zip(ids)
            .map(|(draft, id)| NewUser {
                id,
                external_id: draft.external_id,
                email: draft.email,
                name: draft.name,
                status: draft.status,
                roles: draft.roles,
                password_hash: None,
            })
            .collect();
        let count = new.len() as u64;
        // Somebody may have been faster meanwhile.
        let access = access.completed_by(move |collisions: &Vec<Collision>| {
            if collisions.is_empty() {
                return Ok(count);
            }
            // What fails leaves no mark. Asked again, it is told which lines collide.
            Err(Error::Unavailable("one of the users was made meanwhile".to_owned()))
        });
        let collisions = self.store.import_users(&access, new).await?;
        import.note_collisions(collisions);
        import.check()?;
        Ok(count)
    }
}
