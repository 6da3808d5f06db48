//! The behaviour that every store has: one suite, whichever the database.
//!
//! A store's `conformance.rs` is one line, [`conformance_suite!`](crate::conformance_suite)
//! with a [`Factory`] of that store. Every case gets a fresh store and ends with a full recount.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a failed assertion is the purpose of this module"
)]

/// Asserts that a result is this fault.
macro_rules! assert_fault {
    ($result:expr, $fault:pat) => {
        match $result {
            Err($fault) => {}
            other => panic!("{}: {other:?} is not {}", stringify!($result), stringify!($fault)),
        }
    };
}

pub mod api_keys;
pub mod audit_log;
pub mod authority;
pub mod builders;
pub mod calls;
pub mod concurrency;
pub mod conditions;
pub mod credentials;
mod driver;
pub mod erasure;
pub mod expiry;
mod harness;
pub mod history;
pub mod imports;
pub mod installation;
pub mod isolation;
pub mod key_uses;
pub mod lists;
pub mod marks;
mod model;
pub mod oauth_clients;
pub mod pages;
mod port;
mod properties;
pub mod purge;
pub mod realms;
pub mod reports;
pub mod seals;
pub mod sessions;
pub mod sign_ins;
pub mod signing_keys;
mod steps;
pub mod tenants;
pub mod tokens;
pub mod users;

pub use driver::{Driver, List, Outcome, Refusal};
pub use harness::{Factory, Fixture, ManualClock, START, SeededEntropy, assert_exact, run};
pub use properties::{Effort, random_sequences, random_sequences_match_a_recount};
pub use steps::{Change, UserDraft};

