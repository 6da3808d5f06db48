use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::idempotency::Mark;
use tenantry_domain::sealing::WrappedKey;

use super::*;
use crate::master_key::KEY_ID_LEN;
use crate::test_support::{SeededEntropy, uuid};

const SECRET: &[u8] = b"a refresh token";
const NOW: Timestamp = Timestamp::from_millis(1_752_157_800_000);

/// The key that is made from this seed, as often as it is asked for.
fn key(seed: u64) -> MasterKey {
    MasterKey::generate(&SeededEntropy::new(seed))
}

fn vault(seed: u64) -> Vault {
    Vault::new(key(seed), Arc::new(SeededEntropy::new(1_000 + seed)))
}

fn credential(tenant: u128, id: u128) -> SealedFor {
    SealedFor::Credential(TenantId::from_uuid(uuid(tenant)), CredentialId::from_uuid(uuid(id)))
}

fn mark() -> Mark {
    let (id, request) = (Hash([1; 32]), Hash([2; 32]));
    Mark { tenant: TenantId::from_uuid(uuid(1)), id, request, before: None }
}

/// One of each kind.
fn all_kinds() -> [SealedFor; 4] {
    [
        credential(1, 2),
        SealedFor::SigningKey("kid".to_owned()),
        SealedFor::Answer(mark()),
        SealedFor::MasterKey("kid".to_owned()),
    ]
}

#[test]
fn opens_what_it_sealed() {
    let vault = vault(1);
    for sealed_for in all_kinds() {
        for secret in [b"".as_slice(), SECRET, &[0xff; 10_000]] {
            let sealed = vault.seal(&sealed_for, secret).unwrap();
            assert_eq!(*vault.open(&sealed_for, &sealed).unwrap(), secret);
            assert!(
                secret.is_empty() || !sealed.0.windows(secret.len()).any(|part| part == secret)
            );
        }
    }
}

