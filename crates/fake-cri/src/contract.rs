//! One contract for runtimes: what an agent relies on, put to the fake and to real containerd
//! alike, so that what is proved on the fake is true.

use std::{panic::AssertUnwindSafe, pin::Pin};

use futures_util::{FutureExt as _, future::join_all};

mod ground;

mod lives;
mod pods;
mod records;
mod rough;

pub use ground::Ground;

/// A promise that is being checked. Panics where it is broken.
type Check<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A promise of a runtime.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// In words.
    pub name: &'static str,
    /// Checks it.
    pub check: for<'a> fn(&'a dyn Ground) -> Check<'a>,
}

macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($(Scenario {
            name: stringify!($name),
            check: |ground| Box::pin($module::$name(ground)),
        },)*)*]
    };
}

/// Each has pods of its own: they may run side by side.
pub const CALM: &[Scenario] = scenarios! {
    pods:
        a_runtime_says_what_it_is
        a_pod_runs_and_is_found_by_its_labels
        a_name_is_taken_until_its_owner_is_removed
        a_container_needs_an_image_and_a_sandbox_that_is_ready
        a_privileged_container_needs_a_privileged_sandbox
        a_sandbox_takes_its_containers_along
        limits_can_be_changed_while_it_runs
        events_come_or_are_not_known
        a_sandbox_without_a_name_is_refused;
    lives:
        a_program_that_cannot_start_ends_with_128
        an_end_has_a_code_a_reason_and_times
        too_much_memory_is_said_to_be_the_reason
        a_command_inside_has_its_own_outcome
        to_stop_is_to_ask_and_then_to_kill
        less_patience_kills_sooner_and_who_gives_up_kills_nobody
        to_remove_is_to_kill_first;
    records:
        a_log_has_a_line_for_each_line
        a_log_has_the_folder_that_its_path_names
        a_log_is_opened_anew_when_asked
        words_of_the_image_are_replaced_as_asked
        an_image_is_known_by_name_digest_and_id
        an_image_that_is_removed_serves_who_has_it
        a_registry_that_is_down_is_an_answer;
};

/// They shake the whole runtime: one after the other.
pub const ROUGH: &[Scenario] = scenarios! {
    rough:
        a_sandbox_whose_pause_is_killed_is_not_ready
        a_shim_takes_its_pod_along
        containers_outlive_the_runtime
        a_reboot_leaves_the_dead_on_record;
};

/// The names of the promises that this runtime does not keep. Those of [`CALM`] are checked side
/// by side.
pub async fn broken(scenarios: &[Scenario], ground: &dyn Ground) -> Vec<&'static str> {
    let outcomes = join_all(scenarios.iter().map(|scenario| outcome(scenario, ground))).await;
    outcomes.into_iter().flatten().collect()
}

/// As [`broken`], one after the other.
pub async fn broken_in_turn(scenarios: &[Scenario], ground: &dyn Ground) -> Vec<&'static str> {
    let mut found = Vec::new();
    for scenario in scenarios {
        found.extend(outcome(scenario, ground).await);
    }
    found
}

async fn outcome(scenario: &Scenario, ground: &dyn Ground) -> Option<&'static str> {
    let check = AssertUnwindSafe((scenario.check)(ground));
    // The panic itself has told the rest.
    check.catch_unwind().await.is_err().then_some(scenario.name)
}
