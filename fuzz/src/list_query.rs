//! The queries of lists: what was read is what the query says, by names that the list has, each given
//! once, and written down again it reads the same.

use tenantry_domain::error::{Error, Result};
use tenantry_domain::page::{DEFAULT_LIMIT, MAX_LIMIT, PageRequest, PageStart};
use tenantry_domain::sort::{Listed, Sort};
use tenantry_domain::user::UserStatusFilter;
use tenantry_web::fuzzing::{
    read_api_keys_query, read_credentials_query, read_entries_query, read_oauth_clients_query,
    read_realms_query, read_tenants_query, read_users_query,
};

/// What a list was asked for, as the parameters that ask for it.
type Parameters = Vec<(&'static str, String)>;

const LISTS: [fn(&str) -> Result<Parameters>; 7] =
    [tenants, users, api_keys, oauth_clients, credentials, realms, entries];

/// The largest integer that every JSON reader holds exactly.
const MAX_OFFSET: u64 = 1 << 53;

/// Reads a query as that of every list.
pub fn check(input: &[u8]) -> bool {
    let Ok(raw) = std::str::from_utf8(input) else { return false };
    let given: Vec<(String, String)> = serde_urlencoded::from_str(raw).unwrap_or_default();
    let reversed: Vec<_> = raw.rsplit('&').collect();
    let mut taken = false;
    for read in LISTS {
        match read(raw) {
            Ok(parameters) => {
                taken = true;
                says(&given, &parameters);
                let written = serde_urlencoded::to_string(&parameters).expect("pairs of text");
                assert_eq!(read(&written).expect("what was read before"), parameters);
                assert_eq!(read(&reversed.join("&")).expect("in any order"), parameters);
            }
            Err(Error::Invalid(problems)) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    let is_given = given.iter().any(|(name, _)| *name == problem.field);
                    assert!(is_given || problem.field == "query", "{problem:?}");
                    assert!(!problem.problem.is_empty(), "{problem:?}");
                }
            }
            Err(other) => unreachable!("{other:?}"),
        }
    }
    taken
}

/// Whether every parameter that was given was read, and no other.
fn says(given: &[(String, String)], read: &Parameters) {
    for (name, value) in given {
        assert_eq!(given.iter().filter(|(other, _)| other == name).count(), 1, "{name} twice");
        let (_, read) = read.iter().find(|(other, _)| other == name).expect("a known name");
        match name.as_str() {
            "limit" | "offset" => assert_eq!(value.parse(), read.parse::<u64>(), "{name}"),
            // An instant has many texts, and a cursor has them in it.
            "from" | "to" | "cursor" => {}
            _ => assert_eq!(value, read, "{name}"),
        }
    }
    for (name, value) in read {
        if given.iter().all(|(other, _)| other != name) {
            let default = match *name {
                "limit" => DEFAULT_LIMIT.to_string(),
                "offset" => "0".to_owned(),
                "sort" => "createdAt".to_owned(),
                name => unreachable!("{name} was not given"),
            };
            assert_eq!(*value, default, "{name}");
        }
    }
}

fn tenants(raw: &str) -> Result<Parameters> {
    let (filter, request) = read_tenants_query(raw)?;
    let status = filter.status.map(|it| it.as_str().to_owned());
    Ok(page(&request, [("status", status), ("q", filter.q)]))
}

fn users(raw: &str) -> Result<Parameters> {
    let (filter, request) = read_users_query(raw)?;
    let status = filter.status.map(|status| match status {
        UserStatusFilter::Inactive => "inactive".to_owned(),
        UserStatusFilter::Is(status) => status.as_str().to_owned(),
    });
    let role = filter.role.map(|it| it.as_str().to_owned());
    Ok(page(&request, [("status", status), ("role", role), ("q", filter.q)]))
}

fn api_keys(raw: &str) -> Result<Parameters> {
    let (filter, request) = read_api_keys_query(raw)?;
    Ok(page(&request, [("status", filter.status.map(|it| it.as_str().to_owned()))]))
}

fn oauth_clients(raw: &str) -> Result<Parameters> {
    let (filter, request) = read_oauth_clients_query(raw)?;
    Ok(page(&request, [("status", filter.status.map(|it| it.as_str().to_owned()))]))
}

fn credentials(raw: &str) -> Result<Parameters> {
    let (filter, request) = read_credentials_query(raw)?;
    let status = filter.status.map(|it| it.as_str().to_owned());
    let integration = filter.integration_id.map(|it| it.to_string());
    Ok(page(&request, [("status", status), ("integrationId", integration)]))
}

fn realms(raw: &str) -> Result<Parameters> {
    Ok(page(&read_realms_query(raw)?, []))
}

fn entries(raw: &str) -> Result<Parameters> {
    let (filter, limit, offset) = read_entries_query(raw)?;
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        assert!(from < to);
    }
    assert!((1..=MAX_LIMIT).contains(&limit) && offset <= MAX_OFFSET);
    let start = [("limit", limit.to_string()), ("offset", offset.to_string())];
    let filter = [
        ("action", filter.action.map(|it| it.as_str().to_owned())),
        ("actorId", filter.actor_id),
        ("from", filter.from.map(|it| it.to_string())),
        ("to", filter.to.map(|it| it.to_string())),
    ];
    Ok(start.into_iter().chain(given(filter)).collect())
}

fn page<T: Listed, const N: usize>(
    request: &PageRequest<T>,
    filter: [(&'static str, Option<String>); N],
) -> Parameters {
    assert!((1..=MAX_LIMIT).contains(&request.limit));
    let start = match &request.from {
        PageStart::Offset { offset, .. } => {
            assert!(*offset <= MAX_OFFSET);
            ("offset", offset.to_string())
        }
        PageStart::After(cursor) => ("cursor", cursor.to_text()),
    };
    let sort: Sort<T::Field> = request.from.sort();
    [("limit", request.limit.to_string()), ("sort", sort.to_string()), start]
        .into_iter()
        .chain(given(filter))
        .collect()
}

fn given<const N: usize>(
    filter: [(&'static str, Option<String>); N],
) -> impl Iterator<Item = (&'static str, String)> {
    filter.into_iter().filter_map(|(name, value)| Some((name, value?)))
}