#[test]
fn equal_secrets_look_different() {
    let vault = vault(1);
    let seal = || vault.seal(&credential(1, 2), SECRET).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn opens_for_nothing_else() {
    let vault = vault(1);
    let others = [
        credential(9, 2),
        credential(1, 9),
        SealedFor::SigningKey("dik".to_owned()),
        SealedFor::MasterKey("dik".to_owned()),
        SealedFor::Answer(Mark { tenant: TenantId::from_uuid(uuid(9)), ..mark() }),
        SealedFor::Answer(Mark { id: Hash([9; 32]), ..mark() }),
        SealedFor::Answer(Mark { request: Hash([9; 32]), ..mark() }),
    ];
    for sealed_for in all_kinds() {
        let sealed = vault.seal(&sealed_for, SECRET).unwrap();
        for other in all_kinds().iter().chain(&others).filter(|it| **it != sealed_for) {
            assert!(vault.open(other, &sealed).is_err(), "{sealed_for} as {other}");
        }
    }
}

#[test]
fn a_digest_of_a_request_takes_the_key() {
    let (ours, other) = (vault(1), vault(2));
    let (one, two) = (Hash([1; 32]), Hash([2; 32]));
    assert_eq!(ours.request_digests(one), ours.request_digests(one));
    assert_eq!(ours.request_digests(one).before, None);
    assert_ne!(ours.request_digests(one), ours.request_digests(two));
    assert_ne!(ours.request_digests(one), other.request_digests(one));
    assert_ne!(ours.request_digests(one).now, one);
}

#[test]
fn every_bit_counts_and_none_may_be_missing() {
    let vault = vault(1);
    let sealed = vault.seal(&credential(1, 2), SECRET).unwrap();
    for bit in 0..sealed.0.len() * 8 {
        let mut changed = sealed.clone();
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(vault.open(&credential(1, 2), &changed).is_err(), "bit {bit}");
    }
    for length in 0..sealed.0.len() {
        let cut = Sealed(sealed.0[..length].to_vec());
        assert!(vault.open(&credential(1, 2), &cut).is_err(), "{length} bytes");
    }
}

#[test]
fn another_master_key_opens_nothing() {
    let (ours, other) = (vault(1), vault(2));
    let mut sealed = ours.seal(&credential(1, 2), SECRET).unwrap();
    assert_eq!(other.open(&credential(1, 2), &sealed), Err(Error::UnknownMasterKey));
    assert_eq!(other.reseal(&credential(1, 2), &sealed), Err(Error::UnknownMasterKey));
    // Nor if somebody puts the other key's id there.
    sealed.0[1..=KEY_ID_LEN].copy_from_slice(&key(2).id_bytes());
    let opened = other.open(&credential(1, 2), &sealed);
    assert!(matches!(opened, Err(Error::Internal(_))), "{opened:?}");
}

/// Key 1 was replaced by key 2, and key 3 replaces that.
fn succession() -> (MasterKeys, MasterKeys, MasterKeys) {
    let vault = vault(1);
    let first = vault.succeed(key(2), NOW).unwrap();
    assert!(vault.learn(&first).unwrap() && !vault.learn(&first).unwrap());
    let alone = first.without_succession().unwrap();
    assert!(!vault.learn(&alone).unwrap());
    let second = vault.succeed(key(3), NOW).unwrap();
    (first, alone, second)
}

/// What a process knows that was given this key.
fn knows(seed: u64, stored: &MasterKeys) -> Result<Vec<String>> {
    let vault = vault(seed);
    vault.learn(stored).map(|_| vault.key_ids())
}

#[test]
fn whoever_knows_either_key_knows_both_until_the_old_one_is_retired() {
    let (first, alone, second) = succession();
    let ids = |seeds: &[u64]| seeds.iter().map(|seed| key(*seed).id()).collect::<Vec<_>>();
    for (stored, seed, expected) in [
        (&first, 1, Ok(ids(&[2, 1]))),
        (&first, 2, Ok(ids(&[2, 1]))),
        (&first, 3, Err(Error::UnknownMasterKey)),
        (&alone, 1, Err(Error::UnknownMasterKey)),
        (&alone, 2, Ok(ids(&[2, 1]))),
        (&second, 1, Err(Error::UnknownMasterKey)),
        // The one before comes first.
        (&second, 2, Ok(ids(&[3, 2, 1]))),
        (&second, 3, Ok(ids(&[3, 2, 1]))),
    ] {
        assert_eq!(knows(seed, stored), expected, "key {seed} of {stored:?}");
    }
    assert_eq!(knows(3, &second.without_succession().unwrap()), Ok(ids(&[3, 2])));
    assert_eq!(knows(1, &MasterKeys::default()), Err(Error::UnknownMasterKey));
}

#[test]
fn what_cannot_be_learnt_changes_nothing() {
    let (first, _, _) = succession();
    let vault = vault(1);
    for damage in [
        |wrapped: &mut WrappedKey| wrapped.sealed.0[30] ^= 1,
        |wrapped: &mut WrappedKey| wrapped.key_id = key(3).id(),
        |wrapped: &mut WrappedKey| wrapped.sealed.0.clear(),
    ] {
        let mut damaged = first.clone();
        damaged.wrapped.iter_mut().for_each(damage);
        assert!(vault.learn(&damaged).is_err());
        assert_eq!(vault.key_ids(), [key(1).id()]);
    }
}

#[test]
fn what_was_sealed_under_the_key_before_is_sealed_anew() {
    let (first, alone, _) = succession();
    let (old, new) = (vault(1), vault(2));
    let request = Hash([7; 32]);
    for sealed_for in all_kinds() {
        let before = old.seal(&sealed_for, SECRET).unwrap();
        new.learn(&first).unwrap();
        assert_eq!(*new.open(&sealed_for, &before).unwrap(), SECRET);
        let after = new.reseal(&sealed_for, &before).unwrap().unwrap();
        assert_eq!(*new.open(&sealed_for, &after).unwrap(), SECRET);
        assert_eq!(new.reseal(&sealed_for, &after), Ok(None));
        assert_eq!(old.open(&sealed_for, &after), Err(Error::UnknownMasterKey));
        // Late ones open when the old key is retired, too.
        new.learn(&alone).unwrap();
        assert_eq!(*new.open(&sealed_for, &before).unwrap(), SECRET);
    }
    let digests = new.request_digests(request);
    assert_eq!(digests.before, Some(old.request_digests(request).now));
    old.learn(&first).unwrap();
    assert_eq!(old.request_digests(request), digests);
    assert_eq!(old.seal(&credential(1, 2), SECRET).unwrap().0[1..=KEY_ID_LEN], key(2).id_bytes());
}

#[test]
fn a_vault_shows_nothing() {
    assert_eq!(format!("{:?}", vault(1)), "Vault(…)");
}