/// The tests of a store: one for each case of the suite. Takes an expression that makes a
/// [`Factory`](crate::conformance::Factory).
#[macro_export]
macro_rules! conformance_suite {
    ($factory:expr) => {
        fn factory() -> impl $crate::conformance::Factory {
            $factory
        }

        #[test]
        fn random_sequences_match_a_recount() {
            $crate::conformance::random_sequences_match_a_recount(&factory());
        }

        $crate::conformance_suite! { @cases
            api_keys {
                each_step_is_counted
                a_key_expires_by_the_clock_alone
                a_key_can_be_made_expired
                an_expired_key_can_be_revoked
                a_revoked_key_does_not_expire
                a_secret_leads_to_its_key
                a_secret_is_good_until_its_key_expires
                a_rotation_replaces_the_secret
                an_old_secret_lives_to_the_end_of_its_grace
                another_rotation_ends_the_grace_before
                revoking_ends_every_secret
                what_is_over_is_not_rotated
            }
            audit_log {
                an_entry_says_what_happened
                no_secret_is_in_the_ledger
                a_note_moves_no_count
                entries_are_found
                the_ledger_is_read_from_any_place
            }
            authority {
                a_change_after_the_authority_was_taken_back_does_not_happen
                a_change_after_the_tenant_was_suspended_does_not_happen
                nobody_lays_hands_on_somebody_more_powerful
                nobody_lays_hands_on_who_can_be_more_elsewhere
                nobody_lays_hands_on_a_more_powerful_client
            }
            calls {
                calls_add_up
                a_call_counts_in_the_month_of_its_receipt
                the_year_turns
                only_activity_is_activity
                nothing_is_older_than_the_newest_call
                a_change_counts_its_call
                reading_counts_no_call
                a_call_for_another_tenant_is_not_counted
                a_refused_change_counts_no_call
                a_change_is_activity_of_its_own_tenant
            }
            concurrency {
                nothing_is_lost_and_nothing_goes_back
                one_of_many_wins
                a_key_is_revoked_once
                what_expires_is_settled_once
                settling_survives_a_deletion
            }
            conditions {
                a_change_meets_the_state_it_means
                any_state_is_a_state
                who_is_gone_is_in_no_state
                a_condition_comes_last
                of_two_who_saw_the_same_one_changes_it
            }
            credentials {
                each_step_is_counted
                revealing_leaves_an_entry
                what_does_not_open_leaves_no_entry
                a_new_secret_is_a_change
                metadata_is_merged_and_bounded
                a_patch_that_changes_nothing_leaves_no_trace
                the_wrong_integration_finds_nothing
            }
            erasure {
                a_person_is_erased_everywhere
                a_deleted_person_is_erased
                a_stranger_is_not_erased
                a_person_can_erase_themselves
                a_platform_user_is_erased_by_the_platform
                a_long_history_is_erased
                who_is_gone_changes_nothing
                the_last_active_admin_is_warned_about
            }
            expiry {
                a_credential_expires_at_its_very_instant
                a_change_settles_what_is_due
                an_expiry_to_come_can_be_moved
                an_expired_credential_can_come_back
                other_changes_leave_it_expired
                an_expired_credential_can_be_removed
                a_credential_can_be_made_expired
                a_thousand_at_once_are_one_entry
                settling_is_bounded
                each_tenant_has_its_share
                an_instant_is_settled_as_a_whole
                what_expires_during_a_change_is_not_lost
            }
            history {
                the_past_is_as_it_was_seen
                the_past_does_not_change
                a_clock_that_steps_back_takes_nothing_back
                a_month_does_not_come_back
            }
            imports {
                an_import_is_one_entry
                an_import_of_nobody_leaves_no_trace
                one_collision_keeps_all_out
                what_is_taken_is_known
            }
            installation {
                a_store_answers
            }
            isolation {
                an_unknown_tenant_is_not_found
                what_belongs_to_another_tenant_is_not_found
            }
            key_uses {
                each_text_has_its_newest_use
                a_change_notes_the_use_of_its_key
                uses_go_with_their_tenant
                what_is_safe_to_drop
            }
            lists {
                totals_are_the_statistics
                credentials_are_found_by_integration
                users_are_found_by_a_part
                a_list_holds_one_tenant_alone
            }
            marks {
                a_repetition_gets_the_first_answer
                another_request_is_refused
                other_marks_are_other_requests
                a_mark_lasts_a_day
                what_fails_leaves_no_mark
                of_many_at_once_one_takes_effect
                a_tenant_is_made_once
                every_kind_of_change_leaves_its_mark
                a_repetition_counts_no_call
                a_deleted_tenant_has_no_marks
                no_answer_tells_of_who_was_erased
                old_marks_are_forgotten
            }
            oauth_clients {
                each_step_is_counted
                a_public_client_has_no_secret
                a_patch_that_contradicts_the_rest_is_refused
                a_new_secret_leaves_an_entry
                a_patch_that_changes_nothing_leaves_no_trace
            }
            pages {
                pages_leave_nothing_out
                text_is_sorted_without_regard_to_case
                what_has_no_key_is_last
                an_order_follows_a_change
                a_cursor_keeps_its_place
                what_moves_is_where_it_is_then
                filters_and_orders_go_together
            }
            purge {
                who_is_there_is_left_alone
                rows_go_in_small_steps
                nothing_comes_back
            }
            realms {
                each_step_is_told
                a_patch_that_changes_nothing_leaves_no_trace
                names_and_issuers_are_unique
                of_many_at_once_one_makes_it
                every_state_has_a_revision_of_its_own
                conditions_and_marks_hold
                pages_leave_nothing_out
                whom_a_realm_vouches_for_is_known_as_of_now
                only_a_realm_of_the_platform_vouches_for_super_admins
                a_change_after_the_realm_has_changed_does_not_happen
            }
            reports {
                a_repeat_is_counted_once
                calls_count_in_the_month_of_the_event
                a_report_moves_no_instant
                storage_is_the_sum_of_its_sources
                the_later_report_stands
                a_suspended_tenant_is_still_metered
                a_report_is_a_call_too
                more_than_can_be_kept_is_refused
            }
            seals {
                the_first_master_key_binds
                a_master_key_follows_the_one_that_is_meant
                everything_that_is_sealed_is_gone_through
                what_changes_meanwhile_stays
                a_request_is_known_by_its_digest_under_the_key_before
            }
            sessions {
                a_session_begins_with_an_entry
                who_was_shut_out_meanwhile_begins_none
                a_refresh_token_is_good_once
                of_many_refreshes_at_once_one_goes_on
                a_session_is_ended_once
                a_session_ends_by_itself
                what_was_used_long_ago_is_forgotten
                who_is_shut_out_has_no_session
                a_client_has_sessions_too
            }
            sign_ins {
                failures_slow_down_an_account
                failures_slow_down_an_address
                nobody_is_slowed_down_as_somebody_is
                many_at_once_gain_nothing
                success_takes_failures_back
                a_password_that_was_set_meanwhile_is_another_one
                failures_are_forgotten_after_a_day
                an_invitation_sets_a_password_once
                an_invitation_is_used_once_by_two_at_once
                an_invitation_has_its_time
                an_invitation_is_for_who_the_user_was
                nobody_gets_around_an_administrator_by_an_invitation
                a_password_that_is_set_ends_sessions
            }
            signing_keys {
                there_is_one_first_key
                each_step_is_told
                of_two_at_once_one_is_next
                a_key_is_needed_until_its_last_token_ends
                what_a_key_has_signed_ends_with_it
            }
            tenants {
                the_platform_is_there
                a_new_tenant_is_empty
                a_patch_changes_what_it_names
                a_patch_that_changes_nothing_leaves_no_trace
                an_id_is_never_used_again
                suspending_changes_no_count
                a_deleted_tenant_is_gone
                calls_of_a_deleted_tenant_hold_nobody_up
                tenants_are_found
                a_tenant_changes_itself
            }
            tokens {
                what_was_ended_is_known_at_once
                what_is_over_is_forgotten
                nothing_is_left_of_a_tenant
                clients_are_known_as_they_are_now
                a_client_is_found_by_what_it_presents
            }
            users {
                each_step_is_counted
                a_removed_admin_is_none
                an_email_is_unique_in_its_tenant
                an_external_id_is_unique_in_its_tenant
                a_patch_that_changes_nothing_leaves_no_trace
                callers_are_known_as_they_are_now
                statistics_open_with_authority_alone
            }
        }
    };
    (@cases $($subject:ident { $($case:ident)+ })+) => {
        $(mod $subject {
            $(#[test]
            fn $case() {
                $crate::conformance::run(&super::factory(), $crate::conformance::$subject::$case);
            })+
        })+
    };
}

