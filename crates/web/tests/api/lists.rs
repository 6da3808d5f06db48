//! Every list, in every order that its document tells of: totals, pages and cursors.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

const TENANTS: &str = "/api/v1/admin/tenants";
const USERS: &str = "/api/v1/admin/tenants/{tenantId}/users";
const KEYS: &str = "/api/v1/api-keys";
const CLIENTS: &str = "/api/v1/oauth-clients";
const CREDENTIALS: &str = "/api/v1/credentials";

/// A filter, and where in the statistics its total is, if it is there.
type Filter = (&'static str, Option<&'static str>);

/// What each list can be filtered by.
const FILTERS: &[(&str, &[Filter])] = &[
    (TENANTS, &[("", None), ("status=active", None), ("status=suspended", None), ("q=A", None)]),
    (
        USERS,
        &[
            ("", Some("/users/total")),
            ("status=active", Some("/users/active")),
            ("status=inactive", Some("/users/inactive")),
            ("role=tenant_admin", Some("/users/admins")),
            ("status=locked", None),
            ("role=member&status=locked", None),
            ("q=ZO%C3%8B", None),
        ],
    ),
    (
        KEYS,
        &[
            ("", Some("/apiKeys/total")),
            ("status=active", Some("/apiKeys/active")),
            ("status=revoked", Some("/apiKeys/revoked")),
            ("status=expired", None),
        ],
    ),
    (
        CLIENTS,
        &[
            ("", Some("/oauthClients/total")),
            ("status=active", Some("/oauthClients/active")),
            ("status=disabled", None),
        ],
    ),
    (
        CREDENTIALS,
        &[
            ("", Some("/credentials/total")),
            ("status=active", Some("/credentials/active")),
            ("status=expired", Some("/credentials/expired")),
            ("integrationId=github", None),
            ("integrationId=gitlab&status=active", None),
        ],
    ),
];

struct Fixture {
    app: TestApp,
    tenant: TenantId,
}

impl Fixture {
    /// A tenant with nine of everything, in different states, and three tenants beside it.
    async fn new() -> Self {
        let app = TestApp::start().await;
        let tenant = app.tenant("acme").await;
        for name in ["Beta", "Ärzte", "ARGO"] {
            app.tenant(name).await;
        }
        let f = Self { app, tenant };
        for number in 0..9 {
            f.make(number).await;
        }
        f.app.clock.advance(60_000);
        let path = format!("{TENANTS}/{tenant}/suspend");
        f.send("POST", &path, None).await.expect(200);
        f
    }

