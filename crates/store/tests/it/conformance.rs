//! The cases that hold on every backend. Each is a sentence about what a store
//! does, and gets a world of its own.

mod agreement;
mod assertions;
mod audit;
mod channels;
mod grants;
mod idempotency;
mod log;
mod long_ago;
mod reissue;
mod revocation;
mod rules;
mod signing_keys;

/// Takes the list of cases, and makes of it `run_on!`, which makes a test of every
/// case for a backend whose databases are `$place`s.
macro_rules! cases {
    ($($theme:ident: $($case:ident)+;)+) => {
        macro_rules! run_on {
            ($backend:ident, $place:ty) => {
                mod $backend {
                    $(mod $theme {
                        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                        async fn $case() {
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
        an_id_is_never_given_again_not_even_after_deletion
        what_it_refers_to_must_be_there
        the_revision_moves_with_what_requests_are_judged_by_and_with_nothing_else
        a_change_of_a_snapshot_is_told_with_its_commit
        a_group_takes_a_place_while_it_has_tokens_keys_or_settings
        a_channel_has_two_keys_at_large_and_two_for_each_group
        a_deleted_channel_is_gone_with_all_that_it_could_be_used_by
        settings_survive_reopening
        development_and_production_stores_refuse_one_another
        the_development_clock_only_moves_on_and_is_remembered
        uses_are_noted_and_never_taken_back;
    grants:
        a_grant_by_a_secret_that_was_replaced_is_refused
        a_grant_by_a_secret_that_is_kept_for_a_while_is_used
        a_grant_by_a_key_that_was_deleted_is_refused
        a_grant_of_a_channel_that_was_suspended_is_refused_until_it_is_resumed
        a_grant_of_a_channel_that_was_deleted_is_refused
        a_grant_whose_delay_a_tighter_law_forbids_is_refused
        a_grant_is_counted_by_the_caps_of_the_moment_of_issue
        a_grant_for_a_stateless_token_is_judged_again_where_its_assertion_is_taken
        a_stateless_token_judged_before_a_bulk_ending_is_ended_by_it
        a_refused_grant_leaves_no_trace;
    rules:
        the_31st_v21_token_is_refused_and_the_30_live
        the_31st_short_lived_token_ends_the_oldest
        kinds_channels_and_groups_are_counted_apart
        the_third_token_of_a_group_ends_its_oldest
        a_group_that_refuses_when_full_keeps_its_tokens
        in_a_full_channel_an_issue_ends_only_the_askers_own
        expired_and_ended_tokens_do_not_count
        tokens_of_a_suspended_channel_count
        tokens_under_a_removed_key_do_not_count_and_are_listed_as_ended
        tokens_under_a_bounded_key_count_as_far_as_the_bound_reaches
        the_legacy_law_counts_short_and_long_lived_together
        a_tightened_law_ends_nothing_until_the_next_issue
        the_law_uses_the_later_of_now_and_the_written_time;
    reissue:
        a_reissue_ends_the_current_one_at_once
        a_reissue_with_a_delay_lets_the_current_one_live_until_then
        a_reissue_within_a_running_delay_ends_all_but_its_direct_predecessor
        no_reissue_postpones_an_end_already_set
        a_revoked_successor_does_not_bring_its_predecessor_back
        an_end_that_came_is_told_by_its_own_time_whatever_ends_the_rest_later;
    idempotency:
        a_retry_gets_the_same_token_again
        a_retry_of_a_reissue_is_told_the_same_end_of_the_previous_token
        other_parameters_under_the_same_key_are_refused
        a_retry_is_refused_once_the_token_ended_expired_or_lost_its_key
        the_key_is_scoped_by_channel_kind_group_and_assertion_key
        a_retry_is_authenticated_first
        retries_at_once_yield_one_row
        a_retried_token_keeps_its_signing_key_and_form;
    assertions:
        a_channel_that_takes_assertions_once_takes_each_once
        one_assertion_at_once_yields_exactly_one_token
        an_assertion_is_one_whether_for_a_stored_or_a_stateless_token
        a_refused_issue_does_not_use_the_assertion_up
        assertions_are_told_apart_by_channel
        what_was_taken_once_is_kept_until_a_day_after_it_expired;
    revocation:
        every_ending_ends_what_it_says_and_a_dry_run_counts_the_same
        a_scope_that_names_nothing_is_refused_and_leaves_no_trace
        a_group_of_stateless_tokens_alone_is_known_while_they_live
        stateless_tokens_find_no_place_for_a_hundred_and_first_group
        a_deleted_group_or_key_is_known_until_its_last_token_has_expired
        an_ending_is_done_once
        single_endings_are_folded_and_the_fold_lets_the_others_live
        stateless_endings_are_bounded
        deleting_a_key_or_a_group_or_replacing_a_secret_ends_tokens_if_asked_to
        an_ending_does_not_touch_what_comes_after_it
        a_deleted_channel_keeps_what_was_known_of_its_tokens;
    log:
        positions_are_contiguous_and_in_the_order_of_commits
        changes_gives_what_was_told
        a_reader_of_another_epoch_or_beyond_the_log_is_sent_away
        the_owner_is_told_before_anybody_has_an_answer
        an_act_is_done_even_if_nobody_waits_for_its_answer
        an_ending_names_the_place_of_its_entry
        what_changes_nothing_commits_nothing
        forget_drops_what_cannot_matter_and_nothing_else
        forget_drops_old_entries_of_the_log
        the_written_time_never_sinks;
    signing_keys:
        the_first_key_signs_at_once_and_the_next_one_waits
        a_promoted_key_signs_and_the_one_before_it_retires
        a_removed_active_key_is_followed_by_the_coming_one_or_by_the_successor
        removing_all_keys_ends_everything
        a_removed_key_loses_its_private_half
        a_change_of_keys_that_fails_changes_nothing;
    audit:
        every_act_has_its_row_in_the_same_transaction
        an_event_that_changes_nothing_has_a_row_too
        a_refused_act_and_a_dry_run_have_none
        rows_are_listed_newest_first_and_by_channel
        a_row_names_a_place_in_the_log_only_if_the_act_wrote_there
        no_secret_is_in_a_row;
    long_ago:
        rows_go_once_their_life_was_over_and_what_the_view_says_stays
        a_row_that_came_to_life_again_by_nothing_is_not_swept
        the_end_of_a_providers_tokens_goes_on_after_a_crash
        a_row_names_the_act_that_ended_it;
    agreement:
        rows_facts_and_log_agree_after_every_act_of_a_random_history;
}

run_on!(sqlite, crate::place::Sqlite);
