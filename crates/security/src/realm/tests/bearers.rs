//! Whom a token is for.

use tenantry_domain::access::TokenIds;

use super::*;

#[test]
fn what_is_issued_is_believed() {
    let fixture = Fixture::new();
    let mut request = request();
    let issued = fixture.realm.issue(&request).unwrap();
    assert_eq!(issued.expires_at.to_string(), "2025-07-10T15:30:00.000Z");
    let user = Principal {
        tenant: request.tenant,
        kind: PrincipalKind::User { id: UserId::from_uuid(uuid(8)), role: Role::TenantAdmin },
        token: Some(TokenIds { id: issued.id, session: None, key: Arc::clone(&issued.key) }),
    };
    assert_eq!(fixture.verify(issued.text.expose()), Ok(user));

    request.bearer = TokenBearer::Person { id: None, role: Role::SuperAdmin };
    let issued = fixture.realm.issue(&request).unwrap();
    let operator = Principal {
        tenant: request.tenant,
        kind: PrincipalKind::Operator {
            token: issued.id.to_string().into(),
            role: Role::SuperAdmin,
        },
        token: Some(TokenIds { id: issued.id, session: None, key: Arc::clone(&issued.key) }),
    };
    assert_eq!(fixture.verify(issued.text.expose()), Ok(operator));

    let session = Some(SessionId::from_uuid(uuid(10)));
    let (id, scopes) = (OauthClientId::from_uuid(uuid(11)), Scopes::parse(["stats:read"]).unwrap());
    let client_id = "tnc_1".to_owned();
    request.bearer = TokenBearer::Client { id, client_id, scopes: scopes.clone() };
    request.session = session;
    let issued = fixture.realm.issue(&request).unwrap();
    let client = Principal {
        tenant: request.tenant,
        kind: PrincipalKind::Client { id, scopes },
        token: Some(TokenIds { id: issued.id, session, key: Arc::clone(&issued.key) }),
    };
    assert_eq!(fixture.verify(issued.text.expose()), Ok(client.clone()));
    let examined = fixture.realm.examine(issued.text.expose()).unwrap();
    assert_eq!((examined.principal, examined.client_id.as_deref()), (client, Some("tnc_1")));
    assert_eq!((examined.issued_at, examined.expires_at), (NOW_SECONDS, NOW_SECONDS + 3600));
}

#[test]
fn a_token_is_a_person_s_or_a_client_s() {
    let fixture = Fixture::new();
    let client = |scope: &str| {
        let claims = with(with(claims(), "roles", None), "scope", json!(scope));
        with(claims, "client_id", json!("tnc_1"))
    };
    for good in [client("stats:read users:write"), client("")] {
        assert!(fixture.verify(&sign(header(), good)).is_ok());
    }
    for bad in [
        with(claims(), "roles", None),
        with(claims(), "scope", json!("stats:read")),
        with(claims(), "client_id", json!("tnc_1")),
        with(client("stats:read"), "client_id", None),
        with(client("stats:read"), "scope", None),
        with(client("stats:read"), "roles", json!(["member"])),
        with(client("stats:read"), "scope", json!(null)),
        with(client("stats:read"), "scope", json!(["stats:read"])),
        with(client("stats:read"), "sub", json!("operator")),
        with(client("stats:read"), "sid", json!("1")),
        client("stats:read stats:read"),
        client("everything"),
    ] {
        fixture.refuses(&sign(header(), bad), AuthFailure::BadClaims);
    }
}