#[cfg(test)]
mod tests {
    /// A case that is in no list would never run.
    #[test]
    fn every_case_is_listed() {
        let listed = include_str!("mod.rs");
        for (file, source) in [
            ("api_keys", include_str!("api_keys.rs")),
            ("audit_log", include_str!("audit_log.rs")),
            ("authority", include_str!("authority.rs")),
            ("calls", include_str!("calls.rs")),
            ("concurrency", include_str!("concurrency.rs")),
            ("conditions", include_str!("conditions.rs")),
            ("credentials", include_str!("credentials.rs")),
            ("erasure", include_str!("erasure.rs")),
            ("expiry", include_str!("expiry.rs")),
            ("history", include_str!("history.rs")),
            ("imports", include_str!("imports.rs")),
            ("installation", include_str!("installation.rs")),
            ("isolation", include_str!("isolation.rs")),
            ("key_uses", include_str!("key_uses.rs")),
            ("lists", include_str!("lists.rs")),
            ("marks", include_str!("marks.rs")),
            ("oauth_clients", include_str!("oauth_clients.rs")),
            ("pages", include_str!("pages.rs")),
            ("purge", include_str!("purge.rs")),
            ("realms", include_str!("realms.rs")),
            ("reports", include_str!("reports.rs")),
            ("seals", include_str!("seals.rs")),
            ("sessions", include_str!("sessions.rs")),
            ("sign_ins", include_str!("sign_ins.rs")),
            ("signing_keys", include_str!("signing_keys.rs")),
            ("tenants", include_str!("tenants.rs")),
            ("tokens", include_str!("tokens.rs")),
            ("users", include_str!("users.rs")),
        ] {
            let (_, list) = listed.split_once(&format!("\n            {file} {{\n")).unwrap();
            let (list, _) = list.split_once('}').unwrap();
            let listed: Vec<_> = list.split_whitespace().collect();
            let cases: Vec<_> = source
                .split("\npub async fn ")
                .skip(1)
                .filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
                .collect();
            assert_eq!(listed, cases, "{file}");
        }
    }
}
