//! Query strings, read strictly: nothing unknown, nothing twice, and every problem in one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr as _;

use percent_encoding::percent_decode_str;
use tenantry_domain::error::{Problems, Result};
use tenantry_domain::page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT, PageRequest, PageStart};
use tenantry_domain::sort::{Listed, Sort};

use super::values::integer;

/// The parameters of a query string that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Query {
    values: BTreeMap<String, String>,
    problems: Problems,
}

impl Query {
    /// Reads a query string (`application/x-www-form-urlencoded`).
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let mut problems = Problems::default();
        let mut values = BTreeMap::new();
        let raw = raw.unwrap_or_default();
        let pairs: Vec<(String, String)> =
            problems.take("query", serde_urlencoded::from_str(raw)).unwrap_or_default();
        // The library reads bytes that are no text as replacement characters.
        if percent_decode_str(raw).decode_utf8().is_err() {
            problems.add("query", "must be in UTF-8");
        }
        let mut repeated = BTreeSet::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), value).is_some() {
                repeated.insert(name);
            }
        }
        for name in repeated {
            problems.add(name, "must be given once");
        }
        Self { values, problems }
    }

    /// A query string of a route that has no parameters.
    pub(crate) fn none(raw: Option<&str>) -> Result<()> {
        if raw.is_none_or(str::is_empty) { Ok(()) } else { Self::parse(raw).finish() }
    }

    /// The parameter, if it was given and is right.
    pub(crate) fn take<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.values.remove(name)?;
        self.problems.take(name, read(&value))
    }

    /// The parameter as it is, for what is read before the others.
    pub(crate) fn remove(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Notes a problem between parameters.
    pub(crate) fn problem(&mut self, name: &str, problem: &str) {
        self.problems.add(name, problem);
    }

    /// `limit`.
    pub(crate) fn limit(&mut self) -> u32 {
        let limit = self.take("limit", |text| integer(text, 1..=u64::from(MAX_LIMIT)));
        limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT)
    }

    /// `offset`, if it was given.
    pub(crate) fn offset(&mut self) -> Option<u64> {
        self.take("offset", |text| integer(text, 0..=MAX_INTEGER))
    }

    /// `sort`, `limit`, `offset` and `cursor`.
    pub(crate) fn page<T: Listed>(&mut self) -> PageRequest<T> {
        let limit = self.limit();
        let both = self.values.contains_key("offset") && self.values.contains_key("cursor");
        if both {
            self.problem("offset", "must not be given together with cursor");
        }
        let offset = self.offset().unwrap_or_default();
        let is_sorted = self.values.contains_key("sort");
        let sort = self.take("sort", Sort::from_str);
        // Nothing is said about the order of a cursor beside a sort that is none.
        let said = if is_sorted { sort } else { Some(Sort::default()) };
        let cursor = self.take("cursor", |text| match Cursor::parse(text) {
            Ok(cursor) if said.is_some_and(|said| said != cursor.sort()) => {
                Err(format!("is of the order {}: give the same sort with it", cursor.sort()))
            }
            parsed => parsed.map_err(|wrong| wrong.to_string()),
        });
        let start = PageStart::Offset { sort: sort.unwrap_or_default(), offset };
        PageRequest { limit, from: cursor.map_or(start, PageStart::After) }
    }

    /// Fails with everything that is wrong, unknown parameters included.
    pub(crate) fn finish(mut self) -> Result<()> {
        for name in self.values.into_keys() {
            self.problems.add(name, "is not a parameter of this operation");
        }
        self.problems.check()
    }
}

/// The largest integer that every JSON reader holds exactly.
pub(crate) const MAX_INTEGER: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use tenantry_domain::clock::Timestamp;
    use tenantry_domain::error::Error;
    use tenantry_domain::id::TenantId;
    use tenantry_domain::sort::SortKey;
    use tenantry_domain::user::{User, UserField};

    use super::*;

    fn page(raw: &str) -> Result<PageRequest<User>, Vec<(String, String)>> {
        let mut query = Query::parse(Some(raw));
        let page = query.page();
        match query.finish() {
            Ok(()) => Ok(page),
            Err(Error::Invalid(fields)) => {
                Err(fields.into_iter().map(|it| (it.field, it.problem)).collect())
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn offending(raw: &str) -> Vec<String> {
        page(raw).unwrap_err().into_iter().map(|(field, _)| field).collect()
    }

    const BY_NAME: Sort<UserField> = Sort { field: UserField::Name, descending: true };

    fn cursor(sort: Sort<UserField>, key: SortKey) -> Cursor<User> {
        Cursor::new(sort, key, TenantId::PLATFORM.as_uuid()).unwrap()
    }

    #[test]
    fn reads_a_page() {
        let from = PageStart::Offset { sort: Sort::default(), offset: 0 };
        assert_eq!(page(""), Ok(PageRequest { limit: 50, from }));
        let from = PageStart::Offset { sort: Sort::default(), offset: 20 };
        assert_eq!(page("limit=500&offset=20"), Ok(PageRequest { limit: 500, from }));
        let from = PageStart::Offset { sort: BY_NAME, offset: 20 };
        assert_eq!(page("sort=-name&offset=20"), Ok(PageRequest { limit: 50, from }));
        let by_creation = cursor(Sort::default(), SortKey::Instant(Timestamp::MIN));
        for sort in ["", "&sort=createdAt"] {
            let raw = format!("cursor={}&limit=1{sort}", by_creation.to_text());
            let from = PageStart::After(by_creation.clone());
            assert_eq!(page(&raw), Ok(PageRequest { limit: 1, from }));
        }
        let by_name = cursor(BY_NAME, SortKey::Absent);
        let raw = format!("cursor={}&sort=-name", by_name.to_text());
        assert_eq!(page(&raw), Ok(PageRequest { limit: 50, from: PageStart::After(by_name) }));
    }

    #[test]
    fn a_cursor_goes_with_its_own_order() {
        let cursor = cursor(BY_NAME, SortKey::Absent).to_text();
        for sort in ["", "&sort=name", "&sort=-email", "&sort=createdAt"] {
            let problems = page(&format!("cursor={cursor}{sort}")).unwrap_err();
            let expected = "is of the order -name: give the same sort with it";
            assert_eq!(problems, [("cursor".to_owned(), expected.to_owned())], "{sort}");
        }
        assert_eq!(offending(&format!("cursor={cursor}&sort=age")), ["sort"]);
    }

    #[test]
    fn names_everything_that_is_wrong_at_once() {
        assert_eq!(
            offending("limit=0&offset=-1&cursor=x&page=2&page=3&sort=up"),
            ["page", "limit", "offset", "offset", "sort", "cursor", "page"]
        );
    }

    #[test]
    fn refuses_what_is_not_quite_a_number() {
        for limit in ["0", "501", "+5", "5.0", "5e0", "", " 5", "٥", "99999999999999999999"] {
            assert_eq!(offending(&format!("limit={limit}")), ["limit"], "{limit}");
        }
        assert_eq!(offending("limit=1&q=%ff%C3%A4"), ["query", "q"]);
        assert_eq!(offending("offset=9007199254740993"), ["offset"]);
        assert!(page("offset=9007199254740992").is_ok());
    }

    #[test]
    fn refuses_any_parameter_where_there_are_none() {
        assert!(Query::none(None).is_ok());
        assert!(Query::none(Some("")).is_ok());
        assert!(Query::none(Some("a=1")).is_err());
    }
}