    async fn make(&self, number: usize) {
        let name = ["Zoë", "ann", "Ben", "zoë"][number % 4];
        let status = ["active", "disabled", "locked", "invited"][number % 4];
        let role = ["member", "tenant_admin"][number % 2];
        let integration = ["github", "gitlab"][number % 2];
        let soon = self.app.now().plus_millis(30_000 + i64::try_from(number).unwrap());
        let expires_at =
            if number.is_multiple_of(3) { Value::Null } else { json!(soon.to_string()) };
        let user = json!({
            "email": format!("{}{number}@example.com", ["A", "b"][number % 2]),
            "name": if number.is_multiple_of(3) { Value::Null } else { json!(name) },
            "status": status,
            "roles": [role],
        });
        self.send("POST", USERS, Some(user)).await.expect(201);
        let key = json!({"name": name, "expiresAt": expires_at});
        let key = self.send("POST", KEYS, Some(key)).await.expect(201).data();
        let client = json!({"name": name});
        let client = self.send("POST", CLIENTS, Some(client)).await.expect(201).data();
        if number.is_multiple_of(4) {
            let id = key["id"].as_str().unwrap();
            self.send("DELETE", &format!("{KEYS}/{id}"), None).await.expect(200);
            let id = client["id"].as_str().unwrap();
            let patch = Some(json!({"status": "disabled"}));
            self.send("PATCH", &format!("{CLIENTS}/{id}"), patch).await.expect(200);
        }
        let credential = json!({
            "integrationId": integration, "credentialName": name,
            "authType": "api_key", "apiKey": "secret", "expiresAt": expires_at,
        });
        self.send("POST", CREDENTIALS, Some(credential)).await.expect(201);
        self.app.clock.advance(i64::try_from(number % 2).unwrap());
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let tenant = self.tenant.to_string();
        let request = self
            .app
            .request(method, &path.replace("{tenantId}", &tenant))
            .bearer(&self.app.token(Bearer::SUPER_ADMIN))
            .header("x-tenantid", &tenant);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    async fn page(&self, list: &str, query: &str) -> Value {
        self.send("GET", &format!("{list}?{query}"), None).await.expect(200).data()
    }

    /// The parameters of a list, from the document.
    async fn parameters(&self, list: &str) -> Vec<Value> {
        let document = self.app.request("GET", "/openapi.json").send().await.json();
        document["paths"][list]["get"]["parameters"].as_array().unwrap().clone()
    }

    /// The orders of a list.
    async fn sorts(&self, list: &str) -> Vec<String> {
        let parameters = self.parameters(list).await;
        let sort = parameters.iter().find(|parameter| parameter["name"] == "sort").unwrap();
        let words = sort["schema"]["enum"].as_array().unwrap().iter();
        words.map(|word| word.as_str().unwrap().to_owned()).collect()
    }
}

/// The items in an order, from what they show.
fn sorted(items: &[Value], sort: &str) -> Vec<Value> {
    let field = sort.trim_start_matches('-');
    let key = |item: &Value| {
        let shown = item.get(field).unwrap();
        let text = shown.as_str().map(str::to_lowercase);
        (text.is_none(), text, item["id"].as_str().unwrap().to_owned())
    };
    let mut items = items.to_vec();
    items.sort_by_key(key);
    if sort.starts_with('-') {
        items.reverse();
    }
    items
}

#[tokio::test]
async fn totals_are_the_statistics_in_every_order() {
    let f = Fixture::new().await;
    let stats = f.page("/api/v1/admin/tenants/{tenantId}/stats", "").await;
    for (list, filters) in FILTERS {
        let sorts = f.sorts(list).await;
        assert!(sorts.len() >= 4 && sorts[0] == "createdAt", "{list}: {sorts:?}");
        for (filter, statistic) in *filters {
            let some = f.page(list, filter).await;
            let (items, total) = (some["items"].as_array().unwrap(), &some["total"]);
            assert!(!items.is_empty(), "{list} {filter}");
            assert_eq!(total, items.len(), "{list} {filter}");
            if let Some(statistic) = statistic {
                assert_eq!(Some(total), stats.pointer(statistic), "{list} {filter}");
            }
            for sort in &sorts {
                let query = format!("{filter}&sort={sort}");
                let page = f.page(list, query.trim_start_matches('&')).await;
                assert_eq!(page["items"], json!(sorted(items, sort)), "{list} {query}");
                assert_eq!(&page["total"], total);
                let far = f.page(list, &format!("sort={sort}&{filter}&offset=1000")).await;
                assert_eq!((&far["items"], &far["total"]), (&json!([]), total));
            }
        }
    }
    f.app.stop().await;
}

/// What the table above filters by is what there is.
#[tokio::test]
async fn the_filters_are_those_of_the_document() {
    let f = Fixture::new().await;
    for (list, filters) in FILTERS {
        let used: BTreeSet<_> = filters
            .iter()
            .flat_map(|(filter, _)| filter.split('&'))
            .filter_map(|pair| pair.split_once('=').map(|(name, _)| name.to_owned()))
            .collect();
        let of_pages = ["sort", "limit", "offset", "cursor"];
        let parameters = f.parameters(list).await.into_iter();
        let told: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(of_pages.iter().all(|name| told.contains(*name)), "{list}");
        let told: BTreeSet<_> =
            told.into_iter().filter(|name| !of_pages.contains(&name.as_str())).collect();
        assert_eq!(used, told, "{list}");
    }
    f.app.stop().await;
}

#[tokio::test]
async fn pages_are_whole_in_every_order() {
    let f = Fixture::new().await;
    for (list, _) in FILTERS {
        let all = f.page(list, "limit=500").await["items"].as_array().unwrap().clone();
        for sort in f.sorts(list).await {
            let (mut by_cursor, mut next) = (Vec::new(), String::new());
            loop {
                let page = f.page(list, &format!("sort={sort}&limit=2{next}")).await;
                assert_eq!(page["total"], all.len());
                by_cursor.extend(page["items"].as_array().unwrap().clone());
                match page["nextCursor"].as_str() {
                    Some(cursor) => next = format!("&cursor={cursor}"),
                    None => break,
                }
            }
            assert_eq!(by_cursor, sorted(&all, &sort), "{list} {sort}");
        }
    }
    f.app.stop().await;
}

#[tokio::test]
async fn rows_come_and_go_between_pages() {
    let f = Fixture::new().await;
    let mut expected: BTreeSet<_> = (0..9).map(|number| number.to_string()).collect();
    let (mut seen, mut next, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page = f.page(USERS, &format!("sort=-email&limit=2{next}")).await;
        let stats = f.page("/api/v1/admin/tenants/{tenantId}/stats", "").await;
        assert_eq!(page["total"], stats["users"]["total"]);
        for user in page["items"].as_array().unwrap() {
            let number = user["email"].as_str().unwrap().replace(['A', 'b'], "");
            assert!(seen.insert(number.replace("@example.com", "")), "{user} is there twice");
            let path = format!("{USERS}/{}", user["id"].as_str().unwrap());
            f.send("DELETE", &path, None).await.expect(200);
        }
        pages += 1;
        if pages <= 2 {
            // Before every place there is, and after.
            for email in [format!("z{pages}@example.com"), format!("A{pages}0@example.com")] {
                f.send("POST", USERS, Some(json!({ "email": email }))).await.expect(201);
            }
            expected.insert(format!("{pages}0"));
        }
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, expected);
    f.app.stop().await;
}

#[tokio::test]
async fn a_cursor_is_for_its_list_and_its_order() {
    let f = Fixture::new().await;
    let mut cursors = Vec::new();
    for (list, _) in FILTERS {
        for sort in f.sorts(list).await {
            let page = f.page(list, &format!("limit=1&sort={sort}")).await;
            let cursor = page["nextCursor"].as_str().unwrap().to_owned();
            assert!(
                cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
            cursors.push((*list, sort, cursor));
        }
    }
    for (list, sort, cursor) in &cursors {
        for (other, other_sort, _) in &cursors {
            let query = format!("{other}?sort={other_sort}&cursor={cursor}");
            let answer = f.send("GET", &query, None).await;
            if (list, sort) == (other, other_sort) {
                answer.expect(200);
            } else {
                assert_eq!(answer.fields(), ["cursor"], "{query}");
                assert_eq!(answer.text.contains("give the same sort"), list == other, "{query}");
            }
        }
        let unsorted = f.send("GET", &format!("{list}?cursor={cursor}"), None).await;
        assert_eq!(unsorted.status, if sort == "createdAt" { 200 } else { 422 });
    }
    let long = "A".repeat(5_000);
    for (query, named) in [
        ("sort=", vec!["sort"]),
        ("sort=age", vec!["sort"]),
        ("sort=%2Bname", vec!["sort"]),
        ("sort=name%2Cemail", vec!["sort"]),
        ("sort=NAME", vec!["sort"]),
        ("sort=name&sort=email", vec!["sort"]),
        ("sort=up&cursor=nonsense&limit=0", vec!["cursor", "limit", "sort"]),
        (&format!("cursor={long}"), vec!["cursor"]),
    ] {
        let answer = f.send("GET", &format!("{USERS}?{query}"), None).await;
        assert_eq!(answer.fields(), named, "{query}");
    }
    let answer = f.send("GET", &format!("{USERS}?sort=age"), None).await;
    assert!(answer.text.contains("one of createdAt, updatedAt, name, email"), "{}", answer.text);
    let answer = f.send("GET", "/api/v1/admin/audit-logs?sort=at", None).await;
    assert_eq!(answer.fields(), ["sort"]);
    f.app.stop().await;
}
