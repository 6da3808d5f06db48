//! The tenants of the sample and what they come to have.

use tenantry_domain::id::TenantId;
use tenantry_domain::usage::Bytes;
use uuid::Uuid;

use super::{ApiKeys, Clients, Credentials, Plan, Users};

/// Acme Corporation, the tenant of the documented example.
pub(crate) const ACME: TenantId =
    TenantId::from_uuid(Uuid::from_u128(0x3fa8_5f64_5717_4562_b3fc_2c96_3f66_afa6));

/// How many tenants there are.
pub(super) const TENANTS: u64 = 1 + OTHERS.len() as u64;

const OTHERS: [&str; 24] = [
    "Aurora Logistics",
    "Birchwood Clinics",
    "Cobalt Analytics",
    "Delta Harbour Authority",
    "Everfield Farms",
    "Fjord Energy",
    "Granite Mutual",
    "Harbinger Media",
    "Ironbridge Rail",
    "Juniper Schools",
    "Kestrel Aviation",
    "Lantern Books",
    "Meridian Legal",
    "Northwind Traders",
    "Opaline Optics",
    "Pinecrest Hotels",
    "Quarry & Sons",
    "Riverstone Bank",
    "Saltmarsh Research",
    "Tidewater Utilities",
    "Umber Ceramics",
    "Vantage Robotics",
    "Willowbrook Council",
    "Zephyr Mobility",
];

/// All of them, Acme first.
pub(super) fn plans() -> Vec<Plan> {
    let others = (1..).zip(OTHERS).map(|(number, name)| other(number, name));
    std::iter::once(acme()).chain(others).collect()
}

fn acme() -> Plan {
    Plan {
        id: ACME,
        name: "Acme Corporation",
        subscription: "enterprise",
        users: Users { active: 142, inactive: 8, admins: 5 },
        credentials: Credentials { active: 23, expired: 2 },
        api_keys: ApiKeys { active: 9, expired: 0, revoked: 1 },
        oauth_clients: Clients { active: 5, disabled: 0 },
        calls_last_month: 118_000,
        calls_this_month: 125_000,
        storage: Bytes::new(2_500_000_000),
        storage_quota: Some(Bytes::new(10_000_000_000)),
        suspended: false,
        active: true,
    }
}

/// A tenant with a life of its own: every number follows from its place in the list, so that the
/// sample is the same wherever it is loaded.
fn other(number: u64, name: &'static str) -> Plan {
    let spread = |factor: u64, range: u64| number * factor % range;
    Plan {
        id: TenantId::from_uuid(Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number),
        )),
        name,
        subscription: if number.is_multiple_of(3) { "starter" } else { "business" },
        users: Users {
            active: 3 + spread(17, 41),
            inactive: spread(5, 7),
            admins: 1 + spread(3, 4),
        },
        credentials: Credentials { active: spread(7, 9), expired: spread(2, 5) },
        api_keys: ApiKeys { active: spread(3, 6), expired: spread(5, 3), revoked: spread(2, 3) },
        oauth_clients: Clients { active: spread(5, 4), disabled: spread(3, 2) },
        calls_last_month: spread(7_919, 60_000),
        calls_this_month: spread(6_133, 50_000),
        storage: Bytes::new(spread(123_456_789, 5_000_000_000)),
        storage_quota: (!number.is_multiple_of(4)).then(|| Bytes::new(5_000_000_000)),
        suspended: number.is_multiple_of(11),
        active: !number.is_multiple_of(7),
    }
}

/// First and last names, each pair another person for a long while.
pub(super) fn person(number: u64) -> (&'static str, &'static str) {
    const FIRST: [&str; 16] = [
        "Ada", "Bruno", "Chidi", "Dalia", "Emre", "Freya", "Gita", "Hugo", "Ines", "Jonas",
        "Kaori", "Liam", "Mara", "Nadia", "Omar", "Priya",
    ];
    const LAST: [&str; 11] = [
        "Abara", "Berg", "Castro", "Dahl", "Eriksen", "Fontaine", "Gupta", "Haddad", "Ito",
        "Jansen", "Kowalski",
    ];
    let pick = |names: &[&'static str], number: u64| {
        let place = usize::try_from(number).unwrap_or_default() % names.len();
        names.get(place).copied().unwrap_or("Alex")
    };
    (pick(&FIRST, number), pick(&LAST, number))
}
