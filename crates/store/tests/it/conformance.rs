//! The cases that hold for every backend. Each name is a sentence about what a store
//! does, and each case gets its own world.

mod agreement;
mod assertions;
mod audit;
mod channels;
mod grants;
mod idempotency;
mod instances;
mod log;
mod long_ago;
mod reissue;
mod revocation;
mod roles;
mod rules;
mod signing_keys;

/// Takes the list of cases and defines `run_on!`, which makes a test of every case for a
/// backend whose databases are `$place`s.
macro_rules! cases {
    ($($theme:ident: $($case:ident)+;)+) => {
        macro_rules! run_on {
            ($backend:ident, $place:ty) => {
                mod $backend {
                    $(mod $theme {
                        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                        async fn $case() {
                            if !<$place as crate::place::Place>::is_due() {
                                return;
                            }
                            let world = crate::world::World::new::<$place>().await;
                            crate::conformance::$theme::$case(world).await;
                        })+
                    })+
                }
            };
        }
    };
}

cases! {
    channels:
        providers_and_channels_are_listed_newest_first_and_page_by_page
        an_id_is_never_used_again_even_after_deletion
        an_act_on_an_object_that_does_not_exist_is_not_found
        the_revision_changes_only_with_what_requests_are_authorized_with
        a_commit_that_changes_a_snapshot_reports_its_channel
        a_group_counts_while_it_has_tokens_keys_or_settings
        a_channel_has_two_keys_at_large_and_two_for_each_group
        a_deleted_channel_is_deleted_with_its_credentials_and_tokens
        settings_survive_reopening
        a_development_store_does_not_open_for_production_nor_the_reverse
        the_development_clock_only_advances_and_is_stored
        the_time_of_last_use_never_decreases;
    grants:
        a_grant_by_a_secret_that_was_replaced_is_denied
        a_grant_by_a_previous_secret_that_is_still_valid_is_used
        a_grant_by_a_key_that_was_deleted_is_denied
        a_grant_of_a_channel_that_was_suspended_is_denied_until_it_is_resumed
        a_grant_of_a_channel_that_was_deleted_is_denied
        a_grant_whose_delay_the_new_token_rules_forbid_is_denied
        a_grant_is_admitted_by_the_caps_at_the_time_of_issue
        a_grant_for_a_stateless_token_is_authorized_again_when_its_assertion_is_taken
        a_stateless_token_authorized_before_a_bulk_revocation_is_revoked_by_it
        a_denied_grant_changes_nothing;
    roles:
        a_person_keeps_the_newest_roles_in_deleted_channels_alone
        a_role_in_what_was_deleted_can_be_taken_away_and_not_given;
    rules:
        the_31st_v21_token_is_denied_and_the_30_stay_active
        the_31st_short_lived_token_evicts_the_oldest
        kinds_channels_and_groups_are_counted_apart
        the_third_token_of_a_group_evicts_its_oldest
        a_group_that_denies_when_full_keeps_its_tokens
        in_a_full_channel_an_issue_evicts_only_from_its_own_group
        expired_and_revoked_tokens_do_not_count
        tokens_of_a_suspended_channel_count
        tokens_of_a_revoked_key_do_not_count_and_are_listed_as_revoked
        tokens_of_a_limited_key_count_if_issued_within_the_limit
        legacy_2020_counts_short_and_long_lived_tokens_together
        tightened_rules_evict_nothing_until_the_next_issue
        the_token_rules_use_the_later_of_now_and_the_written_time;
    reissue:
        a_reissue_revokes_the_current_token_at_once
        a_reissue_with_a_delay_keeps_the_current_token_active_until_then
        a_reissue_within_a_running_delay_revokes_all_but_its_direct_predecessor
        no_reissue_postpones_a_revocation_already_set
        a_revoked_successor_does_not_reactivate_its_predecessor
        a_past_revocation_keeps_its_time_whatever_revokes_the_rest_later;
    idempotency:
        a_retry_gets_the_same_token_again
        a_retry_of_a_reissue_returns_the_same_expiry_of_the_previous_token
        other_parameters_under_the_same_key_are_denied
        a_retry_is_denied_once_the_token_is_revoked_or_expired_or_its_key_revoked
        the_key_is_scoped_by_channel_kind_group_and_assertion_key
        a_retry_is_authenticated_first
        concurrent_retries_create_one_row
        a_retried_token_keeps_its_signing_key_and_form;
    assertions:
        a_channel_with_single_use_assertions_accepts_each_once
        one_assertion_in_concurrent_requests_yields_exactly_one_token
        an_assertion_is_single_use_across_stored_and_stateless_tokens
        a_denied_issue_does_not_use_up_the_assertion
        assertions_are_distinguished_by_channel
        a_used_assertion_is_remembered_until_a_day_after_its_expiry;
    revocation:
        every_revocation_revokes_exactly_its_target_and_a_dry_run_counts_the_same
        a_target_that_does_not_exist_is_denied_and_changes_nothing
        a_group_with_only_stateless_tokens_is_known_while_they_are_active
        a_stateless_token_of_a_hundred_and_first_group_is_denied
        a_deleted_group_or_key_is_known_until_its_last_token_has_expired
        a_deleted_group_that_is_used_again_is_forgotten_like_any_other
        a_revocation_takes_effect_once
        single_revocations_are_compacted_and_the_other_tokens_stay_active
        stateless_revocations_are_bounded
        deleting_a_key_or_a_group_or_replacing_a_secret_revokes_tokens_on_request
        a_revocation_does_not_affect_tokens_issued_after_it
        a_deleted_channel_keeps_the_records_of_its_tokens;
    log:
        positions_are_contiguous_and_in_the_order_of_commits
        changes_returns_what_was_reported
        a_position_of_another_epoch_or_beyond_the_log_gets_no_changes
        the_commit_is_reported_before_any_act_of_it_is_answered
        an_act_is_committed_even_if_its_caller_stops_waiting
        a_revocation_returns_the_position_of_its_entry
        an_act_that_changes_nothing_commits_nothing
        forget_removes_exactly_the_revocations_that_no_longer_matter
        trim_removes_old_entries_of_the_log
        the_written_time_never_decreases;
    signing_keys:
        the_first_key_is_active_at_once_and_the_next_is_pending
        a_promoted_key_is_active_and_its_predecessor_retired
        a_revoked_active_key_is_replaced_by_the_pending_one_or_by_the_successor
        revoking_all_keys_revokes_every_token
        a_revoked_key_loses_its_private_half
        a_revocation_of_keys_is_acknowledged_even_if_their_tokens_cannot_be_counted
        a_change_of_keys_that_fails_changes_nothing;
    audit:
        every_act_writes_its_audit_event_in_the_same_transaction
        an_event_that_changes_nothing_is_written_too
        a_denied_act_and_a_dry_run_write_no_audit_event
        audit_events_are_listed_newest_first_and_by_channel
        an_audit_event_has_a_position_only_if_its_act_wrote_to_the_log
        no_secret_is_in_an_audit_event
        events_after_a_recovery_that_took_an_earlier_time_are_found_by_their_times;
    instances:
        a_verifier_with_very_many_stopped_instances_gets_no_other_and_those_it_has_go_on
        renewed_rows_are_kept_and_none_comes_back_that_is_stopped_or_gone;
    long_ago:
        rows_are_swept_after_their_expiry_and_the_view_stays_the_same
        an_active_row_that_is_named_is_not_swept
        the_revocation_of_a_providers_tokens_continues_after_a_crash
        two_that_go_on_with_one_revocation_of_a_providers_tokens_complete_it
        a_row_names_the_act_that_revoked_it;
    agreement:
        rows_revocations_and_log_agree_after_every_act_of_a_random_history;
}

run_on!(sqlite, crate::place::Sqlite);
run_on!(postgres, crate::postgres_place::Postgres<crate::postgres_place::Plain>);
run_on!(compatible, crate::postgres_place::Postgres<crate::postgres_place::Compatible>);
run_on!(postgres_18, crate::postgres_place::Postgres<crate::postgres_place::Eighteen>);
run_on!(abstaining, crate::postgres_place::Postgres<crate::postgres_place::Abstaining>);
run_on!(failing, crate::postgres_place::Postgres<crate::postgres_place::Failing>);
run_on!(pooled, crate::postgres_place::Postgres<crate::postgres_place::Pooled>);
