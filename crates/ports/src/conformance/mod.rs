//! What every adapter must do, as test cases that an adapter's tests run against it.
//!
//! Each case is a function that panics when the adapter fails it. The macros [`store_conformance!`],
//! [`log_conformance!`] and [`queue_conformance!`](crate::queue_conformance) make one test of each case; they take the
//! path of an async function that answers a fresh, empty adapter and a guard that is kept until the case is over.

pub mod logs;
pub mod queue;
mod rows;
pub mod store;
pub mod store_assets;
pub mod store_backfills;
pub mod store_commit;
pub mod store_lease;
pub mod store_lists;
pub mod store_load;
pub mod store_waits;
pub mod store_xcoms;

pub use rows::*;

/// Makes a test of each named case of a conformance module.
#[macro_export]
#[doc(hidden)]
macro_rules! conformance_cases {
    ($module:ident, $open:path, [$($case:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (adapter, _guard) = $open().await;
                $crate::conformance::$module::$case(adapter.as_ref()).await;
            }
        )+
    };
}

/// Tests a [`crate::Store`]. `$open` answers `(Arc<impl Store>, guard)`; the store is empty and not migrated.
#[macro_export]
macro_rules! store_conformance {
    ($open:path) => {
        $crate::conformance_cases!(
            store,
            $open,
            [
                migrating_makes_the_schema_ready,
                a_new_store_has_the_default_pool,
                variables_are_kept,
                connections_are_kept,
                import_errors_are_replaced_by_file,
                blobs_and_bundles_are_kept,
                rendered_fields_are_replaced,
                the_audit_trail_is_newest_first,
                ping_answers,
            ]
        );
        $crate::conformance_cases!(
            store_lease,
            $open,
            [
                one_owner_holds_the_lease,
                a_released_lease_is_free_at_once,
                an_expired_lease_is_taken_with_a_higher_term,
                of_many_candidates_one_wins,
                shards_are_independent,
                a_stale_term_writes_nothing,
                a_released_term_writes_nothing,
                takers_and_commits_exclude_each_other,
            ]
        );
        $crate::conformance_cases!(
            store_commit,
            $open,
            [
                every_column_is_kept_exactly,
                instants_are_kept_to_the_microsecond,
                free_text_is_kept,
                a_change_writes_what_may_change,
                a_commit_can_be_repeated,
                an_unknown_row_refuses_the_whole_commit,
                run_ids_and_logical_dates_are_unique,
                unsound_rows_are_refused,
                merged_sets_write_the_last_state,
                past_tries_are_kept_in_order,
                pools_are_changed_and_deleted,
                large_commits_keep_the_order_of_creation,
            ]
        );
        $crate::conformance_cases!(
            store_xcoms,
            $open,
            [
                xcom_values_are_kept_exactly,
                xcoms_are_cleared_before_they_are_written,
                objects_of_xcoms_that_go_are_noted,
            ]
        );
        $crate::conformance_cases!(
            store_lists,
            $open,
            [
                dags_are_listed,
                runs_are_listed_newest_first,
                task_instances_are_listed,
                xcoms_are_listed,
                xcoms_of_earlier_runs_are_found,
                pages_cover_everything_once,
            ]
        );
        $crate::conformance_cases!(
            store_load,
            $open,
            [
                loading_answers_what_the_engine_needs,
                loading_brings_the_past_that_runs_look_back_at,
                a_past_without_active_runs_is_loaded,
                unfinished_work_is_loaded,
            ]
        );
        $crate::conformance_cases!(
            store_assets,
            $open,
            [
                assets_are_kept,
                aliases_find_their_assets,
                asset_events_are_listed,
                asset_events_are_appended,
                consumed_events_are_kept,
            ]
        );
        $crate::conformance_cases!(
            store_backfills,
            $open,
            [backfills_are_kept, dates_of_backfills_are_replaced, runs_name_their_backfill]
        );
        $crate::conformance_cases!(
            store_waits,
            $open,
            [
                callbacks_are_kept,
                callbacks_are_listed_newest_first,
                unsound_callbacks_are_refused,
                questions_are_kept,
                questions_are_listed_oldest_first,
                mapped_tasks_are_expanded,
                state_values_are_kept,
            ]
        );
    };
}

/// Tests a [`crate::LogStore`]. `$open` answers `(Arc<impl LogStore>, guard)`; it is empty and ready.
#[macro_export]
macro_rules! log_conformance {
    ($open:path) => {
        $crate::conformance_cases!(
            logs,
            $open,
            [
                chunks_are_read_back,
                a_repeated_append_changes_nothing,
                an_overlapping_append_adds_the_rest,
                a_gap_is_refused,
                attempts_are_listed_in_order,
                equal_appends_at_once_are_kept_once,
                large_logs_are_read_in_parts,
            ]
        );
    };
}

/// Tests a [`crate::Queue`]. `$open` answers `(Arc<impl Queue>, guard)`; it is empty.
#[macro_export]
macro_rules! queue_conformance {
    ($open:path) => {
        $crate::conformance_cases!(
            queue,
            $open,
            [
                the_lowest_score_comes_first,
                a_hint_is_there_once,
                a_pop_takes_at_most_what_it_asks_for,
                queues_are_tried_in_the_given_order,
                a_push_ends_a_waiting_pop,
                a_pop_ends_when_its_time_is_over,
                every_waiting_pop_is_served,
                each_hint_is_popped_once,
                a_cancelled_pop_leaves_later_hints,
                removed_hints_do_not_come,
                depths_and_membership_are_told,
                the_generation_is_kept,
                large_pushes_are_kept,
                extreme_scores_keep_their_order,
                ping_answers,
            ]
        );
    };
}
